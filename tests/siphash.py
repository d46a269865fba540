"""Which messages a canary runs, found once more without the program's own code: SipHash-1-3 with 128 bits."""

from __future__ import annotations

import struct

_MASK = (1 << 64) - 1
_WHOLE = 1_000_000


def siphash(data: bytes, low: int = 0, high: int = 0) -> tuple[int, int]:
    """The two halves of the hash, for a key of two halves."""
    v = [
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D ^ 0xEE,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    ]
    tail = data[len(data) - len(data) % 8 :].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", data[: len(data) - len(data) % 8] + tail):
        v[3] ^= word
        _round(v)
        v[0] ^= word
    halves = []
    for place, mark in ((2, 0xEE), (1, 0xDD)):
        v[place] ^= mark
        for _ in range(3):
            _round(v)
        halves.append(v[0] ^ v[1] ^ v[2] ^ v[3])
    return halves[0], halves[1]


def _round(v: list[int]) -> None:
    def rotated(one: int, bits: int) -> int:
        return (one << bits | one >> (64 - bits)) & _MASK

    for first, second, bits in ((0, 1, 13), (2, 3, 16), (0, 3, 21), (2, 1, 17)):
        v[first] = (v[first] + v[second]) & _MASK
        v[second] = rotated(v[second], bits) ^ v[first]
        if bits in {13, 17}:
            v[first] = rotated(v[first], 32)


def key_of(*names: str) -> tuple[int, int]:
    return siphash(b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in names))


def is_chosen(pipeline: str, message_id: str, millionths: int) -> bool:
    """Whether the canary of a pipeline with this share runs the message."""
    bits, _ = siphash(bytes(16) + message_id.encode(), *key_of("canary", pipeline))
    return bits * _WHOLE >> 64 < millionths
