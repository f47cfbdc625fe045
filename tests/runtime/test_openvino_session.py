"""OpenVINO as a backend: ONNX Runtime's frames, in any order of sizes, threads and streams."""

import os
import platform
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import triplet_folders
from engines import build_onnx
from precision import Ranges
from runtime import (
    ArtifactError,
    BackendError,
    Interpolator,
    OptionError,
    check_parity,
)
from runtime.architecture import UNETS
from runtime.bundled import BUNDLED_INT8, BUNDLED_MODEL
from runtime.golden import Golden, golden_beside
from runtime.graph_parts import parts_of
from runtime.installation import offers_cuda
from runtime.openvino_model import has_bf16, read_model
from runtime.openvino_session import OpenVinoSession
from runtime.parity import psnr_db
from runtime.scene import render_bytes
from tests.conftest import ROOT, Exporter
from tests.models import SMALL_MODEL

SIZES = ((96, 64), (64, 96), (101, 70))


@pytest.fixture(scope="module")
def vino() -> Iterator[Interpolator]:
    with Interpolator(SMALL_MODEL, backend="openvino") as interpolate:
        yield interpolate


@pytest.fixture(scope="module")
def other() -> Iterator[Interpolator]:
    with Interpolator(SMALL_MODEL, backend="onnxruntime") as interpolate:
        yield interpolate


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory, ranges: Ranges) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    path = folder / "rrin.onnx"
    shutil.copy(SMALL_MODEL, path)
    shutil.copy(SMALL_MODEL.with_suffix(".golden.npz"), folder / "rrin.golden.npz")
    ranges.save(folder / "rrin.ranges.json")
    return build_onnx(path, target="openvino").path


@pytest.fixture(scope="module")
def bf16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bf16")
    shutil.copy(SMALL_MODEL, folder / "rrin.onnx")
    shutil.copy(SMALL_MODEL.with_suffix(".golden.npz"), folder / "rrin.golden.npz")
    return build_onnx(folder / "rrin.onnx", precision="bf16", target="openvino").path


def pair(width: int, height: int, start: int = 0) -> list[np.ndarray]:
    return [render_bytes(width, height, time) for time in (start, start + 1)]


