"""The images of a sequence, read one after another, and what they are to those before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from media.images.stills import Still, read_for
from runtime.cuts import CutDetector
from runtime.errors import FrameError
from runtime.interpolator import Interpolator
from runtime.options import check_flag
from runtime.repeats import RepeatFinder

_RATE = 24  # images a second, as far as repeats are concerned: most are drawn or filmed so


class Picture(NamedTuple):
    """An image, its number, and whether a scene begins with it."""

    number: int
    still: Still
    begins: bool


class Pictures:
    """Reads images.

    Args:
        cut_threshold: see `CutDetector`; None looks for no cuts.
        dedup: leave out those that only repeat the one before.
        max_pixels: of an image, as `read_still` takes it.

    Attributes:
        cuts, repeats: how many are found; true once `run` has ended.

    Raises:
        OptionError: `cut_threshold` is not in [0, 1], or `dedup` not True or False.
    """

    def __init__(
        self,
        images: Sequence[Path],
        *,
        cut_threshold: float | None,
        dedup: bool,
        max_pixels: int,
    ) -> None:
        check_flag("dedup", dedup)
        self.cuts = self.repeats = 0
        self._is_cut = (lambda _: False) if cut_threshold is None else CutDetector(cut_threshold)
        self._images = images
        self._dedup = dedup
        self._max_pixels = max_pixels

    def run(self, interpolate: Interpolator) -> Iterator[Picture]:
        """Yield those that are not left out.

        Raises: as `read_for`.

        Raises:
            FrameError: one has another size than the first.
        """
        finder: RepeatFinder[Picture] = RepeatFinder()
        first: tuple[int, ...] = ()
        for number, path in enumerate(self._images):
            still = read_for(interpolate, path, self._max_pixels)
            first = first or still.rgb.shape
            if still.rgb.shape != first:
                raise FrameError(
                    f"{path}: is {still.rgb.shape[1]}x{still.rgb.shape[0]}, and "
                    f"{self._images[0].name} {first[1]}x{first[0]}; expected images of one size"
                )
            seen = _on_black(still)
            picture = Picture(number, still, self._is_cut(seen))
            self.cuts += picture.begins
            if not self._dedup:
                yield picture
                continue
            time = Fraction(number, _RATE)
            for each, is_repeat in finder.add(picture, seen, time, picture.begins):
                self.repeats += is_repeat
                if not is_repeat:
                    yield each
        yield from (each for each, _ in finder.rest())


def _on_black(still: Still) -> NDArray[Any]:
    """Return the pixels, black where they are transparent, for anything may stand there."""
    if still.alpha is None:
        return still.rgb
    return np.where(still.alpha[..., np.newaxis] > 0, still.rgb, np.zeros_like(still.rgb))
