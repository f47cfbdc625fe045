"""Stills, folders of them, videos and live streams: decoded, filled up, encoded. Needs PyAV.

from media import VideoOptions, interpolate_video
from runtime import Interpolator

with Interpolator("rrin.onnx") as interpolate:
    options = VideoOptions(factor=2)
    interpolate_video(interpolate, "clip.mp4", "smooth.mp4", options)
"""

from media.encoding import Encoding
from media.errors import MediaError
from media.images.footage import interpolate_images
from media.images.pair import PairSummary, interpolate_pair
from media.images.sequence import SequenceSummary, interpolate_folder
from media.images.stills import Still, interpolate_stills, read_still, write_still
from media.live.stats import LiveStats
from media.live.stream import Live, LiveOptions
from media.options import Share, VideoOptions
from media.pipes.pipe import interpolate_pipe
from media.summary import ShareSummary, VideoSummary
from media.video import interpolate_share, interpolate_video, write_video

__all__ = [
    "Encoding",
    "Live",
    "LiveOptions",
    "LiveStats",
    "MediaError",
    "PairSummary",
    "SequenceSummary",
    "Share",
    "ShareSummary",
    "Still",
    "VideoOptions",
    "VideoSummary",
    "interpolate_folder",
    "interpolate_images",
    "interpolate_pair",
    "interpolate_pipe",
    "interpolate_share",
    "interpolate_stills",
    "interpolate_video",
    "read_still",
    "write_still",
    "write_video",
]
