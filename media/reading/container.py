"""Opening media files: those of this machine alone, and whatever their names and tags hold."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from media.errors import MediaError
from media.reading.overlap import awaited
from runtime.errors import InputNotFoundError, OptionError, RrinError

# Times FFmpeg's guess, from which on a rate is not believed.
_TOO_MANY = 4
# FFmpeg's names of formats that are one file and hold all they show. Others open the files that
# they name (hls, concat, dash, imf, sdp, vobsub), run scripts (avisynth, vapoursynth), or take any
# bytes for pictures (rawvideo, tty). Which of those a build of FFmpeg has, and the next will have,
# is not ours to know: hence these alone.
_FORMATS = (
    # containers
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,nut,mxf,gxf,dv,rm,wtv,lxf,swf,"
    "film_cpk,bink,smk,flic,roq,"
    # bare streams
    "h261,h263,h264,hevc,vvc,evc,av1,obu,ivf,m4v,vc1,vc1test,dirac,dnxhd,cavsvideo,avs2,avs3,apv,"
    "mjpeg,mjpeg_2000,yuv4mpegpipe,"
    # sound alone, so that it is called that
    "aac,ac3,eac3,aiff,amr,au,caf,dts,flac,mp3,truehd,w64,wav,"
    # images and moving images
    "image2,gif,apng,ico,iff,fits,webp,jpegxl_anim,"
    "bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gem_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,"
    "jpegls_pipe,jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,"
    "pgx_pipe,phm_pipe,photocd_pipe,pictor_pipe,png_pipe,ppm_pipe,psd_pipe,qdraw_pipe,qoi_pipe,"
    "sgi_pipe,sunrast_pipe,tiff_pipe,vbn_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe"
)


class Bytes(Protocol):
    """What is read in a file's place; one that has `seek` and `tell`, too, can be sought in."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def open_media(
    path: Path,
    opener: Callable[[], Bytes] | None = None,
    leave: Callable[[], None] | None = None,
) -> InputContainer:
    """Open an image or a video for reading.

    Formats that open other files are refused, for a stranger's file is to be data alone.

    Args:
        opener: opens a stream of bytes that is read in the file's place; it is never closed.
        leave: where such a stream may keep its reader waiting: ends that.

    Raises:
        InputNotFoundError: there is no such file.
        MediaError: FFmpeg cannot open it, or its format is none of those that hold all they show.
    """
    if opener is None and not path.is_file():
        found = "is no file" if path.exists() else "no such file"
        raise InputNotFoundError(f"{path}: {found}; expected an image or a video")
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": _FORMATS,
        "pattern_type": "none",  # a % in an image's name is a %
    }
    try:
        # Absolute, for a name with a colon would be taken for a protocol.
        file = str(path.resolve()) if opener is None else opener()
        opening = partial(av.open, file, "r", metadata_errors="replace", options=options)
        return opening() if leave is None else awaited(opening, leave)
    except RrinError:  # of the opener's
        raise
    except av.ArgumentError as error:  # what FFmpeg says of a format that is not on the list
        raise MediaError(
            f"{path}: a damaged file, or a format that is not taken: playlists and their like open "
            "further files; give the image or the video itself"
        ) from error
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise MediaError(
            f"{path}: not an image or a video that FFmpeg can open, or a damaged one ({reason})"
        ) from error


def chosen_video(reader: InputContainer, index: int | None, source: Path) -> VideoStream:
    """Return the video stream of that index among them, from 0; the best for None.

    Raises:
        OptionError: there are not so many.
        MediaError: there is none, or no decoder for it.
    """
    streams = [
        stream
        for stream in reader.streams.video
        if not stream.disposition & Disposition.attached_pic  # the cover of a song
    ]
    if not streams:
        raise MediaError(f"{source}: has no video stream")
    if index is not None and index not in range(len(streams)):
        raise OptionError(
            f"{source}: has no video stream {index}; it has {len(streams)}, counted from 0"
        )
    best = reader.streams.best("video")
    chosen = streams[index or 0] if index is not None or best not in streams else best
    if chosen.codec_context is None:
        raise MediaError(f"{source}: its video is in a codec that FFmpeg has no decoder for here")
    return chosen


def said_rate(stream: VideoStream) -> Fraction | None:
    """Return frames a second on average, as far as the file says; None where it does not.

    Some files claim the ticks of their clock for frames; FFmpeg guesses by the first frames' times.
    """
    rate, guessed = stream.average_rate or stream.guessed_rate, stream.guessed_rate
    return guessed if rate and guessed and rate > _TOO_MANY * guessed else rate


def claimed_seconds(reader: InputContainer, stream: VideoStream) -> Fraction:
    """Return how long the file says it is; 0 if it does not."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return Fraction(reader.duration or 0, av.time_base)
