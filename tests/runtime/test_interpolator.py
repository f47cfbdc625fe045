import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from runtime import (
    ArtifactError,
    BackendError,
    FrameError,
    InputNotFoundError,
    Interpolator,
    OptionError,
    RrinError,
)
from runtime.backends import BackendName
from runtime.metadata import Metadata
from runtime.onnxruntime_library import find_cuda
from runtime.onnxruntime_session import times_at_once
from runtime.parity import psnr_db
from runtime.scene import render
from tests.conftest import Exporter, unit
from tests.models import SMALL_MODEL


def scene(width: int, height: int, time: float) -> np.ndarray:
    return np.rint(render(height, width, time) * 255).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (33, 31), (64, 32), (101, 70)])
def test_any_size_and_both_dtypes(
    width: int, height: int, dtype: type, interpolate: Interpolator
) -> None:
    frame0, frame1 = scene(width, height, 0), scene(width, height, 1)
    if dtype is np.float32:
        frame0, frame1 = unit(frame0), unit(frame1)
    one = interpolate(frame0, frame1)
    several = interpolate(frame0, frame1, t=[0.5, 0.75, 0.9])
    assert one.shape == (height, width, 3)
    assert several.shape == (3, height, width, 3)
    assert one.dtype == several.dtype == dtype
    difference = np.abs(one.astype(float) - several[0])
    assert difference.max() <= (1 if dtype is np.uint8 else 1e-5)


def test_middle_is_nearer_to_the_truth_than_the_average(interpolate: Interpolator) -> None:
    frame0, frame1, truth = (unit(scene(224, 160, time)) for time in (0, 1, 0.5))
    assert psnr_db(interpolate(frame0, frame1), truth) > psnr_db((frame0 + frame1) / 2, truth) + 4


def test_time_runs_from_frame0_to_frame1(interpolate: Interpolator) -> None:
    frame0, frame1 = unit(scene(160, 96, 0)), unit(scene(160, 96, 1))
    made = interpolate(frame0, frame1, [0.2, 0.8])
    for frame, time in zip(made, (0.2, 0.8), strict=True):
        near, far = (unit(scene(160, 96, when)) for when in (time, 1 - time))
        assert psnr_db(frame, near) > psnr_db(frame, far) + 3


def test_padding_replicates_the_border_as_the_authors_demo(interpolate: Interpolator) -> None:
    frames = [unit(scene(70, 50, time)) for time in (0, 1)]
    by_hand = [np.pad(frame, ((0, 14), (0, 26), (0, 0)), mode="edge") for frame in frames]
    np.testing.assert_array_equal(interpolate(*frames), interpolate(*by_hand)[:50, :70])


def test_times_0_and_1_are_the_frames_themselves(interpolate: Interpolator) -> None:
    frame0, frame1 = scene(40, 40, 0), scene(40, 40, 9)
    np.testing.assert_array_equal(interpolate(frame0, frame1, 0), frame0)
    np.testing.assert_array_equal(interpolate(frame0, frame1, 1.0), frame1)
    made = interpolate(frame0, frame1, [1, 0.5, 0])
    np.testing.assert_array_equal(made[[0, 2]], [frame1, frame0])
    np.testing.assert_array_equal(made[1], interpolate(frame0, frame1))


def test_no_times_give_no_frames(interpolate: Interpolator) -> None:
    assert interpolate(scene(8, 4, 0), scene(8, 4, 1), []).shape == (0, 4, 8, 3)


def test_inputs_stay_as_they_were(interpolate: Interpolator) -> None:
    frame0, frame1 = scene(32, 32, 0), scene(32, 32, 1)
    before = frame0.copy()
    made = interpolate(frame0, frame1, [0, 0.5])
    made[...] = 0
    np.testing.assert_array_equal(frame0, before)


def test_strided_views_are_frames(interpolate: Interpolator) -> None:
    frame0, frame1 = scene(80, 60, 0)[:, ::-1], scene(80, 60, 1)[:, ::-1]
    expected = interpolate(frame0.copy(), frame1.copy())
    np.testing.assert_array_equal(interpolate(frame0, frame1), expected)


