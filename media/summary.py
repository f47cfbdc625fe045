"""What was done with a video, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class VideoSummary:
    """What `interpolate_video` did.

    Attributes:
        width, height: of the frames, pixels.
        rate: of the output, frames a second, on average where the source's varies.
        frames_read: of the source.
        frames_made: by the network.
        frames_repeated: of the source, shown again: at cuts, in stills, after the last frame.
        frames_written: all that are shown: of the source, made and repeated.
        frames_resumed: of those written, what earlier or other runs had made.
        frames_left_out: of the source, for they have the very time of the frame before.
        cuts: scene cuts found.
        repeats: of the source, found and taken out; None where none were looked for.
        left_out: what of the source is not in the output, and why.
        transcoded: what of the source is encoded anew beside the pictures, as what, and why.
        damage: what is missing or broken in the source, and where; the output is made of the rest.
        decode_seconds, inference_seconds, encode_seconds: that the stages worked; they overlap.
    """

    width: int
    height: int
    rate: Fraction
    frames_read: int
    frames_made: int
    frames_repeated: int
    frames_written: int
    frames_left_out: int
    cuts: int
    repeats: int | None
    left_out: list[str]
    transcoded: list[str]
    damage: list[str]
    decode_seconds: float
    inference_seconds: float
    encode_seconds: float
    frames_resumed: int = 0


@dataclass(frozen=True)
class ShareSummary:
    """What `interpolate_share` did.

    Attributes:
        segments: of the share.
        all_segments: of the video.
        frames_written: by this run.
        folder: where they wait.
        elsewhere: how many of the share other runs still make; they are not there where one ends
            early.
    """

    segments: int
    all_segments: int
    frames_written: int
    folder: Path
    elsewhere: int
