"""The images of a sequence, read one after another, with or without those that only repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.images.stills import Still, read_for
from runtime.interpolator import Interpolator
from runtime.repeats import RepeatFinder

_RATE = 24  # images a second, as far as repeats are concerned: most are drawn or filmed so

_Numbered = tuple[int, Still]


class Pictures:
    """Reads images.

    Args:
        dedup: leave out those that only repeat the one before.
        max_pixels: of an image, as `read_still` takes it.

    Attributes:
        repeats: how many are left out; true once `run` has ended.
    """

    def __init__(
        self, interpolate: Interpolator, images: Sequence[Path], dedup: bool, max_pixels: int
    ) -> None:
        self.repeats = 0
        self._interpolate = interpolate
        self._images = images
        self._dedup = dedup
        self._max_pixels = max_pixels

    def run(self) -> Iterator[_Numbered]:
        """Yield images and their numbers.

        Raises: as `read_for`.
        """
        finder: RepeatFinder[_Numbered] = RepeatFinder()
        for number, path in enumerate(self._images):
            still = read_for(self._interpolate, path, self._max_pixels)
            if not self._dedup:
                yield number, still
                continue
            time = Fraction(number, _RATE)
            yield from self._kept(finder.add((number, still), _on_black(still), time))
        yield from self._kept(finder.rest())

    def _kept(self, decided: Iterable[tuple[_Numbered, bool]]) -> Iterator[_Numbered]:
        for each, is_repeat in decided:
            self.repeats += is_repeat
            if not is_repeat:
                yield each


def _on_black(still: Still) -> NDArray[Any]:
    """Return an image as it looks, (H, W, 3): the colours of what is transparent do not count."""
    if still.alpha is None:
        return still.rgb
    opaque = np.float32(255 if still.rgb.dtype == np.uint8 else 1)
    seen: NDArray[Any] = (still.rgb / opaque) * (still.alpha[..., np.newaxis] / opaque)
    return seen
