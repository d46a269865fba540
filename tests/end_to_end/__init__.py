"""The whole flow, by its behaviour: a real `vrsky run`, a real nats-server, real HTTP, bad input.

    client ──HTTP──► node.Node (a process) ──► file out, or servers.Server ──► what arrived
                       │ --json events            └─ refuses, hangs, breaks off, answers 500 ...
                       └─ `vrsky dlq` ──► dead letters with code, reason, place

Each test asserts four things: what is wrong is named by code and place; the process lives; a good
message sent afterwards is delivered; and nothing that was answered with 202 is lost. Tests wait for
events, lines and requests, never for time.
"""
