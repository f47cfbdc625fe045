"""Small whole files of every kind that is read: where mutation begins.

The network is one of width 1: the small model's weights, cut down. It makes no pictures, but is
read and run like any other, in a hundredth of the time.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image

from export import RRIN
from precision.ranges import Range, Ranges
from rrin_deploy.report.documents import FINDINGS_FORMAT
from runtime import Interpolator
from runtime.golden import Golden, GoldenCase
from runtime.manifest import Manifest, Profile, manifest_path
from runtime.metadata import Metadata
from runtime.scene import render_bytes
from tests.fuzz.mutators.text import packed
from tests.models import SMALL_MODEL

PLAN = b"a plan, which only TensorRT could read"
_SIZE = 32
_CHECKPOINT_SHA256 = "0" * 64


def network(base_width: int = 1) -> RRIN:
    """Return the network of a width, seeded."""
    torch.manual_seed(0)
    return RRIN(base_width, align_corners=False).eval()


def write_checkpoint(path: Path, *, zipped: bool) -> None:
    """Write the network's checkpoint, in the form of today or of PyTorch before 1.6."""
    state = network().state_dict()
    if zipped:
        torch.save({"state_dict": state, "align_corners": False}, path)
        return
    # The older form names each storage by its address, and orders them by it: one for all, then.
    whole = torch.cat([tensor.reshape(-1) for tensor in state.values()])
    sizes = [tensor.numel() for tensor in state.values()]
    pieces = torch.split(whole, sizes)
    state = {key: piece.reshape(state[key].shape) for key, piece in zip(state, pieces, strict=True)}
    content = {"state_dict": state, "align_corners": False}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    address = str(whole.untyped_storage()._cdata).encode()
    path.write_bytes(path.read_bytes().replace(address, b"1" * len(address)))


def write_model(path: Path, base_width: int = 1) -> None:
    """Write the network as ONNX, without the exporter: its graph with narrower weights."""
    model = onnx.load(SMALL_MODEL)
    state = network(base_width).state_dict()
    for tensor in model.graph.initializer:
        if tensor.name in state:
            corner = tuple(slice(length) for length in state[tensor.name].shape)
            weights = np.ascontiguousarray(numpy_helper.to_array(tensor)[corner])
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    del model.graph.value_info[:]
    changed = {"rrin.base_width": str(base_width), "rrin.checkpoint_sha256": _CHECKPOINT_SHA256}
    for entry in model.metadata_props:
        entry.value = changed.get(entry.key, entry.value)
    onnx.save(model, path)


def write_golden(path: Path, model: Path) -> None:
    """Write the golden file of that model, of its own outputs."""
    frame0, frame1 = (render_bytes(_SIZE, _SIZE, time) for time in (0, 1))
    t = np.array([0.25, 0.5], np.float32)
    with Interpolator(model) as interpolate:
        frames = interpolate(frame0 / np.float32(255), frame1 / np.float32(255), t)
    case = GoldenCase(frame0, frame1, t, frames)
    path.write_bytes(Golden(_CHECKPOINT_SHA256, False, (case, case)).to_bytes())


def write_ranges(path: Path) -> None:
    """Write ranges of four tensors."""
    places = ("down_path.0.block.1", "down_path.0.block.3", "midconv", "up_path.0.up.1")
    tensors = {
        f"Mask.{place}/LeakyRelu": Range(np.array([-1.5, 0]), np.array([2, 1e-3]))
        for place in places
    }
    Ranges(_CHECKPOINT_SHA256, False, "max", 3, 0, "1" * 64, tensors).save(path)


def findings() -> bytes:
    """Return what `rrin-deploy report --json` prints, in short."""
    limits = {"max_abs_error": 1e-4, "min_psnr_db": 78.1}
    case = {"width": 64, "height": 48, "t": 0.5, "max_abs_error": 1e-6, "psnr_db": None,
            "equal_share": 1.0, "not_finite": 0, "limits": limits, "passed": True}  # fmt: skip
    mean = {"triplets": 1, "exact": 0, "psnr_db": 35.5, "ssim": 0.9, "psnr_to_first_db": None,
            "ssim_to_first": 0.0}  # fmt: skip
    scores = {"x.onnx": {"psnr_db": 35.5, "ssim": 0.9}}
    contender = {**mean, "by_motion": {"2 to 4": mean}, "worst": ["a"]}
    timing = {"name": "x.onnx", "kind": "artifact", "median_seconds": 0.5,
              "quartiles_seconds": [0.4, 0.6], "times_as_fast_as_first": 1.0,
              "first_frame_seconds": 1.5, "peak_bytes": 10**8, "share_of_ceiling": 0.5,
              "backend": {"library": "openvino", "version": "1", "device": "CPU"}}  # fmt: skip
    artifact = {"name": "x.onnx", "kind": "ONNX graph", "bytes": 1000, "precision": "fp32",
                "facts": {"io": "uint8"}, "census": {"FLOAT": 81}, "layers": {"Conv": 81},
                "context_bytes": 5, "moved_bytes": 6}  # fmt: skip
    document = {
        "findings_format": FINDINGS_FORMAT,
        "version": "0.1.0",
        "machine": {"CPU": "of a kind"},
        "artifacts": [artifact],
        "parity": [{"passed": True, "artifact": "x.onnx", "precision": "fp32", "cases": [case]}],
        "quality": {"data": "set", "triplets": 1, "contenders": {"x.onnx": contender},
                    "cases": [{"name": "a", "motion": 3.5, "scores": scores}]},
        "speed": [{"size": [64, 48], "times": 1, "threads": 2, "contenders": [timing],
                   "ceiling_multiply_adds_per_second": {"FP32": 1e11}}],
        "not_run": [{"part": "speed", "subject": "y", "why": "no GPU"}],
        "commands": {"speed": ["rrin-deploy bench x.onnx"]},
    }  # fmt: skip
    return json.dumps(document).encode()


