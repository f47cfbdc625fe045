"""What is fuzzed: for each kind of file its seeds, how it is damaged, and what reads it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import Triplet, middlebury, triplet_folders, ucf101, vimeo90k
from export import load_checkpoint
from media.images.stills import read_still
from media.options import VideoOptions
from media.video import interpolate_video
from precision import Ranges
from rrin_deploy.commands import inspect
from rrin_deploy.report.documents import read_findings
from rrin_deploy.report.page import Content, page
from runtime import Interpolator, RrinError, check_parity
from tests.fuzz import seeds
from tests.fuzz.mutators import Mutator, archives, checkpoints, chunks, graphs, mutated, text
from tests.fuzz.random_graphs import random_model
from tests.fuzz.random_runs import run

_BLACK = np.zeros((32, 32, 3), np.float32)


@dataclass(frozen=True)
class Sample:
    """A file to be read: its content, and its suffix, which readers go by."""

    suffix: str
    content: bytes
    mutators: Sequence[Mutator] = ()


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        samples: whole files.
        read: opens a file and makes a little use of it, writing beside it at most.
        suffixes: further ones to try.
        default: whether it is fuzzed unless another is named.
    """

    name: str
    samples: Callable[[], Sequence[Sample]]
    read: Callable[[Path], object]
    suffixes: tuple[str, ...] = ()
    default: bool = True

    def case(self, seed: int, number: int) -> Sample:
        """Return the input of that number, always the same; the first are the samples."""
        samples = _samples(self)
        if number < len(samples):
            return samples[number]
        rng = Random(f"{seed}/{self.name}/{number}")  # noqa: S311 - to be repeated, not to be secret
        sample = rng.choice(samples)
        others = [other.content for other in samples]
        suffix = rng.choice((sample.suffix,) * 20 + self.suffixes)
        return Sample(suffix, mutated(rng, sample.content, others, sample.mutators))


@cache
def _samples(target: Target) -> Sequence[Sample]:
    return target.samples()


@cache
def _model() -> bytes:
    with TemporaryDirectory() as folder:
        seeds.write_model(Path(folder) / "rrin.onnx")
        return (Path(folder) / "rrin.onnx").read_bytes()


def _checkpoints() -> Iterator[Sample]:
    inside = archives.zip_entries(("data.pkl", checkpoints.pickle_program))
    kinds = (
        (True, [inside, checkpoints.checkpoint_objects]),
        (False, [checkpoints.legacy_program]),
    )
    for zipped, mutators in kinds:
        content = _written(partial(seeds.write_checkpoint, zipped=zipped))
        yield Sample(".pth", content, mutators)


def _models() -> list[Sample]:
    return [Sample(".onnx", _model(), [graphs.graph])]


def _random_models() -> list[Sample]:
    return [Sample(".onnx", random_model(Random(0)), [lambda rng, _: random_model(rng)])]  # noqa: S311


def _read_model(path: Path) -> None:
    """Inspect it, which vets it, and run what passes, as SECURITY.md says to do with strangers."""
    _inspect(path)
    _run_model(path)


def _run_model(path: Path) -> None:
    with Interpolator(path, threads=1) as interpolate:
        interpolate(_BLACK, 1 - _BLACK, [0.25, 0.5])


def _goldens() -> list[Sample]:
    with TemporaryDirectory() as folder:
        model, golden = Path(folder) / "rrin.onnx", Path(folder) / "rrin.golden.npz"
        model.write_bytes(_model())
        seeds.write_golden(golden, model)
        content = golden.read_bytes()
    arrays = (archives.npy_header, archives.npy_values)
    about = archives.zip_entries(("about.npy", archives.npy_json))
    return [Sample(".npz", content, [about, *(archives.zip_entries((".npy", m)) for m in arrays)])]


def _read_golden(path: Path) -> None:
    model = path.with_name("model.onnx")
    model.write_bytes(_model())
    check_parity(model, path, threads=1)


def _ranges() -> list[Sample]:
    content = _written(seeds.write_ranges)
    return [Sample(".json", content, [text.json_value, text.json_value, text.json_text])]


def _findings() -> list[Sample]:
    damage = [text.json_value, text.json_value, text.json_text]
    return [Sample(".json", seeds.findings(), damage)]


