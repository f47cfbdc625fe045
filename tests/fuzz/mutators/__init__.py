"""Damage to files, of any kind and of the kinds that their formats invite.

A mutator takes a random generator and the content, and returns other content. It may raise anything
where earlier damage has left it nothing to work on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.mutators.raw import scramble

Mutator = Callable[[Random, bytes], bytes]

_STRUCTURED = 0.8  # of the mutations; the rest are blind
_DEPTHS = (1, 1, 1, 1, 2, 2, 4)


def mutated(
    rng: Random, content: bytes, others: Sequence[bytes], mutators: Sequence[Mutator]
) -> bytes:
    """Apply one to four mutations; `others` are further seeds, to splice with."""
    for _ in range(rng.choice(_DEPTHS)):
        if mutators and rng.random() < _STRUCTURED:
            with contextlib.suppress(Exception):
                content = rng.choice(mutators)(rng, content)
                continue
        content = scramble(rng, content, rng.choice(others))
    return content
