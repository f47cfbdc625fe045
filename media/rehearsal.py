"""What a video costs beside the network: the way of its frames, with blends as those made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from av import Packet
from numpy.typing import NDArray

from media.errors import MediaError
from media.filling import Filling, Interval
from media.options import VideoOptions
from media.pipeline import run, writer_of
from media.reading.source import SourceVideo
from media.writing.streams import alpha_left_out
from runtime.frames import Frame
from runtime.publishing import Publication

_SECONDS = 4.0
_LEAST = 3  # intervals, whatever they take; the first holds no pair


@dataclass(frozen=True)
class Rehearsal:
    """What was measured.

    Attributes:
        size: of the frames, (width, height), pixels.
        rate: of the output, frames a second, on average.
        frames: of the output, that were written.
        seconds: a frame of the output, beginning and end included.
        processor_seconds: of all cores together, a frame of the output.
    """

    size: tuple[int, int]
    rate: float
    frames: int
    seconds: float
    processor_seconds: float


class _Blend:
    """In an `Interpolator`'s place: costs an encoder what made frames do.

    Attributes:
        seconds: that its own thread worked.
        pairs: between which frames were wanted.
    """

    def __init__(self) -> None:
        self.seconds, self.pairs = 0.0, 0

    def fill(
        self, frames: Iterable[tuple[Frame, Sequence[float] | NDArray[np.float32]]]
    ) -> Iterator[tuple[Frame, NDArray[Any]]]:
        before = None
        for frame, times in frames:
            started = time.thread_time()
            first = frame if before is None else before
            made = np.empty((len(times), *frame.shape), frame.dtype)
            for place, t in enumerate(times):
                made[place] = first + (frame.astype(np.float32) - first) * np.float32(t)
            self.seconds += time.thread_time() - started
            self.pairs += len(times) > 0
            yield frame, made
            before = frame


def rehearse(source: str | Path, options: VideoOptions) -> Rehearsal:
    """Decode, convert and encode a video for some seconds, as `interpolate_video` makes an .mp4.

    Cuts and repeats are not looked for. Sound and whatever else is copied is left out, and nothing
    of it is kept.

    Raises: as `interpolate_video`.

    Raises:
        MediaError: it holds one frame.
    """
    source = Path(source)
    options = replace(options, cut_threshold=None, dedup=False)
    with TemporaryDirectory() as folder, SourceVideo.opened(source, options) as opened:
        alpha_left_out(opened.stream, source, options.encoding.pix_fmt)
        output, blend = Path(folder) / "rehearsal.mp4", _Blend()
        started, worked = time.perf_counter(), time.process_time()
        with writer_of(opened, Publication(output), output) as writer:
            items = _for_some_seconds(opened.decoding().run())
            frames, _ = run(items, Filling(blend), writer, lambda *_: None)
        if not blend.pairs:
            raise MediaError(f"{source}: holds one frame; expected a video of more")
        return Rehearsal(
            size=(opened.stream.width, opened.stream.height),
            rate=float(opened.timing.shown_rate),
            frames=frames,
            seconds=(time.perf_counter() - started) / frames,
            processor_seconds=(time.process_time() - worked - blend.seconds) / frames,
        )


def _for_some_seconds(
    items: Iterator[Interval | Packet[Any]],
) -> Iterator[Interval | Packet[Any]]:
    until = time.perf_counter() + _SECONDS
    for number, item in enumerate(items, 1):
        yield item
        if number >= _LEAST and time.perf_counter() > until:
            return
