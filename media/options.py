"""What is asked for of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from media.deinterlacing import Deinterlacing, check_deinterlacing
from media.encoding import Encoding
from media.schedule import Number, rational
from runtime.cuts import THRESHOLD
from runtime.errors import OptionError, shown
from runtime.options import check_flag, check_whole, check_within

Progress = Callable[[int, int, float], None]
Tell = Callable[[str], None]
SEGMENT = 20.0  # seconds: short enough to lose little, long enough for encoders not to notice


@dataclass(frozen=True)
class VideoOptions:
    """What `interpolate_video` makes; `factor`, or `fps`, or `slow`, or `slow` at `fps`.

    These are numbers of any kind; a Fraction is exact, as is 59.94, which means 2997/50.

    Attributes:
        factor: times the source's frame rate. A whole one divides each interval between two frames,
            whatever its length, so that variable frame rates stay as they are.
        fps: frames a second, constant.
        slow: times as long, at the source's frame rate or at `fps`; without audio and subtitles.
        stream: which of the video streams, from 0; None takes the best.
        cut_threshold: see `CutDetector`; None looks for no cuts.
        dedup: look for frames that only repeat the one before, as in animation on twos, and make
            frames in their place, so that motion goes on evenly; see `RepeatFinder`. Fewer source
            frames are shown, and more are made.
        encoding: how frames are encoded.
        transcode: encode anew sound and text that the output's container does not hold as they
            are, such as PCM as AAC in .mp4; False refuses such sources.
        overwrite: replace an existing output.
        segment: seconds of source that are worked through at a time, at least, so that a run that
            ends early loses no more; shorter ones cost a keyframe each. Videos of fewer than two
            are made in one piece, as all are with 0.
        start: seconds from the first frame on, as players show them; what is shown before is left
            out. Exact as `factor` is: the first frame made is the first one shown at or after it.
        end: seconds as for `start`; what is shown at or after it is left out, and the last frame
            is shown until then, or until the video ends.
        deinterlace: "fields" makes a frame of each field, twice the source's rate, and "telecine"
            finds the 24 frames of a film again in 30 interlaced ones; `factor` and `slow` are of
            what comes of it. A telecined video is made in one piece. None refuses interlaced
            frames.
    """

    factor: Number | None = None
    fps: Number | None = None
    slow: Number | None = None
    stream: int | None = None
    cut_threshold: float | None = THRESHOLD
    dedup: bool = False
    encoding: Encoding = field(default_factory=Encoding)
    transcode: bool = True
    overwrite: bool = False
    segment: float = SEGMENT
    start: Number | None = None
    end: Number | None = None
    deinterlace: Deinterlacing | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.encoding, Encoding):
            raise OptionError(f"encoding is {shown(self.encoding)}; expected an Encoding")
        check_within("segment", self.segment, 0)
        check_flag("dedup", self.dedup)
        check_deinterlacing(self.deinterlace)
        start, end = self.span
        if start < 0:
            raise OptionError(f"start is {float(start):g} s; expected 0 or more")
        if end is not None and end <= start:
            raise OptionError(
                f"end is {float(end):g} s, and start {float(start):g} s; expected an end after "
                "the start"
            )

    @property
    def span(self) -> tuple[Fraction, Fraction | None]:
        """`start` and `end`, exact."""
        start = Fraction(0) if self.start is None else rational("start", self.start)
        return start, None if self.end is None else rational("end", self.end)


@dataclass(frozen=True)
class Share:
    """One of several equal shares of a video's segments.

    Attributes:
        number: which, from 1.
        of: how many there are.

    Raises:
        OptionError: the numbers are not so.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        check_whole("the number of shares", self.of, 1)
        check_whole("share", self.number, 1, self.of)