GOOD = np.zeros((8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([[0, 0, 0]], "frame1 is a list; expected a numpy array"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\); expected \(H, W, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), r"shape \(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (GOOD.astype(np.float64), "is float64; expected uint8, or float32"),
        (GOOD * np.nan, "holds NaN"),
        (GOOD + 200, "values from 200 to 200; expected float32 in"),
        (GOOD - 0.1, "values from -0.1"),
        (np.zeros((8, 9, 3), np.float32), "two sizes, 8x8 and 9x8"),
        (GOOD.astype(np.uint8), "are float32 and uint8; expected one dtype"),
    ],
)
def test_refuses_what_is_no_frame(
    frame: np.ndarray, message: str, interpolate: Interpolator
) -> None:
    with pytest.raises(FrameError, match=message):
        interpolate(GOOD, frame)


@pytest.mark.parametrize(
    "t",
    [-0.1, 1.5, float("nan"), "half", [[0.5]], [0.5, 2], 10**400, 10**5000],
    ids=lambda t: type(t).__name__,
)
def test_refuses_what_is_no_time(t: object, interpolate: Interpolator) -> None:
    with pytest.raises(FrameError, match=r"expected a number in \[0, 1\]"):
        interpolate(GOOD, GOOD, t)  # type: ignore[arg-type]


def test_refuses_more_than_1000_times_a_call(interpolate: Interpolator) -> None:
    many = np.linspace(0, 1, 1001)
    with pytest.raises(FrameError, match="holds 1001 times; expected 1000 at most"):
        interpolate(GOOD, GOOD, many)
    with pytest.raises(FrameError, match="holds 1001 times; expected 1000 at most"):
        list(interpolate.fill([(GOOD, []), (GOOD, many)]))


def test_uint8_artifact_refuses_float32_frames(exported: Exporter) -> None:
    with Interpolator(exported(io="uint8")) as interpolate:
        with pytest.raises(FrameError, match="export the checkpoint for float32 io"):
            interpolate(GOOD, GOOD)
        assert interpolate(scene(8, 8, 0), scene(8, 8, 1)).dtype == np.uint8


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_stream_gives_originals_and_frames_between_in_order(
    factor: int, interpolate: Interpolator
) -> None:
    frames = [scene(48, 40, time) for time in range(4)]
    made = list(interpolate.stream(iter(frames), factor))
    assert len(made) == 3 * factor + 1
    assert all(made[index * factor] is frame for index, frame in enumerate(frames))
    times = [step / factor for step in range(1, factor)]
    for index in range(3):
        between = made[index * factor + 1 : (index + 1) * factor]
        expected = interpolate(frames[index], frames[index + 1], times)
        np.testing.assert_array_equal(np.array(between).reshape(expected.shape), expected)


def test_stream_reads_one_frame_ahead_and_no_more(interpolate: Interpolator) -> None:
    taken = []

    def source() -> object:
        for time in range(100):
            taken.append(time)
            yield scene(16, 16, time)

    stream = interpolate.stream(source(), 2)
    assert taken == []
    for _ in range(3):
        next(stream)
    assert len(taken) == 2


