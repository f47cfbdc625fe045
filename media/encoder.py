"""An encoder of FFmpeg: whether it is here, what it takes, and in which pixel format."""

from __future__ import annotations

from contextlib import suppress
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

from media.encoding import CODECS, Encoding
from media.errors import MediaError
from media.ffmpeg_log import logged, quiet
from media.pixel_formats import bits_of, has_alpha
from media.qualities import quality_of, quality_options

# Of more than 8 bits: players know no such H.264, and not every libvpx has them.
_DEEP = {"libx264": "libx265", "libvpx-vp9": "libsvtav1"}
# pixels; x265 writes beyond its own memory where both sides are shorter, which ends the process.
SMALLEST_DEEP = 64


@dataclass(frozen=True)
class Pictures:
    """What is encoded: a pixel format by name, a size in pixels, frames a second on average."""

    pix_fmt: str
    width: int
    height: int
    rate: Fraction


def _usual(output: Path, deep: bool) -> str:
    usual = CODECS[output.suffix.lower()]
    deeper = _DEEP[usual]
    return deeper if deep and deeper in av.codecs_available else usual


def _is_plain_rgb(name: str) -> bool:
    pix_fmt = VideoFormat(name)
    packed_in_bytes = all(component.bits >= 8 for component in pix_fmt.components)
    return pix_fmt.is_rgb and packed_in_bytes and not has_alpha(pix_fmt)


class Encoder:
    """An encoder that is known to be here, and to take what it was asked for.

    Args:
        deep: whether frames have more than 8 bits, for the choice where none is named.

    Attributes:
        name: FFmpeg's.
        options: that it is opened with.

    Raises:
        MediaError: there is no such encoder, or it has no such rate factor, preset or pixel format.
    """

    def __init__(
        self, encoding: Encoding, output: Path | str, time_base: Fraction, *, deep: bool = False
    ) -> None:
        self.name = encoding.codec or _usual(Path(output), deep)
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
        said = self._said(replace(given, pix_fmt=wanted[0]))
        why = f" ({said})" if said else ""
        raise MediaError(
            f"{self._output}: {self.name} does not encode {size} here, not as "
            f"{' or '.join(wanted)} with times of {self._time_base} s{why}; choose another codec "
            "or pixel format"
        )

    def add_stream(
        self,
        container: OutputContainer,
        frame: VideoFrame,
        rate: Fraction,
        pixel_aspect: Fraction,
        more: dict[str, str],
    ) -> VideoStream:
        """Add a stream of frames like this one, with its pixel format and colours, to a container.

        Args:
            more: options, such as `light_options` gives.

        Raises:
            MediaError: the container does not hold what this encoder makes.
        """
        try:
            stream = container.add_stream(self.name, rate, {**self.options, **more})
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
        if encoder.codec_context.codec.canonical_name == "hevc" and container.format.name in (
            "mp4",
            "mov",
        ):
            context.codec_tag = "hvc1"  # the only one that Apple's players take
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(frame, tag))
        return encoder

    def _checked_options(self) -> dict[str, str]:
        number, preset = self._encoding.crf, self._encoding.preset
        options, quality = quality_options(self.name, number, self._output), quality_of(self.name)
        if preset is not None:
            known = quality.presets if quality else ()
            if known and preset not in known:
                raise MediaError(
                    f"{self._output}: {self.name} has no preset {preset}; it has {', '.join(known)}"
                )
            options["preset"] = preset
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
            # Players want YUV; who names an encoder that has RGB gets it.
            rgb = [name for name in self._formats if _is_plain_rgb(name)]
            best, _ = find_best_pix_fmt_of_list(rgb, own.name) if rgb else (None, 0)
            wanted = [own.name, *([best.name] if best else [])]
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
        if self._ends_the_process(given):
            return False
        context = self._context(given, options)
        try:
            with quiet(self.name):
                context.open()
        except (av.FFmpegError, ValueError, OverflowError):
            return False
        return "preset" not in context.options  # what it did not know is left there

    def _ends_the_process(self, given: Pictures) -> bool:
        return self.name == "libx265" and max(given.width, given.height) < SMALLEST_DEEP

    def _said(self, given: Pictures) -> str:
        """Return what FFmpeg says when the encoder is opened in vain."""
        if self._ends_the_process(given):
            return f"it crashes where no side has {SMALLEST_DEEP} pixels"
        # Asked for here alone: what other threads log meanwhile, as decoders do, ends the process.
        with quiet(self.name), logged() as lines, suppress(av.FFmpegError, ValueError):
            self._context(given, self.options).open()
        return "; ".join(dict.fromkeys(line.strip() for _, _, line in lines))

    def _context(self, given: Pictures, options: dict[str, str]) -> VideoCodecContext:
        context = av.CodecContext.create(self.name, "w")
        assert isinstance(context, VideoCodecContext)  # noqa: S101 - known to encode video
        context.width, context.height, context.pix_fmt = given.width, given.height, given.pix_fmt
        context.time_base = self._time_base
        context.framerate = given.rate
        unheard = {"x265-params": "log-level=none"} if self.name == "libx265" else {}
        context.options = {**options, **unheard}
        return context