def write_manifest(engine: Path) -> None:
    """Write the manifest of PLAN beside `engine`."""
    manifest = Manifest(
        target="rtx",
        version="1.7.1.116",
        compute_capabilities=(86, 89),
        version_compatible=False,
        hardware_compatible=False,
        profile=Profile((32, 32), (1280, 736), (1920, 1088), 7),
        census={"HALF": 81},
        metadata=_metadata(),
        plan_sha256=sha256(PLAN).hexdigest(),
        onnx_sha256="2" * 64,
        context_bytes=158_269_696,
        options={"target": "rtx", "max_times": 7},
        seconds=1.5,
    )
    manifest_path(engine).write_bytes(manifest.to_bytes())


def images() -> Iterator[tuple[str, bytes]]:
    """Yield suffixes and contents: every format, depth and kind of pixels that is read."""
    rgb = Image.fromarray(render_bytes(_SIZE, _SIZE, 0))
    deep = np.arange(_SIZE * _SIZE, dtype=np.uint16).reshape(_SIZE, _SIZE) * 60
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    for picture in (rgb, rgb.convert("L"), rgb.convert("P"), rgb.convert("RGBA"), rgb.convert("1")):
        yield _image(".png", picture)
    yield _image(".png", Image.fromarray(deep))
    yield _image(".png", rgb, exif=exif)
    yield _image(".jpg", rgb, exif=exif)
    yield _image(".jpg", rgb.convert("L"))
    yield _image(".jpg", rgb.convert("CMYK"), progressive=True)
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits"):
        yield _image(".tif", rgb, compression=compression)
    yield _image(".tif", Image.fromarray(deep))
    for picture in (rgb, rgb.convert("P"), rgb.convert("1")):
        yield _image(".bmp", picture)
    yield _image(".webp", rgb, lossless=True)
    yield _image(".webp", rgb.convert("RGBA"), exif=exif)


def _image(suffix: str, picture: Image.Image, **options: Any) -> tuple[str, bytes]:
    file = io.BytesIO()
    picture.save(file, {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:]), **options)
    return suffix, file.getvalue()


def write_videos(folder: Path) -> list[Path]:
    """Write clips of three frames in several containers and codecs, one with sound."""
    kinds = (
        *(("h264.mp4", "libx264", "yuv420p"), ("deep.mkv", "libx264", "yuv420p10le")),
        *(("rle.mov", "qtrle", "rgb24"), ("vp9.webm", "libvpx-vp9", "yuv420p")),
        *(("mjpeg.avi", "mjpeg", "yuvj420p"), ("ffv1.mkv", "ffv1", "yuv422p")),
        *(("part4.mp4", "mpeg4", "yuv420p"), ("plain.nut", "rawvideo", "rgb24")),
    )
    for name, codec, pix_fmt in kinds:
        _write_video(folder / name, codec, pix_fmt, sound=name.endswith((".mp4", ".mkv")))
    playlist = folder / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nh264.mp4\n#EXT-X-ENDLIST\n")
    concat = folder / "list.ffconcat"
    concat.write_text("ffconcat version 1.0\nfile h264.mp4\n")
    return [folder / name for name, _, _ in kinds] + [playlist, concat]


def _write_video(path: Path, codec: str, pix_fmt: str, *, sound: bool) -> None:
    # Bit-exact, for Matroska would draw its identifiers at random.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as writer:
        encoder = writer.add_stream(codec, rate=Fraction(25))
        encoder.width = encoder.height = _SIZE
        encoder.pix_fmt = pix_fmt
        speaker = writer.add_stream("aac", rate=48000, layout="mono") if sound else None
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(render_bytes(_SIZE, _SIZE, index), format="rgb24")
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
        if speaker:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
            silence.sample_rate = 48000
            writer.mux(speaker.encode(silence))
            writer.mux(speaker.encode(None))


def data_sets() -> Iterator[bytes]:
    """Yield a packed folder in each of the layouts that data sets are published in."""
    png = _image(".png", Image.fromarray(render_bytes(_SIZE, _SIZE, 0)))[1]
    names = b"00001/0001\n00001/0002\n"
    for kind, last in (("tri", 3), ("sep", 7)):
        files = {f"{kind}_trainlist.txt": names, f"{kind}_testlist.txt": b"00001/0002"}
        for name in names.decode().split():
            files |= {f"sequences/{name}/im{n}.png": png for n in range(1, last + 1)}
        yield packed(files)
    for layout in (
        [f"{n}/{name}.png" for n in (1, 2) for name in ("frame_00", "frame_01_gt", "frame_02")],
        [
            "other-data/A/frame10.png",
            "other-data/A/frame11.png",
            "other-gt-interp/A/frame10i11.png",
        ],
        [f"a/b/im{n}.png" for n in (1, 2, 3)],
    ):
        yield packed(dict.fromkeys(layout, png))


def _metadata() -> Metadata:
    model = onnx.load(SMALL_MODEL, load_external_data=False)
    return Metadata.from_properties({e.key: e.value for e in model.metadata_props}, "the model")
