"""A GStreamer element that multiplies the frame rate of a video: rrin.

python examples/gst/rrin.py filesrc location=a.mp4 ! decodebin ! videoconvert ! rrin ! autovideosink

An application has it, too, once it has imported this file. Properties are `factor` (2) and `model`,
an artifact. GStreamer for Python comes with the system (Debian: python3-gi, gir1.2-gstreamer-1.0,
gir1.2-gst-plugins-base-1.0). The element holds a frame back until the next has come, and does not
say so to live pipelines; at the end, the last frame is shown for as long as it was.
"""

import ctypes
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.platform == "linux":
    # Debian's GStreamer brings libunwind, and where that is found before libgcc, the first C++
    # exception within OpenVINO or ONNX Runtime ends the process.
    ctypes.CDLL("libgcc_s.so.1", ctypes.RTLD_GLOBAL)
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, GObject, Gst, GstVideo  # noqa: E402

from runtime import CutDetector, Interpolator, RrinError  # noqa: E402

Gst.init(None)
CAPS = Gst.Caps.from_string("video/x-raw,format=RGB")


class Rrin(Gst.Element):
    """Pushes each frame that comes, and before it those between it and the last one."""

    __gtype_name__ = "Rrin"
    __gstmetadata__ = ("RRIN", "Filter/Effect/Video", "Multiplies the frame rate", "rrin-deploy")
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, CAPS)
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC))
    )

    factor = GObject.Property(type=int, default=2, minimum=2, maximum=1000, nick="Frames for each")
    model = GObject.Property(type=str, default="", nick="An artifact; none is the bundled model")

    def __init__(self) -> None:
        super().__init__()
        taken, given = self.__gsttemplates__
        sink = Gst.Pad.new_from_template(taken, "sink")
        sink.set_chain_function_full(self._take)
        sink.set_event_function_full(self._follow)
        self._out = Gst.Pad.new_from_template(given, "src")
        self.add_pad(sink)
        self.add_pad(self._out)
        self._interpolate: Interpolator | None = None
        self._begin()

    def _begin(self) -> None:
        self._last: tuple[NDArray[np.uint8], int, int] | None = None  # shown when, how long: ns
        self._is_cut = CutDetector()

    def do_change_state(self, transition: Gst.StateChange) -> Gst.StateChangeReturn:
        """Open the artifact before the first frame, and close it behind the last."""
        if transition == Gst.StateChange.NULL_TO_READY:
            try:
                self._interpolate = Interpolator(self.model or None)
            except RrinError as error:
                return self._failed(error, Gst.StateChangeReturn.FAILURE)
        done = Gst.Element.do_change_state(self, transition)
        if transition == Gst.StateChange.READY_TO_NULL and self._interpolate:
            self._interpolate.close()
        return done

    def _follow(self, pad: Gst.Pad, parent: Gst.Object, event: Gst.Event) -> bool:
        """Pass on what is said of the frames, with the rate of those that go out."""
        ends = (Gst.EventType.EOS, Gst.EventType.SEGMENT, Gst.EventType.CAPS)
        if event.type in ends and self._last:
            self._push([self._last[0]] * self.factor)
        if event.type in (*ends, Gst.EventType.FLUSH_STOP):
            self._begin()
        if event.type == Gst.EventType.CAPS:
            caps = event.parse_caps()
            self._info = GstVideo.VideoInfo.new_from_caps(caps)
            faster = caps.copy()
            rate = Fraction(self._info.fps_n, self._info.fps_d or 1) * self.factor
            faster.set_value("framerate", Gst.Fraction(rate.numerator, rate.denominator))
            return self._out.push_event(Gst.Event.new_caps(faster))
        return pad.event_default(parent, event)

    def _take(self, _pad: Gst.Pad, _parent: Gst.Object, buffer: Gst.Buffer) -> Gst.FlowReturn:
        frame = self._read(buffer)
        last = self._last
        is_cut = self._is_cut(frame)
        done = Gst.FlowReturn.OK
        if last and self._interpolate:
            times = np.arange(1, self.factor) / self.factor
            between = [last[0] if t < 0.5 else frame for t in times]
            if not is_cut:
                try:
                    between = [*self._interpolate(last[0], frame, times)]
                except RrinError as error:
                    return self._failed(error, Gst.FlowReturn.ERROR)
            self._last = (last[0], last[1], max(buffer.pts - last[1], 0))
            done = self._push([last[0], *between])
        known = buffer.duration != Gst.CLOCK_TIME_NONE
        self._last = frame, buffer.pts, buffer.duration if known else 0
        return done

    def _push(self, frames: list[NDArray[np.uint8]]) -> Gst.FlowReturn:
        """Push what is shown from the last frame on, evenly spread over its time."""
        assert self._last  # noqa: S101 - as is known where it is called
        _, began, lasts = self._last
        ends = [began + lasts * index // len(frames) for index in range(len(frames) + 1)]
        for frame, start, end in zip(frames, ends, ends[1:], strict=False):
            made = Gst.Buffer.new_wrapped(self._written(frame))
            made.pts, made.duration = start, end - start
            done = self._out.push(made)
            if done != Gst.FlowReturn.OK:
                return done
        return Gst.FlowReturn.OK

    def _read(self, buffer: Gst.Buffer) -> NDArray[np.uint8]:
        """Return (H, W, 3); what pads the rows is left out."""
        height, width = self._info.height, self._info.width
        content = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
        rows = content[: height * self._info.stride[0]].reshape(height, -1)
        return rows[:, : 3 * width].reshape(height, width, 3)

    def _written(self, frame: NDArray[np.uint8]) -> bytes:
        height, width = frame.shape[:2]
        padding = self._info.stride[0] - 3 * width
        return np.pad(frame.reshape(height, 3 * width), ((0, 0), (0, padding))).tobytes()

    def _failed(self, error: RrinError, result: Any) -> Any:
        self.post_message(Gst.Message.new_error(self, GLib.Error(str(error)), ""))
        return result


Gst.Element.register(None, "rrin", Gst.Rank.NONE, Rrin)


def main(description: str) -> int:
    """Run a pipeline to its end."""
    pipeline = Gst.parse_launch(description)
    pipeline.set_state(Gst.State.PLAYING)
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        error, _ = message.parse_error()
        sys.exit(f"error: {error.message}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(" ".join(sys.argv[1:])))
    except GLib.Error as error:  # such as of a pipeline that is none
        sys.exit(f"error: {error.message}")
