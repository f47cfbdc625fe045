"""A source video, opened: its stream, and when its frames are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av import VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from media.deinterlacing import frames_of_one
from media.errors import MediaError
from media.filling import Interval
from media.options import VideoOptions
from media.reading.container import Bytes, chosen_video, claimed_seconds, open_media, said_rate
from media.reading.decoding import Decoding
from media.reading.segments import WHOLE, Segment
from media.schedule import Schedule
from runtime.errors import OptionError

# Opens a source that does not lie at its path.
Opener = Callable[[], Bytes]


@dataclass(frozen=True)
class Timing:
    """When frames are shown.

    Attributes:
        rate: frames a second of the source, on average, deinterlaced.
        schedule: what follows from it.
    """

    rate: Fraction
    schedule: Schedule

    @classmethod
    def of(cls, stream: VideoStream, options: VideoOptions, source: Path) -> Timing:
        """Choose by what was asked for.

        Raises:
            MediaError: the stream does not say its frame rate.
            OptionError: see `Schedule.of`.
        """
        rate = said_rate(stream)
        if not rate or not stream.time_base:
            raise MediaError(f"{source}: does not say its frame rate")
        rate *= frames_of_one(options.deinterlace)
        schedule = Schedule.of(
            factor=options.factor,
            fps=options.fps,
            slow=options.slow,
            source_rate=rate,
            source_base=stream.time_base,
        )
        return cls(rate, schedule)

    @property
    def shown_rate(self) -> Fraction:
        """Frames a second of the output, on average."""
        schedule = self.schedule
        return schedule.rate or self.rate * (schedule.factor or 1) / schedule.slowdown

    @property
    def constant(self) -> Timing:
        """The same at a constant rate, for formats that do not say when frames are shown.

        Raises:
            OptionError: see `Schedule.constant`.
        """
        return replace(self, schedule=self.schedule.constant(self.shown_rate))


@dataclass(frozen=True)
class Head:
    """What a video, or a part, begins with: a frame, and when the source shows it, seconds."""

    frame: VideoFrame
    start: Fraction


@dataclass(frozen=True)
class SourceVideo:
    """A source while it is read.

    Attributes:
        path: its name, for messages too.
        stream: the one that is interpolated.
    """

    path: Path
    options: VideoOptions
    reader: InputContainer
    stream: VideoStream
    timing: Timing

    @classmethod
    @contextmanager
    def opened(
        cls,
        path: Path,
        options: VideoOptions,
        opener: Opener | None = None,
        leave: Callable[[], None] | None = None,
    ) -> Iterator[SourceVideo]:
        """Open a file.

        Args:
            opener: opens what is read in its place.
            leave: see `open_media`.

        Raises:
            InputNotFoundError, OptionError, MediaError: see `open_media`, `chosen_video` and
                `Timing.of`.
        """
        with open_media(path, opener, leave) as reader:
            stream = chosen_video(reader, options.stream, path)
            stream.thread_type = "AUTO"
            pix_fmt = stream.codec_context.pix_fmt or ""
            if reader.format.name == "yuv4mpegpipe" and pix_fmt.startswith("yuv420p1"):
                # In more than 8 bits y4m does not say where chroma lies: as encoders put it.
                stream.codec_context.options = {"chroma_sample_location": "left"}
            yield cls(path, options, reader, stream, Timing.of(stream, options, path))

    @property
    def pixel_aspect(self) -> Fraction:
        """The width of a pixel for its height."""
        return self.stream.sample_aspect_ratio or Fraction(1)

    @property
    def frames_expected(self) -> int:
        """How many frames the output will have, as far as the source says; else 0."""
        timing = self.timing
        seconds = claimed_seconds(self.reader, self.stream)
        said = int(self.stream.frames * frames_of_one(self.options.deinterlace))
        frames = said or int(seconds * timing.rate)
        begin, end = self.options.span
        last = frames if end is None else min(frames, int(end * timing.rate))
        frames = max(0, last - int(begin * timing.rate))
        return int(frames * timing.shown_rate * timing.schedule.slowdown / timing.rate)

    def decoding(
        self,
        copied: Sequence[Stream] = (),
        segment: Segment = WHOLE,
        start: Fraction = Fraction(0),
    ) -> Decoding:
        """Return the stage that decodes it; see `Decoding`."""
        return Decoding(
            self.reader,
            self.stream,
            self.path,
            copied=copied,
            rate=self.timing.rate,
            schedule=self.timing.schedule,
            cut_threshold=self.options.cut_threshold,
            dedup=self.options.dedup,
            deinterlacing=self.options.deinterlace,
            segment=segment,
            start=start,
        )


def head_of(
    source: Path, options: VideoOptions, first: Segment = WHOLE, opener: Opener | None = None
) -> Head:
    """Decode the first frame; the other arguments are those of `SourceVideo.opened`.

    Args:
        first: the segment that it begins with.

    Raises:
        OptionError: the source shows no frame in the part of it that the options ask for.
        MediaError: none can be decoded; see `Decoding.run`.
    """
    # Whatever comes before it, a part's first frame repeats nothing.
    with SourceVideo.opened(source, replace(options, dedup=False), opener) as video:
        decoding = video.decoding(segment=first)
        for item in decoding.run():
            if isinstance(item, Interval):
                return Head(item.after.video, decoding.shown_from)
        begin, end = options.span
        until = "on" if end is None else f"until {float(end):g} s"
        seconds = float(claimed_seconds(video.reader, video.stream))
        says = f"; it lasts {seconds:.3f} s" if seconds else ""
        raise OptionError(
            f"{source}: shows no new frame from {float(begin):g} s {until}{says}; expected a part "
            "that holds one"
        )
