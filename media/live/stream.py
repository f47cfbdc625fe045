"""Live streams: captured, filled up with frames and sent on, all at the same time, by the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from media.encoding import Encoding
from media.live.address import Address
from media.live.capture import Capture
from media.live.pacing import Pacing
from media.live.sink import open_sink, replaced
from media.live.stages import Filler, LiveStages
from media.live.stats import LiveStats
from media.options import Tell
from media.schedule import Number, constant_rate
from runtime.cuts import THRESHOLD
from runtime.errors import OptionError
from runtime.interpolator import Interpolator
from runtime.options import check_within


@dataclass(frozen=True)
class LiveOptions:
    """How a live stream is made.

    Attributes:
        fps: frames a second of the output, constant.
        latency: from a frame's arrival until it is shown, seconds, at most 60. It has to hold the
            interval between two source frames and the time that those between take; what is not
            there by then is replaced by the nearest frame.
        seconds: after which it ends by itself; None for never.
        cut_threshold: see `CutDetector`; None looks for no cuts.
        encoding: how frames are encoded; what is None is chosen for the sink, without delay.
        source_options, sink_options: FFmpeg's, such as {"framerate": "60"} of a camera.
        overwrite: replace an existing file.

    Raises:
        OptionError: a number is not as above.
    """

    fps: Number
    latency: float = 0.2
    seconds: float | None = None
    cut_threshold: float | None = THRESHOLD
    encoding: Encoding = field(default_factory=Encoding)
    source_options: Mapping[str, str] = field(default_factory=dict)
    sink_options: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False

    def __post_init__(self) -> None:
        constant_rate("fps", self.fps)
        check_within("latency", self.latency, 0, 60)
        if self.seconds is not None:
            check_within("seconds", self.seconds, 0)
        if self.cut_threshold is not None:
            check_within("cut_threshold", self.cut_threshold, 0, 1)


class Live:
    """A live stream at another frame rate, with a fixed latency; `run` does it.

    Example:
        with Interpolator() as interpolate:
            live = Live(interpolate, "udp://@:5000", "udp://127.0.0.1:5001", LiveOptions(fps=60))
            live.run()

    Args:
        source: a URL (udp, rtp, rtsp, srt, rtmp, tcp, http, HLS), a file, which is read at its own
            pace, - for standard input, /dev/video0, or FORMAT:NAME of another device, such as
            avfoundation:0 or dshow:video=Camera. What is lost is opened again, but for files
            and pipes.
        sink: likewise; a file is .mp4, .mkv, .mov, .webm, .ts or .m3u8; window, where FFmpeg has
            SDL.
        tell: called with lines for people, from several threads.
        watch: called with the statistics of every second.
    """

    def __init__(
        self,
        interpolate: Interpolator,
        source: str,
        sink: str,
        options: LiveOptions,
        *,
        tell: Tell = lambda _: None,
        watch: Callable[[LiveStats], None] = lambda _: None,
    ) -> None:
        self._interpolate = interpolate
        self._source = Address.of(source)
        self._sink = Address.of(sink)
        self._options = options
        self._tell = tell
        self._watch = watch
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have `run` finish its output and return."""
        self._stopping.set()

    def run(self) -> LiveStats:
        """Run until the source has ended, the seconds are over, or `stop` is called.

        Where it is broken off, as by Ctrl-C, the output is finished all the same.

        Returns:
            The statistics of the whole.

        Raises:
            InputNotFoundError, MediaError: the source or the sink cannot be opened, decoded or
                encoded; or no frame has come for a file.
            OptionError: the sink would replace the source; or a file was given `source_options`.
            BrokenPipeError: the sink is a pipe that nobody reads any more.
            OutputError: a file cannot be written; see `Publication`.
            FrameError, ArtifactError, BackendError: as for a call of the interpolator.
        """
        options = self._options
        rate = constant_rate("fps", options.fps)
        self._check()
        broken_off: BaseException | None = None
        with open_sink(
            self._sink,
            rate,
            options.encoding,
            options=options.sink_options,
            overwrite=options.overwrite,
            tell=self._tell,
            now=time.monotonic,
        ) as sink:
            capture = Capture(
                self._source, options.source_options, self._tell, time.monotonic,
                self._stopping.wait,
            )  # fmt: skip
            stages = LiveStages(
                capture,
                Filler(self._interpolate, options.cut_threshold),
                sink,
                Pacing(rate, options.latency),
                self._stopping,
                self._tell,
            )
            try:
                stages.run(self._watch, options.seconds)
            except BaseException as error:
                if not sink.frames:
                    raise
                broken_off = error  # raised when what there is has been written
        if broken_off is not None:
            raise broken_off
        return stages.stats()

    def _check(self) -> None:
        source = self._source
        if not source.is_file:
            return
        path = Path(source.name)
        if path.exists() and any(each.samefile(path) for each in replaced(self._sink)):
            raise OptionError(
                f"{self._sink.shown}: would replace the source; choose another output"
            )
        if self._options.source_options:
            raise OptionError(
                f"{source.shown}: is a file, and takes no source options; they are for devices and "
                "streams"
            )
