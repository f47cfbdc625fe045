"""What a video costs beside the network: the way of its frames, with averages as those made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.filling import Filling
from media.options import VideoOptions
from media.pipeline import run
from media.reading.source import SourceVideo
from media.writing.writer import open_writer
from runtime.frames import Frame
from runtime.publishing import Publication

_SECONDS = 4.0


@dataclass(frozen=True)
class Rehearsal:
    """What was measured.

    Attributes:
        size: of the frames, (width, height), pixels.
        rate: of the output, frames a second, on average.
        frames: of the output, that were written.
        seconds: from one frame of the output to the next.
        processor_seconds: of all cores together, a frame of the output.
    """

    size: tuple[int, int]
    rate: float
    frames: int
    seconds: float
    processor_seconds: float


class _Average:
    """In an `Interpolator`'s place: costs next to nothing, and an encoder what frames do."""

    def fill(
        self, frames: Iterable[tuple[Frame, Sequence[float] | NDArray[np.float32]]]
    ) -> Iterator[tuple[Frame, NDArray[Any]]]:
        before = None
        for frame, times in frames:
            other = frame if before is None else before
            yield frame, np.repeat((frame // 2 + other // 2)[None], len(times), axis=0)
            before = frame


def rehearse(source: str | Path, options: VideoOptions) -> Rehearsal:
    """Decode, convert and encode a video for some seconds, as `interpolate_video` makes an .mp4.

    Sound and whatever else is copied is left out, and nothing of it is kept.

    Raises: as `interpolate_video`.
    """
    source = Path(source)
    # Neither is a cost that every frame has.
    options = replace(options, cut_threshold=None, dedup=False)
    with TemporaryDirectory() as folder, SourceVideo.opened(source, options) as opened:
        output, timing = Path(folder) / "rehearsal.mp4", opened.timing
        started, worked = time.perf_counter(), time.process_time()
        with open_writer(
            Publication(output),
            output,
            options.encoding,
            rate=timing.shown_rate,
            time_base=timing.schedule.time_base,
            pixel_aspect=opened.pixel_aspect,
        ) as writer:
            until = started + _SECONDS
            items = takewhile(lambda _: time.perf_counter() < until, opened.decoding().run())
            frames, _ = run(items, Filling(_Average()), writer, lambda *_: None)
        return Rehearsal(
            size=(opened.stream.width, opened.stream.height),
            rate=float(timing.shown_rate),
            frames=frames,
            seconds=(time.perf_counter() - started) / frames,
            processor_seconds=(time.process_time() - worked) / frames,
        )
