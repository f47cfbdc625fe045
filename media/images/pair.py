"""The image between two image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from media.images.stills import MAX_PIXELS, encoded, interpolate_stills, read_for, still_codec
from runtime.errors import OptionError
from runtime.interpolator import Interpolator
from runtime.options import check_within
from runtime.publishing import Publication


@dataclass(frozen=True)
class PairSummary:
    """What `interpolate_pair` did.

    Attributes:
        width, height: of the image, pixels.
        t: when between the two it is.
        profiles: the sources whose ICC profile is not kept.
    """

    width: int
    height: int
    t: float
    profiles: tuple[Path, ...]


def interpolate_pair(
    interpolate: Interpolator,
    source0: str | Path,
    source1: str | Path,
    output: str | Path,
    t: float = 0.5,
    *,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> PairSummary:
    """Write the image between two images of one size; see `interpolate_stills` on its colours.

    Args:
        source0, source1: images, as `read_still` reads them.
        output: the file, .png or .jpg.
        t: when between the two, in [0, 1]; at 0 and 1 stand the images themselves.
        overwrite: replace an existing output, which is never one of the sources.
        max_pixels: of an image, as `read_still` takes it.

    Raises:
        InputNotFoundError, OutputError: the files are not as expected; see `Publication`.
        MediaError: an image cannot be decoded, or the output cannot hold the result.
        FrameError: the images are of two sizes, or of 16 bits for an artifact of uint8.
        OptionError: t is not in [0, 1], or the output is one of the sources.
    """
    sources, output = (Path(source0), Path(source1)), Path(output)
    check_within("t", t, 0, 1)
    still_codec(output)
    if output.exists() and any(path.exists() and output.samefile(path) for path in sources):
        raise OptionError(f"{output}: is an input as well; choose another output")
    publication = Publication(output, overwrite=overwrite)
    still0, still1 = (read_for(interpolate, path, max_pixels) for path in sources)
    (middle,) = interpolate_stills(interpolate, still0, still1, [t])
    publication.write(encoded(output, middle))
    height, width = middle.rgb.shape[:2]
    lost = [path for path, still in zip(sources, (still0, still1), strict=True) if still.profile]
    return PairSummary(width, height, t, tuple(lost))
