"""Dead letters on their way again.

    VRSKY_DEAD ──► plan: where it goes, or why not ──► send: journal, publish, PubAck ──► deleted
                     ├─ a whole message ──► the start of its pipeline     vrsky.logic....in
                     ├─ a part of a split ► the step where it died        vrsky.logic....in, Vrsky-Resume
                     └─ of an out ────────► that out                      vrsky.outgoing....<out>

Where the topology is split, the lane is that of the step's kind, `converter` or `filter`, and not `logic`. A letter
is deleted when the stream it goes to has it. What a redrive has in hand is in `VRSKY_REDRIVE` before it is published,
so that one that crashed can be named: only those letters may be delivered twice. A sink sees the same `Idempotency-
Key` as before, since a message keeps its id, and each part its number.
"""
