"""Whole deployments under load, with faults: `make test-faults`. Not part of `make test`.

Load ──HTTP──► incoming ──► logic ──► outgoing ──HTTP──► Sink        each a process of its own, killed at will
  │               └── nats-server, alone or three of them ──┘          │
  └────────── Books: what was accepted  =  what came, is dead, or was filtered ◄──┘
"""