def refilled(sources: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield one array that is filled with every frame in turn, as loops over a camera do."""
    buffer = np.empty_like(sources[0])
    for source in sources:
        buffer[...] = source
        yield buffer
    buffer[...] = 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("width", "height"), [(64, 32), (50, 40)])  # padded, and not
def test_source_may_fill_one_array_with_every_frame(
    width: int, height: int, dtype: type, interpolate: Interpolator
) -> None:
    sources = [scene(width, height, 3 * time) for time in range(5)]
    if dtype is np.float32:
        sources = [unit(source) for source in sources]
    expected = list(interpolate.stream(sources, 3))
    for index, frame in enumerate(interpolate.stream(refilled(sources), 3)):
        np.testing.assert_array_equal(frame, expected[index])
    times = [[], [0.5], [], [0.25, 0.5], []]
    filled = interpolate.fill(zip(refilled(sources), times, strict=True))
    for index, (frame, made) in enumerate(filled):
        np.testing.assert_array_equal(frame, sources[index])
        if len(made):
            right = interpolate(sources[index - 1], sources[index], times[index])
            np.testing.assert_array_equal(made, right)
        assert len(made) == len(times[index])


@pytest.mark.parametrize("count", [0, 1])
def test_stream_of_less_than_a_pair(count: int, interpolate: Interpolator) -> None:
    assert len(list(interpolate.stream([GOOD] * count, 4))) == count


def test_stream_refuses_a_change_of_size_and_a_bad_factor(interpolate: Interpolator) -> None:
    with pytest.raises(FrameError, match="two sizes, 8x8 and 16x8"):
        list(interpolate.stream([GOOD, GOOD, np.zeros((8, 16, 3), np.float32)], 2))
    for factor in (0, 2.5, 1001, float("nan"), float("inf")):
        with pytest.raises(OptionError, match=f"factor is {factor}"):
            interpolate.stream([GOOD], factor)  # type: ignore[arg-type]


def test_stream_passes_on_the_exception_of_its_source(interpolate: Interpolator) -> None:
    def source() -> object:
        yield GOOD
        raise ConnectionError("camera unplugged")

    with pytest.raises(ConnectionError, match="camera unplugged"):
        list(interpolate.stream(source(), 2))


@pytest.mark.parametrize(
    ("height", "width", "times"), [(256, 448, 18), (736, 1280, 2), (1088, 1920, 1), (2176, 3840, 1)]
)
def test_large_frames_run_few_times_at_once(height: int, width: int, times: int) -> None:
    assert times_at_once(height, width, 8) == times


def test_times_run_one_by_one_give_the_same_frames(
    interpolate: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = scene(101, 70, 0), scene(101, 70, 3)
    expected = interpolate(*pair, [0.2, 0.5, 0.9])
    monkeypatch.setattr("runtime.onnxruntime_session._RUN_BYTES", 1)
    np.testing.assert_array_equal(interpolate(*pair, [0.2, 0.5, 0.9]), expected)


def test_threads_may_share_an_interpolator(interpolate: Interpolator) -> None:
    pairs = [(scene(64, 48, time), scene(64, 48, time + 1)) for time in range(4)]
    expected = [interpolate(*pair) for pair in pairs]
    found: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: interpolate(*pairs[i])}))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, frame in enumerate(expected):
        np.testing.assert_array_equal(found[index], frame)


def test_backend_and_metadata_are_visible(interpolate: Interpolator) -> None:
    backend = interpolate.backend
    assert (backend.library, backend.device) == ("onnxruntime", "CPUExecutionProvider")
    assert str(backend) == f"onnxruntime {version('onnxruntime')} CPUExecutionProvider"
    assert interpolate.metadata.base_width == 8
    assert interpolate.metadata.align_corners is False


def test_options_and_warm_up() -> None:
    with Interpolator(threads=1, providers=["CPUExecutionProvider"]) as interpolate:
        interpolate.warm_up(32, 64, times=3)
        assert interpolate(GOOD, GOOD).shape == GOOD.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"providers": ["NoSuchProvider"]}, "provider NoSuchProvider: this onnxruntime .* has"),
        ({"providers": []}, "list is empty"),
        ({"threads": 0}, "threads is 0; expected a whole number from 1 to 1024"),
        ({"threads": 2_000_000}, "threads is 2000000; expected a whole number from 1 to 1024"),
        ({"threads": "2"}, "threads is '2'; expected a whole number"),
        ({"threads": 2.0}, "threads is 2.0; expected a whole number"),
        ({"providers": ["AzureExecutionProvider"]}, "is no provider that runs models; choose"),
        ({"artifact": "x" * 5000}, "File name too long; expected an artifact"),
        ({"device": -1}, "device is -1; expected a whole number, 0 or more"),
        ({"device": 5}, r"w16\.onnx: runs on CPUExecutionProvider, which has no device; leave it"),
        ({"providers": "CPUExecutionProvider"}, "providers is 'CPU.*; expected a list of names"),
        ({"providers": [5]}, r"providers is \[5\]; expected a list of names"),
        ({"artifact": ""}, "artifact is ''; expected a path, such as rrin.onnx"),
        ({"artifact": 5}, "artifact is 5; expected a path, such as rrin.onnx"),
    ],
)
def test_options_that_cannot_be_met(options: dict[str, object], message: str) -> None:
    with pytest.raises(RrinError, match=message):
        Interpolator(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", ["std::bad_alloc", "Failed to allocate memory for 5 bytes"])
def test_want_of_memory_does_not_blame_the_file(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    def full(*_: object, **__: object) -> None:
        raise RuntimeError(why)

    monkeypatch.setattr(onnxruntime, "InferenceSession", full)
    with pytest.raises(BackendError, match=f"not enough memory to open it .{why}"):
        Interpolator(backend="onnxruntime")


@pytest.mark.parametrize("factor", [None, "2", float("nan"), 2.5, 0, [2]])
def test_factors_that_are_none(factor: object, interpolate: Interpolator) -> None:
    with pytest.raises(OptionError, match="expected a whole number from 1 to 1000"):
        interpolate.stream([GOOD], factor)  # type: ignore[arg-type]


def test_integers_of_numpy_are_whole_numbers() -> None:
    with Interpolator(threads=np.int64(1)) as interpolate:  # type: ignore[arg-type]
        interpolate.warm_up(np.int64(12), np.int32(12), np.uint8(2))  # type: ignore[arg-type]


def test_warm_up_of_frames_beyond_the_memory_says_so(interpolate: Interpolator) -> None:
    with pytest.raises(BackendError, match="no memory for 1 frames of 1000000x1000000"):
        interpolate.warm_up(10**6, 10**6)


@pytest.mark.parametrize(
    "wanted",
    [
        (-1, 3, 1), (3, 0, 1), (3, 3, 0), (3, 3, 1001), ("3", 3, 1),
        (10.0, 10.0, 1), (12, np.float64(12), 1), (True, True, 1),
    ],
)  # fmt: skip
def test_warm_up_refuses_what_no_call_has(
    wanted: tuple[int, int, int], interpolate: Interpolator
) -> None:
    with pytest.raises(OptionError, match="expected a whole number"):
        interpolate.warm_up(*wanted)


@pytest.mark.parametrize("times", [[0.0], [0.5, 1.0]])
def test_fill_refuses_the_times_of_the_frames_themselves(
    times: list[float], interpolate: Interpolator
) -> None:
    with pytest.raises(FrameError, match=r"expected times inside \(0, 1\)"):
        list(interpolate.fill([(GOOD, []), (GOOD, times)]))


@pytest.mark.parametrize("times", [[0], None])
def test_fill_checks_the_times_of_the_first_frame_too(
    times: Any, interpolate: Interpolator
) -> None:
    with pytest.raises(FrameError, match="t is "):
        list(interpolate.fill([(GOOD, times), (GOOD, [0.3])]))
    (_, none), _ = interpolate.fill([(GOOD, [0.3]), (GOOD, [])])
    assert none.shape == (0, *GOOD.shape)


def test_what_are_no_frames_one_after_another_is_refused(interpolate: Interpolator) -> None:
    nothing: Any = None
    with pytest.raises(FrameError, match="frames is a NoneType; expected a list, a generator"):
        interpolate.stream(nothing, 2)
    with pytest.raises(FrameError, match="frames is a NoneType; expected a list, a generator"):
        list(interpolate.fill(nothing))
    bare: Any = [GOOD, GOOD]
    with pytest.raises(FrameError, match="frames holds a ndarray; expected pairs"):
        list(interpolate.fill(bare))


def test_fill_takes_times_that_float32_would_round_to_0_or_1(interpolate: Interpolator) -> None:
    _, (_, made) = interpolate.fill([(GOOD, []), (GOOD, [1e-60, 1 - 1e-9])])
    assert made.shape == (2, *GOOD.shape)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nan_does_not_become_a_picture(dtype: type, backend: BackendName, tmp_path: Path) -> None:
    graph = onnx.load(SMALL_MODEL)
    (bias,) = (x for x in graph.graph.initializer if x.name == "final.last.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    onnx.save(graph, tmp_path / "nan.onnx")
    frame = np.zeros(GOOD.shape, dtype)
    with Interpolator(tmp_path / "nan.onnx", backend=backend) as interpolate:
        with pytest.raises(ArtifactError, match="NaN or infinite"):
            interpolate(frame, 1 - frame)
        with pytest.raises(ArtifactError, match="NaN or infinite"):
            list(interpolate.stream([frame, 1 - frame], 2))


def test_provider_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    # As on a machine with onnxruntime-gpu and no CUDA: offered, asked for, silently left out.
    honest = onnxruntime.InferenceSession
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda, cpu])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, **_: honest(path, options)
    )
    with pytest.raises(BackendError, match=f"{cuda} did not load on this machine"):
        Interpolator(providers=[cuda, cpu])
    with pytest.raises(OptionError, match=f"runs on {cpu}, which has no device"):
        Interpolator(device=0)
    with Interpolator(backend="onnxruntime") as interpolate:  # not asked for: what loads is taken
        assert interpolate.backend.device == cpu
    with Interpolator() as interpolate:
        assert interpolate.backend.library == "openvino"


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider"])
def test_gpu_providers_find_cuda_and_are_set_up_for_convolutions(
    provider: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import onnxruntime

    honest = onnxruntime.InferenceSession
    asked: list[object] = []

    def preload_dlls() -> None:
        asked.append("CUDA's libraries")
        print("Failed to load libcudnn.so.9")  # as it does, into what a command may print as JSON

    def session(content: bytes, options: object, providers: list[object]) -> object:
        asked.extend(providers)
        return honest(content, options)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider])
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload_dlls)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    find_cuda.cache_clear()
    model = tmp_path / "rrin.onnx"
    model.write_bytes(SMALL_MODEL.read_bytes())
    with pytest.raises(BackendError, match=f"{provider} did not load on this machine"):
        Interpolator(model, providers=[provider], device=1)
    options = {
        "CUDAExecutionProvider": {
            "use_tf32": "0",
            "prefer_nhwc": "1",
            "cudnn_conv_algo_search": "HEURISTIC",
        },
        "TensorrtExecutionProvider": {},
    }[provider]
    assert asked == ["CUDA's libraries", (provider, {"device_id": "1", **options})]
    assert capsys.readouterr().out == ""


def test_closed_interpolator_says_so() -> None:
    interpolate = Interpolator()
    interpolate.close()
    interpolate.close()
    for other in (1 - GOOD, GOOD):
        with pytest.raises(BackendError, match="closed"):
            interpolate(GOOD, other)


def damaged(kind: str, path: Path) -> None:
    content = SMALL_MODEL.read_bytes()
    if kind == "empty":
        content = b""
    elif kind == "text":
        content = b"not a model\n" * 100
    elif kind == "truncated":
        content = content[: len(content) // 2]
    path.write_bytes(content)
    if kind in ("not ours", "newer", "bad field"):
        model = onnx.load(path)
        properties = {entry.key: entry for entry in model.metadata_props}
        if kind == "not ours":
            del model.metadata_props[:]
        elif kind == "newer":
            properties["rrin.format_version"].value = "99"
        else:
            properties["rrin.io"].value = "complex64"
        onnx.save(model, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "not an ONNX file"),
        ("text", "not an ONNX file"),
        ("truncated", "not an ONNX file, or a damaged or foreign one"),
        ("not ours", "not an RRIN artifact .* export one from a checkpoint"),
        ("newer", "artifact format 99; this runtime reads 2"),
        ("bad field", "metadata is damaged .*complex64"),
    ],
)
def test_damaged_artifacts(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rrin.onnx"
    damaged(kind, path)
    with pytest.raises(ArtifactError, match=message) as caught:
        Interpolator(path)
    assert "\n" not in str(caught.value)


def test_missing_artifact(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        Interpolator(tmp_path / "rrin.onnx")


def test_metadata_survives_its_strings() -> None:
    metadata = Metadata("ab" * 32, 32, True, 32, "uint8", "fp32", 19, "a test")
    assert Metadata.from_properties(metadata.to_properties(), "x") == metadata
