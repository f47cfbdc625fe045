"""Images as a video's source: a folder or a pattern of them, shown at a rate."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av import VideoFrame
from av.video.stream import VideoStream

from media.errors import MediaError
from media.images.numbering import images_of, missing
from media.images.stills import MAX_PIXELS, Still, read_still
from media.options import Progress, Tell, VideoOptions
from media.pipeline import whole
from media.pixel_formats import has_alpha
from media.reading.source import SourceVideo
from media.resuming.job import Job
from media.schedule import Number, constant_rate
from media.summary import VideoSummary
from media.video import into_file
from runtime.errors import FrameError, InputNotFoundError, OptionError
from runtime.interpolator import Interpolator
from runtime.publishing import Publication


def interpolate_images(
    interpolate: Interpolator,
    source: str | Path,
    output: str | Path,
    rate: Number,
    options: VideoOptions,
    *,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = lambda *_: None,
    tell: Tell = lambda _: None,
) -> VideoSummary:
    """Write a video of images, with frames between them.

    It is made in one piece, as a source without alpha, whose colours are those of sRGB; images of
    16 bits make it one of more than 8.

    Args:
        source: a folder of images of one size and depth, or a pattern, as `interpolate_folder`
            takes them; one is enough.
        rate: images a second.
        options: `segment` is of no account, and `start` and `end` are refused.
        max_pixels: of an image, as `read_still` takes it.
        progress: see `interpolate_video`.
        tell: called with lines for people about the source: what is not kept, or missing.

    Raises:
        InputNotFoundError: there is no such folder, or no image in it.
        MediaError: an image cannot be decoded, or has alpha, and `encoding` asks for no pixel
            format without; or FFmpeg cannot encode them.
        FrameError: images are of several sizes or depths, or the artifact does not take these.
        OptionError: the rate is no number above 0, and at most 10,000; or see `Schedule.of`.
        OutputError: see `Publication`.
    """
    source, output, rate = Path(source), Path(output), constant_rate("rate", rate)
    if options.start is not None or options.end is not None:
        raise OptionError("a video of images is made whole; leave out start and end")
    images = images_of(source)
    if not images:
        raise InputNotFoundError(f"{source}: holds no images")
    Job.tidied(output)
    publication = Publication(output, overwrite=options.overwrite)
    opaque = options.encoding.pix_fmt is not None and not has_alpha(options.encoding.pix_fmt)
    footage = Footage(images, rate, max_pixels, opaque=opaque)
    with SourceVideo.opened(source, options, lambda: footage) as video:
        timing = video.timing
        each = timing.shown_rate * timing.schedule.slowdown / timing.rate
        total = int(len(images) * each)
        file = into_file(video, output, publication)
        made = whole(video, interpolate, file, lambda done, _, at: progress(done, total, at))
    if gaps := missing(images):
        tell(f"{gaps}; the images beside are taken for neighbours")
    return replace(made, left_out=[*footage.left_out(), *made.left_out])


class Footage:
    """Images as the bytes of a file that holds their pixels one after the other.

    Args:
        rate: images a second.
        max_pixels: of an image, as `read_still` takes it.
        opaque: alpha is left out; else an image that has some is refused.
    """

    def __init__(
        self, images: Sequence[Path], rate: Fraction, max_pixels: int, *, opaque: bool
    ) -> None:
        self._images, self._rate = images, rate
        self._max_pixels, self._opaque = max_pixels, opaque
        self._profiles = self._alphas = 0
        self._pieces = self._muxed()
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end.

        Raises:
            MediaError, FrameError: see `interpolate_images`.
        """
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def left_out(self) -> list[str]:
        """Return for people what of the images that were read is not in the video."""
        counts = {"ICC profile": self._profiles, "alpha": self._alphas}
        return [f"{what} of {count} images" for what, count in counts.items() if count]

    def _muxed(self) -> Iterator[bytes]:
        file, base = io.BytesIO(), 1 / self._rate
        with av.open(file, "w", format="nut") as writer:
            stream = cast(VideoStream, writer.add_stream("rawvideo", self._rate))
            for index, frame in enumerate(self._frames()):
                if not index:
                    stream.width, stream.height = frame.width, frame.height
                    stream.pix_fmt = frame.format.name
                    stream.codec_context.time_base = base
                frame.pts, frame.time_base = index, base
                writer.mux(stream.encode(frame))
                yield _drained(file)
        yield _drained(file)

    def _frames(self) -> Iterator[VideoFrame]:
        first: Still | None = None
        for path in self._images:
            still = read_still(path, max_pixels=self._max_pixels)
            if still.alpha is not None and not self._opaque:
                raise MediaError(
                    f"{path}: has alpha, which is not interpolated in videos; to leave it out, ask "
                    "for a pixel format without, such as yuv420p",
                    remedy=("pix_fmt", "yuv420p"),
                )
            first = still if first is None else first
            if (still.rgb.shape, still.rgb.dtype) != (first.rgb.shape, first.rgb.dtype):
                raise FrameError(
                    f"{path}: is {_kind(still)}, and {self._images[0].name} {_kind(first)}; "
                    "expected images of one size and depth"
                )
            self._profiles += still.profile
            self._alphas += still.alpha is not None
            yield _frame_of(still)


def _frame_of(still: Still) -> VideoFrame:
    if still.rgb.dtype == np.uint8:
        return VideoFrame.from_ndarray(still.rgb, format="rgb24")
    levels = np.rint(still.rgb * np.float32(65535)).astype(np.uint16)
    return VideoFrame.from_ndarray(levels, format="rgb48le")


def _kind(still: Still) -> str:
    height, width, _ = still.rgb.shape
    return f"{width}x{height} of {8 if still.rgb.dtype == np.uint8 else 16} bits"


def _drained(file: io.BytesIO) -> bytes:
    content = file.getvalue()
    file.seek(0)
    file.truncate()
    return content
