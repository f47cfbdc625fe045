"""Blind damage to bytes, and the numbers that break things."""

from __future__ import annotations

from random import Random

NUMBERS = (
    *(0, 1, 2, 3, 7, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1000, 4095, 4096, 16384),
    *(32767, 32768, 65535, 65536, 10**6, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -128, -32768, -(2**31), -(2**63)),
)


def scramble(rng: Random, content: bytes, other: bytes) -> bytes:
    """Return content with a random change: bits, bytes, chunks, its end, or a piece of `other`."""
    data = bytearray(content)
    if not data:
        return other
    first, second = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    at = rng.randrange(len(data))
    near = at + rng.choice((1, 2, 4, 8, 64))
    match rng.randrange(9):
        case 0:
            for _ in range(rng.choice((1, 1, 2, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            data[at:near] = rng.randbytes(near - at)
        case 2:
            del data[at:near]
        case 3:
            del data[first:second]
        case 4:
            del data[at:]
        case 5:
            data[at:at] = data[at:near] * rng.choice((1, 2, 100))
        case 6:
            data[second:second] = data[first:second]
        case 7:
            overwrite_number(rng, data, at, len(data))
        case 8:
            cut = rng.randrange(len(other) + 1)
            data[at:] = other[cut:]
    return bytes(data)


def overwrite_number(rng: Random, data: bytearray, start: int, end: int) -> None:
    """Write a number that breaks things, of 1 to 8 bytes, somewhere between two places."""
    size = rng.choice([size for size in (1, 2, 4, 8) if size <= end - start] or [0])
    if not size:
        return
    at = rng.randrange(start, end - size + 1)
    order = rng.choice(("big", "little"))
    value = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
    value = rng.choice((number(rng), value + 1, value - 1, value * 2, value // 2))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]


def number(rng: Random) -> int:
    """Return a whole number that breaks things."""
    return rng.choice(NUMBERS) if rng.random() < 0.9 else rng.randrange(-(2**64), 2**64)
