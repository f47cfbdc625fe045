"""What FFmpeg's pixel formats hold: bits, alpha, chroma; and what a change of format loses."""

from __future__ import annotations

from av.video.format import VideoFormat


def bits_of(pix_fmt: VideoFormat | str) -> int:
    """Return the bits of the deepest component."""
    video_format = VideoFormat(pix_fmt) if isinstance(pix_fmt, str) else pix_fmt
    return max((component.bits for component in video_format.components), default=8)


def has_alpha(pix_fmt: VideoFormat | str) -> bool:
    """Say whether pixels may be seen through; a palette may have colours that can."""
    video_format = VideoFormat(pix_fmt) if isinstance(pix_fmt, str) else pix_fmt
    return video_format.has_palette or any(c.is_alpha for c in video_format.components)


def plain(pix_fmt: VideoFormat) -> str:
    """Return the format that frames are converted to when decoded; mostly their own.

    Encoders have no palettes, and nothing computes with samples that share a byte. Planar RGB takes
    their place, for FFmpeg gets the colours wrong from big-endian 16-bit RGB to packed RGB.
    """
    return "gbrp" if pix_fmt.has_palette or bits_of(pix_fmt) < 8 else pix_fmt.name


def losses(own: VideoFormat, chosen: str) -> list[str]:
    """Return what a change of pixel format loses, or changes so that players may mind."""
    written = VideoFormat(chosen)
    changes = []
    if bits_of(own) > bits_of(written):
        changes.append(f"{bits_of(own)} bits to {bits_of(written)}")
    if len(own.components) >= 3:
        before, after = _sampling(own), _sampling(written)
        if before != after:
            changes.append(f"{before} to {after}")
    if not changes:
        return []
    return [f"pixel format {own.name}, written as {chosen}: {', '.join(changes)}"]


def _sampling(video_format: VideoFormat) -> str:
    if video_format.is_rgb:
        return "RGB"
    if len(video_format.components) < 3:
        return "grey"
    across, down = (64 // size(64) for size in (video_format.chroma_width,
                                                video_format.chroma_height))  # fmt: skip
    names = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}
    return "YUV " + names.get((across, down), f"with chroma {across}x{down} as coarse")
