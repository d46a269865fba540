"""What Python does around the data plane: the embedded server, streams, dead letters. Never a message.

    run ──► lock(<data>) ──► server: ends an orphan, starts nats-server, waits until it is ready
                                │ url, user, password
                                ▼
                             connection ──► provision: streams and consumers of `streams`
                                │
                                └─────────► dead_letters: list, show, delete · redrive: send again

    apply, rollback, delete ──► revisions ──► buckets: vrsky_pipelines ──► watch ──► nodes
              │                                                                        │
              └──► rollout: waits for ◄── nodes: vrsky_nodes ◄──────────────────────────┘

A data folder holds: `lock`, `nats/` (the server's configuration, log and record, readable by its owner
only), `served.json` (what the last run served), `jetstream/` (the messages) and whatever file outs write with a
relative path under `files/<customer>/`.
"""