def near(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal but for values between two levels, which may go to either."""
    error = np.abs(ours.astype(int) - theirs)
    return bool(error.max() <= 1 and (error == 0).mean() > 0.999)


@pytest.mark.long
def test_keeps_to_the_reference(int8: Path) -> None:
    for artifact in (SMALL_MODEL, int8):
        report = check_parity(artifact, backend="openvino", threads=1)
        assert report.passed
        assert "openvino" in str(report.backend)


@pytest.mark.long
def test_frames_of_sizes_that_take_turns(vino: Interpolator, other: Interpolator) -> None:
    for width, height in (*SIZES, *SIZES):  # more than it stays compiled for
        frames = pair(width, height)
        assert near(vino(*frames, [0.2, 0.5, 0.8]), other(*frames, [0.2, 0.5, 0.8]))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes that were compiled, in order; -1 is any."""
    sizes: list[tuple[int, int]] = []
    compile_for = OpenVinoSession._compile

    def counted(session: OpenVinoSession, *size: int) -> Any:
        sizes.append(size)
        return compile_for(session, *size)

    monkeypatch.setattr(OpenVinoSession, "_compile", counted)
    return sizes


def partly_moving(width: int, height: int) -> list[np.ndarray]:
    frame0, frame1 = pair(width, height)
    frame1[16:] = frame0[16:]
    frame1[:, 16:] = frame0[:, 16:]
    return [frame0, frame1]


@pytest.mark.long
def test_sizes_that_take_turns_stay_compiled_where_parts_move(
    compiled: list[tuple[int, int]],
) -> None:
    with Interpolator(SMALL_MODEL, backend="openvino") as interpolate:
        for width, height in ((192, 128), (128, 160)) * 3:
            interpolate(*pair(width, height))
            interpolate(*partly_moving(width, height))
        assert compiled == [(128, 192), (-1, -1), (160, 128)]
        interpolate(*pair(64, 64))
        interpolate(*pair(128, 160))
        assert compiled[3:] == [(64, 64)]  # in place of what was longest not run


def test_nothing_is_compiled_after_warm_up(compiled: list[tuple[int, int]]) -> None:
    with Interpolator(SMALL_MODEL, backend="openvino") as interpolate:
        interpolate.warm_up(128, 192)
        compiled.clear()
        interpolate(*pair(192, 128))
        interpolate(*partly_moving(192, 128))
    assert not compiled


def test_times_of_a_call_are_those_of_calls(vino: Interpolator) -> None:
    frames, times = pair(96, 64), [0.2, 0.5, 0.8]
    singly = [vino(*frames, time) for time in times]
    assert np.array_equal(vino(*frames, times), singly)


def test_streams_and_threads_give_the_frames_of_calls(vino: Interpolator) -> None:
    clip = [render_bytes(101, 70, time) for time in range(6)]
    expected = [vino(*clip[at : at + 2]) for at in range(5)]
    streamed = list(vino.stream(clip, 2))
    assert np.array_equal(streamed[::2], clip)
    assert np.array_equal(streamed[1::2], expected)

    made: list[Any] = [None] * 5

    def call(at: int) -> None:
        made[at] = vino(*clip[at : at + 2])

    threads = [threading.Thread(target=call, args=(at,)) for at in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(made, expected)


def test_float32_frames_and_artifacts_in_bytes(exported: Exporter, other: Interpolator) -> None:
    frames = pair(96, 64)
    with Interpolator(exported(io="uint8"), backend="openvino") as interpolate:
        assert near(interpolate(*frames), other(*frames))
    floats = [frame / np.float32(255) for frame in frames]
    with Interpolator(SMALL_MODEL, backend="openvino") as interpolate:
        assert np.abs(interpolate(*floats) - other(*floats)).max() < 1e-4


def test_int8_makes_good_frames(int8: Path, other: Interpolator) -> None:
    frames = pair(96, 64)
    with Interpolator(int8) as interpolate:
        assert interpolate.backend.library == "openvino"
        assert psnr_db(interpolate(*frames) / 255, other(*frames) / 255) > 40


def test_what_says_float32_is_computed_in_float32(vino: Interpolator) -> None:
    vino(*pair(96, 64))
    (compiled, *_) = vino._session._compiled.values()
    for part in (compiled._pair, compiled._times):
        types = {
            node.get_rt_info()["runtimePrecision"].value
            for node in part.get_runtime_model().get_ops()
            if node.get_rt_info()["layerType"].value == "Convolution"
        }
        assert types == {"f32"}


def test_bf16_is_refused_where_the_cpu_has_none(
    bf16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.openvino_session.has_bf16", lambda *_: False)
    for run in (Interpolator, check_parity):
        with pytest.raises(BackendError, match=r"ov\.bf16\.onnx: is bf16, and the CPU here has no"):
            run(bf16)
    for options in ({"backend": "onnxruntime"}, {"providers": ["CPUExecutionProvider"]}):
        with pytest.raises(BackendError, match="bf16, which runs in OpenVINO alone; take backend="):
            Interpolator(bf16, **options)
    monkeypatch.setattr("runtime.backends.offers_cuda", lambda: True)
    with pytest.raises(BackendError, match="the CPU here has no"):
        Interpolator(bf16)


def test_bf16_is_built_anywhere_and_says_what_it_could_not_measure(
    bf16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.openvino_session.has_bf16", lambda *_: False)
    again = bf16.with_name("again.onnx")
    report = build_onnx(
        bf16.with_name("rrin.onnx"), again, precision="bf16", target="openvino"
    )  # fmt: skip
    assert report.census == {"BF16": 77, "FLOAT": 4}
    assert "parity not measured" in report.proof.missing
    assert Golden.load(golden_beside(again)).measured_on == ""


def test_only_the_unets_are_handed_to_openvino_in_bf16(bf16: Path) -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    for part in (parts_of(bf16.read_bytes()).pair, parts_of(bf16.read_bytes()).times):
        for node in read_model(part).get_ordered_ops():
            where = node.get_friendly_name().split("/")[0]
            first, *_ = [*node.input_values(), node.output(0)]
            of_weight = first.get_node().get_type_name() == "Constant"  # such as a bias, reshaped
            if not of_weight and node.get_type_name() != "Convert":
                name = node.get_output_element_type(0).get_type_name()
                kinds["U-Nets" if unet_like(where) else node.get_type_name()].add(name)
    assert "bf16" in kinds.pop("U-Nets")
    assert {"GridSample", "Exp", "Divide", "Multiply", "Add"} < kinds.keys()
    assert not {kind for kind, names in kinds.items() if "bf16" in names}


def unet_like(place: str) -> bool:
    """A node of a U-Net but for those of its last convolution."""
    return place.split(".")[0] in UNETS and not place.endswith(".last")


def test_bf16_runs_in_bf16_in_the_unets_alone(bf16: Path) -> None:
    """By what OpenVINO says that it executes, where it can."""
    if not has_bf16():
        pytest.skip("this CPU has no bf16 arithmetic")
    with Interpolator(bf16) as interpolate:
        interpolate(*pair(96, 64))
        (compiled,) = interpolate._session._compiled.values()
    convolutions, rest = set(), set()
    for part in (compiled._pair, compiled._times):
        for node in part.get_runtime_model().get_ops():
            kind, precision = (
                node.get_rt_info()[name].value for name in ("layerType", "runtimePrecision")
            )
            hidden = unet_like(node.get_friendly_name().split("/")[0])
            if hidden and kind == "Convolution":
                convolutions.add(precision)
            elif not hidden and kind not in ("Const", "Reorder", "Convert", "Concatenation"):
                rest.add(precision)
    assert convolutions == {"bf16"}
    assert "bf16" not in rest
    assert check_parity(bf16).passed


def test_threads_are_those_asked_for() -> None:
    with Interpolator(SMALL_MODEL, backend="openvino", threads=1) as interpolate:
        interpolate(*pair(64, 64))
        (compiled,) = interpolate._session._compiled.values()
        assert compiled._times.get_property("INFERENCE_NUM_THREADS") == 1


def test_a_cache_is_used_and_survives_damage(int8: Path, tmp_path: Path) -> None:
    frames, cache = pair(96, 64), tmp_path / "cache"

    def made() -> np.ndarray:
        with Interpolator(int8, cache=cache) as interpolate:
            return interpolate(*frames)

    first = made()
    files = sorted(cache.iterdir())
    written = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2  # one a part
    assert np.array_equal(made(), first)
    assert [file.stat().st_mtime_ns for file in sorted(cache.iterdir())] == written
    for file, kept in zip(files, (0, 1000), strict=True):
        file.write_bytes(file.read_bytes()[:kept])
    assert np.array_equal(made(), first)


def test_nothing_is_kept_without_a_cache(int8: Path) -> None:
    before = sorted(int8.parent.iterdir())
    with Interpolator(int8) as interpolate:
        interpolate(*pair(64, 64))
    assert sorted(int8.parent.iterdir()) == before


def test_the_backend_is_chosen_by_what_is_here(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(artifact: Path, *here: str, **options: Any) -> str:
        monkeypatch.setattr("runtime.backends.is_installed", lambda module: module in here)
        with Interpolator(artifact, **options) as interpolate:
            return interpolate.backend.library

    both = "onnxruntime", "openvino"
    theirs = build_onnx(int8.parent / "rrin.onnx", target="onnxruntime").path
    assert chosen(SMALL_MODEL, *both) == "openvino"
    assert chosen(SMALL_MODEL, "onnxruntime") == "onnxruntime"
    assert chosen(SMALL_MODEL, "openvino") == "openvino"
    assert chosen(theirs, *both) == "onnxruntime"
    assert chosen(theirs, "openvino") == "openvino"
    assert chosen(int8, *both) == "openvino"
    assert chosen(SMALL_MODEL, *both, providers=["CPUExecutionProvider"]) == "onnxruntime"
    assert chosen(theirs, *both, device="CPU") == "openvino"
    assert chosen(int8, *both, backend="onnxruntime") == "onnxruntime"
    monkeypatch.setattr("runtime.backends.offers_cuda", lambda: True)
    assert chosen(SMALL_MODEL, *both) == "openvino"  # onnxruntime-gpu on a machine without a GPU
    on_gpu = property(lambda _: True, lambda *_: None)
    theirs_on_gpu = "runtime.onnxruntime_session.OnnxRuntimeSession.on_gpu"
    monkeypatch.setattr(theirs_on_gpu, on_gpu, raising=False)
    assert chosen(SMALL_MODEL, *both) == "onnxruntime"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "NPU"}, BackendError, "OpenVINO device NPU: this machine has CPU; choose one"),
        ({"device": "CPU.1"}, BackendError, r"OpenVINO device CPU\.1: this machine has CPU"),
        ({"device": "0x"}, OptionError, "device is '0x'; expected a name, such as GPU or NPU"),
        ({"device": "GPU", "threads": 2}, OptionError, "OpenVINO's GPU, which has no threads"),
        ({"backend": "openvino", "device": np.int64(0)}, OptionError, "OpenVINO's have names"),
        ({"backend": "tensorrt"}, OptionError, "'tensorrt'; expected onnxruntime or openvino"),
        ({"backend": "openvino", "device": 0}, OptionError, "device is 0; OpenVINO's have names"),
        ({"backend": "onnxruntime", "device": "GPU"}, OptionError, "takes the index of a GPU"),
        ({"backend": "openvino", "providers": []}, OptionError, "OpenVINO, which has no providers"),
        ({"backend": "onnxruntime", "cache": "x"}, OptionError, "which has no cache; leave it out"),
        ({"cache": 5}, OptionError, "cache is 5; expected a path"),
        ({"cache": SMALL_MODEL}, OptionError, "cache is .*w8.onnx, no folder: File exists"),
    ],
)
def test_options_that_it_lacks_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Interpolator(SMALL_MODEL, **options)


CUDA_LIBRARY = "libonnxruntime_providers_cuda.so"


@pytest.mark.parametrize(("broken", "other"), list(permutations(("onnxruntime", "openvino"))))
def test_a_backend_that_is_broken_names_the_other(broken: str, other: str, tmp_path: Path) -> None:
    (tmp_path / broken / "capi").mkdir(parents=True)
    (tmp_path / broken / "capi" / CUDA_LIBRARY).touch()
    raising = "raise OSError('libx.so.3: cannot open shared object file')"
    (tmp_path / broken / "__init__.py").write_text(raising)
    code = f"""
from runtime import BackendError, Interpolator
for options in ({{}}, {{"backend": {broken!r}}}):
    try:
        Interpolator({str(SMALL_MODEL)!r}, **options)
    except BackendError as error:
        print(error)
print(Interpolator({str(SMALL_MODEL)!r}, backend={other!r}).backend.library)
"""
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    *errors, library = done.stdout.splitlines()
    assert library == other, done.stderr
    assert len(errors) == 2
    for error in errors:
        assert f"{broken} cannot be imported (libx.so.3: cannot open" in error
        assert f"or take backend='{other}', which is installed" in error


def test_onnxruntime_is_asked_for_cuda_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not offers_cuda()  # of the one for CPUs, which is installed for tests
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (capi.parent / "__init__.py").write_text("raise OSError")
    (capi / "libonnxruntime_providers_shared.so").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    with Interpolator(SMALL_MODEL) as interpolate:
        assert interpolate.backend.library == "openvino"
    for library in (CUDA_LIBRARY, "onnxruntime_providers_cuda.dll"):
        (capi / library).touch()
        assert offers_cuda()
        (capi / library).unlink()
    assert not offers_cuda()


def test_closed_says_so() -> None:
    interpolate = Interpolator(SMALL_MODEL, backend="openvino")
    interpolate.close()
    interpolate.close()
    frame0, frame1 = pair(64, 64)
    for frames in ((frame0, frame1), (frame0, frame0)):
        with pytest.raises(BackendError, match="the session is closed"):
            interpolate(*frames)


def test_a_signal_after_sessions_that_closed_in_the_order_they_opened() -> None:
    # OpenVINO's CPU plugin brings a stack for signal handlers, and takes away the wrong one of two.
    code = f"""
import signal
from runtime import Interpolator
sessions = [Interpolator({str(SMALL_MODEL)!r}, backend="openvino") for _ in range(2)]
while sessions:
    sessions.pop(0).close()
signal.signal(signal.SIGTERM, lambda *_: print("caught"))
signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caught\n", "")


def test_what_openvino_cannot_run_is_the_artifacts_fault(
    vino: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(text: str) -> None:
        def compile_model(*_: object) -> None:
            raise RuntimeError(text)

        monkeypatch.setattr(vino._session, "_compiled_with", compile_model)

    fails("Exception from src/x.cpp:1:\nCheck failed: no kernel")
    with pytest.raises(ArtifactError, match=r"w8\.onnx: openvino cannot run it on CPU: Check fa"):
        vino(*pair(32, 32))
    fails("Exception from src/x.cpp:1:\nstd::bad_alloc")
    with pytest.raises(BackendError, match="openvino is short of memory"):
        vino(*pair(32, 32))


def test_copied_folder_runs_with_numpy_and_openvino_alone(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "runtime", tmp_path / "runtime", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("onnxruntime", "onnx", "torch", "av", "rich", "typer"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import numpy as np
from runtime import Interpolator, check_parity
with Interpolator() as interpolate:
    frame = np.full((20, 30, 3), 90, np.uint8)
    made = interpolate(frame, frame, t=[1/3, 2/3])
print(interpolate.backend.library, made.shape, check_parity().passed)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "openvino (2, 20, 30, 3) True\n", done.stderr


def test_the_bundled_model_is_int8_where_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def precision(**options: Any) -> str:
        with Interpolator(**options) as interpolate:
            return interpolate.metadata.precision

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert precision() == "int8"
    assert precision(backend="openvino", device="CPU") == "int8"
    assert precision(backend="onnxruntime") == "fp32"
    assert precision(providers=["CPUExecutionProvider"]) == "fp32"
    assert precision(artifact=BUNDLED_MODEL) == "fp32"  # nobody gets another than he named
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert precision() == "fp32"


def test_the_bundled_model_passes_in_both_precisions() -> None:
    for artifact in (BUNDLED_MODEL, BUNDLED_INT8):
        assert check_parity(artifact, backend="openvino").passed


@pytest.mark.long
def test_int8_of_the_bundled_model_loses_nothing_visible(data: Path) -> None:
    """Against true frames that nothing was chosen by."""
    losses = []
    with (
        Interpolator(BUNDLED_INT8, backend="openvino") as int8,
        Interpolator(BUNDLED_MODEL, backend="openvino") as fp32,
    ):
        for triplet in triplet_folders(data / "middlebury_other"):
            frames = triplet.read()
            near = [
                psnr_db(made(frames.frame0, frames.frame1) / 255, frames.truth / 255)
                for made in (fp32, int8)
            ]
            losses.append(near[0] - near[1])
    assert np.mean(losses) < 0.05
