"""How frames are encoded: which encoder, with which options, in which pixel format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av import VideoFrame
from av.codec.codec import find_best_pix_fmt_of_list
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from media.encoder_log import quiet
from media.errors import MediaError
from media.pixel_formats import bits_of
from runtime.errors import OptionError, shown
from runtime.options import check_whole

CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9"}
# Visually lossless, for a source frame should not suffer for its new neighbours.
_CRF = 17
# x264 clips what is beyond; the others refuse it when they are opened, without saying why.
_LARGEST_CRF = {"libx264": 51, "libx264rgb": 51, "libx265": 51, "libvpx": 63, "libvpx-vp9": 63,
                "libaom-av1": 63, "libsvtav1": 63}  # fmt: skip
# x264 prints to the terminal of its own accord when it is given another.
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
            "veryslow", "placebo")  # fmt: skip
_HAS_PRESETS = ("libx264", "libx264rgb", "libx265")


def format_of(output: Path) -> str:
    """Return FFmpeg's name of the container that a suffix stands for.

    Raises:
        MediaError: it stands for none.
    """
    suffix = output.suffix.lower()
    if suffix not in CODECS:
        raise MediaError(
            f"{output}: no container is known by {output.suffix or 'no suffix'}; "
            f"use one of {', '.join(CODECS)}"
        )
    return "matroska" if suffix == ".mkv" else suffix[1:]


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded, by FFmpeg's names.

    Attributes:
        codec: an encoder, such as libx265 or ffv1; None takes H.264, or VP9 for .webm.
        crf: constant rate factor, for encoders that have one; lower is better and larger.
        preset: such as veryfast or slow; None leaves the encoder's own.
        pix_fmt: None takes the source's, or what comes nearest of those the encoder has.

    Raises:
        OptionError: a name is none, or crf is not a whole number from 0 on.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None

    def __post_init__(self) -> None:
        for name in ("codec", "preset", "pix_fmt"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise OptionError(f"{name} is {shown(value)}; expected a name that FFmpeg knows")
        if self.crf is not None:
            check_whole("crf", self.crf, 0)


@dataclass(frozen=True)
class Pictures:
    """What is encoded: a pixel format by name, a size in pixels, frames a second on average."""

    pix_fmt: str
    width: int
    height: int
    rate: Fraction


class Encoder:
    """An encoder that is known to be here, and to take what it was asked for.

    Attributes:
        name: FFmpeg's.
        options: that it is opened with.

    Raises:
        MediaError: there is no such encoder, or it has no such rate factor, preset or pixel format.
    """

    def __init__(self, encoding: Encoding, output: Path | str, time_base: Fraction) -> None:
        self.name = encoding.codec or CODECS[Path(output).suffix.lower()]
        self._encoding = encoding
        self._output = output
        self._time_base = time_base
        try:
            codec = av.Codec(self.name, "w")
        except av.codec.codec.UnknownCodecError as error:
            raise MediaError(
                f"{output}: no encoder {self.name} here; see ffmpeg -encoders"
            ) from error
        if codec.type != "video":
            raise MediaError(
                f"{output}: {self.name} encodes {codec.type}; expected an encoder of video"
            )
        self._formats = [pix_fmt.name for pix_fmt in codec.video_formats or ()]
        if encoding.pix_fmt and self._formats and encoding.pix_fmt not in self._formats:
            raise MediaError(
                f"{output}: {self.name} has no pixel format {encoding.pix_fmt}; "
                f"it has {', '.join(self._formats)}"
            )
        self.options = self._checked_options()

    def pixel_format(self, given: Pictures) -> str:
        """Return what was asked for, else the frames' own, else what comes nearest of those it has.

        The encoder is opened once in it, for no table knows the sizes and presets that it takes.

        Raises:
            MediaError: it cannot encode such frames, or has no such preset.
        """
        wanted = self._wanted(given)
        for pix_fmt in wanted:
            if self._opens(replace(given, pix_fmt=pix_fmt), self.options):
                return pix_fmt
        size = f"{given.pix_fmt} of {given.width}x{given.height}"
        if not wanted:
            raise MediaError(
                f"{self._output}: {self.name} cannot hold {size} without loss; choose another "
                f"codec, or one of its pixel formats: {', '.join(self._formats)}"
            )
        others = {key: value for key, value in self.options.items() if key != "preset"}
        if "preset" in self.options and self._opens(replace(given, pix_fmt=wanted[0]), others):
            raise MediaError(
                f"{self._output}: {self.name} has no preset {self.options['preset']}; "
                f"see ffmpeg -h encoder={self.name}"
            )
        raise MediaError(
            f"{self._output}: {self.name} does not encode {size} here, not as "
            f"{' or '.join(wanted)} with times of {self._time_base} s; choose another codec or "
            "pixel format"
        )

    def add_stream(
        self, container: OutputContainer, frame: VideoFrame, rate: Fraction, pixel_aspect: Fraction
    ) -> VideoStream:
        """Add a stream of frames like this one, with its pixel format and colours, to a container.

        Raises:
            MediaError: the container does not hold what this encoder makes.
        """
        try:
            stream = container.add_stream(self.name, rate, self.options)
        except ValueError as error:
            raise MediaError(
                f"{self._output}: no encoder {self.name} here, or not for this container: {error}"
            ) from error
        encoder = cast(VideoStream, stream)
        encoder.width, encoder.height = frame.width, frame.height
        encoder.pix_fmt = frame.format.name
        encoder.time_base = self._time_base
        context = encoder.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = pixel_aspect
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(frame, tag))
        return encoder

    def _checked_options(self) -> dict[str, str]:
        options = {}
        crf, preset = self._encoding.crf, self._encoding.preset
        largest = _LARGEST_CRF.get(self.name)
        if largest is not None:
            options["crf"] = str(_CRF if crf is None else crf)
        if crf is not None and largest is None:
            raise MediaError(
                f"{self._output}: {self.name} has no constant rate factor; leave it out"
            )
        if crf is not None and largest is not None and not 0 <= crf <= largest:
            raise MediaError(
                f"{self._output}: a constant rate factor of {crf}; "
                f"{self.name} has 0, the best, to {largest}"
            )
        if preset is not None:
            if self.name in _HAS_PRESETS and preset not in _PRESETS:
                raise MediaError(
                    f"{self._output}: {self.name} has no preset {preset}; "
                    f"it has {', '.join(_PRESETS)}"
                )
            options["preset"] = preset
        if self.name.startswith("libvpx"):
            options["b"] = "0"  # or the rate would be bounded
        if self.name == "libx265":
            options["x265-params"] = "log-level=none"  # it prints past FFmpeg's log
        return options

    def _wanted(self, given: Pictures) -> list[str]:
        """Return the pixel formats to try, the best first."""
        if self._encoding.pix_fmt:
            return [self._encoding.pix_fmt]
        own = VideoFormat(given.pix_fmt)
        if not self._formats:
            return [own.name]  # rawvideo takes any
        deep = bits_of(own) > 8
        wanted = []
        if not own.is_rgb:
            best, _ = find_best_pix_fmt_of_list(self._formats, own.name)
            wanted = [own.name] if own.name in self._formats else [best.name] if best else []
        elif self._encoding.codec:
            wanted = [own.name]  # players want YUV; who names an encoder that has RGB gets it
        # Many cannot subsample the chroma of odd sizes.
        sampling = "yuv444p" if given.width % 2 or given.height % 2 else "yuv420p"
        wanted.append(sampling + ("10le" if deep else ""))
        return [
            name
            for name in dict.fromkeys(wanted)
            if name in self._formats and (bits_of(name) > 8 or not deep)
        ]

    def _opens(self, given: Pictures, options: dict[str, str]) -> bool:
        """Say whether the encoder takes such pictures, and all of these options."""
        context = av.CodecContext.create(self.name, "w")
        assert isinstance(context, VideoCodecContext)  # noqa: S101 - known to encode video
        context.width, context.height, context.pix_fmt = given.width, given.height, given.pix_fmt
        context.time_base = self._time_base
        context.framerate = given.rate
        context.options = dict(options)
        try:
            with quiet(self.name):
                context.open()
        except (av.FFmpegError, ValueError, OverflowError):
            return False
        return "preset" not in context.options  # what it did not know is left there
