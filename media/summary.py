"""What was done with a video, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class VideoSummary:
    """What `interpolate_video` did.

    Attributes:
        width, height: of the frames, pixels.
        rate: of the output, frames a second, on average where the source's varies.
        frames_read: of the source.
        frames_made: by the network.
        frames_repeated: of the source, shown again: at cuts, in stills, after the last frame.
        frames_written: all that are shown: of the source, made and repeated.
        frames_left_out: of the source, for they have the very time of the frame before.
        cuts: scene cuts found.
        left_out: what of the source is not in the output, and why.
        damage: what is missing or broken in the source, and where; the output is made of the rest.
        decode_seconds, inference_seconds, encode_seconds: that the stages worked; they overlap.
    """

    width: int
    height: int
    rate: Fraction
    frames_read: int = 0
    frames_made: int = 0
    frames_repeated: int = 0
    frames_written: int = 0
    frames_left_out: int = 0
    cuts: int = 0
    left_out: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    decode_seconds: float = 0
    inference_seconds: float = 0
    encode_seconds: float = 0