def _read_findings(path: Path) -> None:
    page(Content(read_findings([path]), least_db=30))


def _engines() -> list[Sample]:
    with TemporaryDirectory() as folder:
        engine = Path(folder) / "rrin.engine"
        seeds.write_manifest(engine)
        manifest = engine.with_name("rrin.engine.json").read_bytes()
    content = text.packed({"rrin.engine": seeds.PLAN, "rrin.engine.json": manifest})
    return [Sample(".folder", content, [text.folder])]


def _read_engine(path: Path) -> None:
    with text.unpacked(path) as folder:
        _inspect(folder / "rrin.engine")


def _inspect(path: Path) -> None:
    for as_json in (True, False):
        with contextlib.redirect_stdout(io.StringIO()):
            inspect.command(path, as_json=as_json)


def _images() -> Iterator[Sample]:
    mutators = {
        ".png": chunks.png,
        ".jpg": chunks.chunks(chunks.jpeg),
        ".tif": chunks.chunks(chunks.tiff),
        ".bmp": chunks.chunks(chunks.fields(54)),
        ".webp": chunks.chunks(chunks.riff),
    }
    for suffix, content in seeds.images():
        yield Sample(suffix, content, [mutators[suffix]])


def _videos() -> Iterator[Sample]:
    walks: dict[str, chunks.Walk] = {
        ".mp4": chunks.boxes,
        ".mov": chunks.boxes,
        ".avi": chunks.riff,
    }
    walks |= {".mkv": chunks.ebml, ".webm": chunks.ebml, ".nut": chunks.fields(200)}
    with TemporaryDirectory() as folder:
        for path in seeds.write_videos(Path(folder)):
            walk = walks.get(path.suffix)
            mutators = [chunks.chunks(walk)] if walk else [text.listing]
            yield Sample(path.suffix, path.read_bytes(), mutators)


class _Average(Interpolator):
    """An interpolator that costs nothing, for it is the video that is in question."""

    def __init__(self, model: Path) -> None:
        super().__init__(model, threads=1)
        self._session.run = self._averages  # type: ignore[method-assign]

    @staticmethod
    def _averages(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        mean = (tensors["frame0"] + tensors["frame1"]) / 2
        return {"frames": np.repeat(mean, len(tensors["t"]), axis=0)}


@cache
def _average() -> Interpolator:
    with TemporaryDirectory() as folder:
        model = Path(folder) / "rrin.onnx"
        model.write_bytes(_model())
        return _Average(model)


def _read_video(path: Path) -> None:
    output = path.with_name("made.mkv")
    interpolate_video(_average(), path, output, VideoOptions(factor=Fraction(2), overwrite=True))


def _data_sets() -> Iterator[Sample]:
    for content in seeds.data_sets():
        yield Sample(".folder", content, [text.folder])


def _read_data_set(path: Path) -> None:
    readers: tuple[Callable[[Path], list[Triplet]], ...] = (
        lambda root: vimeo90k(root, "train"),
        lambda root: vimeo90k(root, "test"),
        *(ucf101, middlebury, triplet_folders),
    )
    with text.unpacked(path) as root:
        for reader in readers:
            with contextlib.suppress(RrinError):
                for triplet in reader(root)[:3]:
                    with contextlib.suppress(RrinError):
                        triplet.read()


def _written(write: Callable[[Path], None]) -> bytes:
    with TemporaryDirectory() as folder:
        write(Path(folder) / "sample")
        return (Path(folder) / "sample").read_bytes()


TARGETS = {
    target.name: target
    for target in (
        Target("checkpoint", lambda: list(_checkpoints()), load_checkpoint),
        Target("onnx", _models, _read_model),
        Target("random-onnx", _random_models, run),
        # ONNX Runtime itself ends the process on graphs that do not agree with themselves.
        Target("unvetted-onnx", _models, _run_model, default=False),
        Target("golden", _goldens, _read_golden),
        Target("ranges", _ranges, Ranges.load),
        Target("findings", _findings, _read_findings),
        Target("engine", _engines, _read_engine),
        Target("image", lambda: list(_images()), read_still, (".png", "")),
        Target("video", lambda: list(_videos()), _read_video, (".mp4", ".bin", ".png", ".mkv")),
        Target("dataset", lambda: list(_data_sets()), _read_data_set),
    )
}
