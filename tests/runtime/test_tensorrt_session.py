"""The TensorRT session on the simulated device, against ONNX Runtime on the same graph."""

import gc
import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from media import Encoding, VideoOptions, interpolate_video, write_video
from runtime import (
    ArtifactError,
    BackendError,
    FrameError,
    InputNotFoundError,
    Interpolator,
    OptionError,
    check_parity,
)
from runtime.golden import golden_beside
from runtime.graph_check import read_checked
from runtime.manifest import Manifest, Profile, manifest_path
from runtime.scene import render
from tests.conftest import unit
from tests.marks import others_long
from tests.models import SMALL_MODEL
from tests.simulation import cuda, tensorrt
from tests.simulation.machine import Machine

VERSIONS = {"rtx": "1.7.1.116", "tensorrt": "10.13.0.35"}
MakeEngine = Callable[..., Path]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Put the simulated PyCUDA and TensorRT where the real ones would be imported from."""
    machine = Machine()
    modules = cuda.modules(machine)
    for name, target in (("tensorrt", "tensorrt"), ("tensorrt_rtx", "rtx")):
        modules[name] = tensorrt.runtime_module(machine, name, VERSIONS[target])
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in cuda.ON_DRIVER:
        sys.modules.pop(name, None)
    yield machine
    for name in cuda.ON_DRIVER:
        sys.modules.pop(name, None)


@pytest.fixture
def engine(tmp_path: Path) -> MakeEngine:
    """Write an engine for the simulated runtime, with a real manifest."""

    def engine(model: Path = SMALL_MODEL, target: str = "rtx", **changes: Any) -> Path:
        path = tmp_path / "rrin.fp32.engine"
        plan = model.read_bytes()
        path.write_bytes(plan)
        _, metadata = read_checked(model)
        digest = hashlib.sha256(plan).hexdigest()
        fields: dict[str, Any] = {
            "target": target,
            "version": VERSIONS[target],
            "compute_capabilities": (86, 89),
            "version_compatible": False,
            "hardware_compatible": False,
            "profile": Profile((32, 32), (256, 256), (512, 512), 7),
            "census": {"FLOAT": 81},
            "metadata": metadata,
            "plan_sha256": digest,
            "onnx_sha256": digest,
            "context_bytes": None,
            "options": {},
            "seconds": 1.0,
        }
        manifest_path(path).write_bytes(Manifest(**fields | changes).to_bytes())
        return path

    return engine


def assert_same(found: Iterable[np.ndarray], expected: Iterable[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def frames(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    return [np.rint(render(height, width, time) * 255).astype(np.uint8) for time in range(count)]


@pytest.mark.parametrize("target", ["rtx", "tensorrt"])
@pytest.mark.parametrize(("width", "height"), others_long([(101, 70), (32, 32), (160, 96)]))
@pytest.mark.parametrize("times", [1, 3, 7])
def test_calls_give_the_frames_of_onnx_runtime(
    width: int, height: int, times: int, target: str, machine: Machine, engine: MakeEngine,
    interpolate: Interpolator,
) -> None:  # fmt: skip
    pair = frames(2, width, height)
    t = np.linspace(0.1, 0.9, times)
    with Interpolator(engine(target=target)) as ours:
        assert str(ours.backend).endswith("Simulated GPU with CUDA graphs")
        np.testing.assert_array_equal(ours(*pair, t), interpolate(*pair, t))
        np.testing.assert_array_equal(ours(*map(unit, pair), t), interpolate(*map(unit, pair), t))
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_more_times_than_the_engine_takes_are_split(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    pair = frames(2)
    t = np.linspace(0.05, 0.95, 17)
    with Interpolator(engine()) as ours:
        found = ours(*pair, t)
        streamed = list(ours.stream(pair, 18))
    expected = interpolate(*pair, t)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert len(streamed) == 19
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize("target", ["rtx", "tensorrt"])
def test_engine_of_one_time_runs_often_on_a_pair_uploaded_once(
    target: str, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(3)
    frame_bytes = source[0].size * 4
    t = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]
    small = (4 + 7) * 4  # the window, and times one by one
    profile = Profile((32, 32), (256, 256), (512, 512), 1)
    with Interpolator(engine(target=target, profile=profile)) as ours:
        found = ours(*source[:2], t)
        assert sum(machine.uploaded.values()) == 2 * frame_bytes + small
        machine.uploaded.clear()
        streamed = list(ours.stream(source, 8))
        assert sum(machine.uploaded.values()) == 3 * frame_bytes + 2 * small
        made: Any = ours.on_device(*(Torch(machine, unit(frame)) for frame in source[:2]), t)
        raw = machine.memory[made.__cuda_array_interface__["data"][0]]
        result = raw[: 7 * frame_bytes].view(np.float32).reshape(7, *source[0].shape).copy()
    each = [interpolate(*source[:2], [time])[0] for time in t]
    assert_same(found, each)
    assert_same(streamed[1:8], each)
    assert_same(result, [interpolate(*map(unit, source[:2]), [time])[0] for time in t])


def test_a_hundred_frames_in_a_stream_each_uploaded_once(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(100, 64, 32)
    expected = list(interpolate.stream(source, 2))
    with Interpolator(engine()) as ours:
        found = list(ours.stream(source, 2))
    assert_same(found, expected)
    # Frames go up on the streams for transfer; times and windows, of 4 bytes a number, elsewhere.
    frame_bytes = 64 * 32 * 3 * 4
    small = 99 * (1 + 4) * 4
    assert sum(machine.uploaded.values()) == 100 * frame_bytes + small
    assert machine.allocations < 20  # buffers are kept, not allocated per frame


@pytest.mark.parametrize(("factor", "max_times"), [(2, 1), (4, 1), (5, 3)])
def test_stream_of_one_size_keeps_its_addresses_and_so_the_captured_graph(
    factor: int, max_times: int, machine: Machine, engine: MakeEngine
) -> None:
    profile = Profile((32, 32), (256, 256), (512, 512), max_times)
    times = [number / factor for number in range(1, factor)]
    with Interpolator(engine(profile=profile)) as ours:
        list(ours.stream(frames(40, 64, 32), factor))
        assert len(machine.captures) == 1
        ours(*frames(2, 64, 32), times)
        assert len(machine.captures) == 1
        ours(*frames(2, 96, 64), times)
        assert len(machine.captures) == 2


@pytest.mark.parametrize(("kinds", "launches"), [(2, 10), (4, 8), (5, 0)])
def test_four_kinds_of_runs_keep_a_context_and_its_graph_each(
    kinds: int, launches: int, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(13, 64, 32)
    # The most at first, so that no memory grows later.
    times = [[], *(np.linspace(0.2, 0.8, kinds - i % kinds) for i in range(12))]
    expected = list(interpolate.fill(zip(source, times, strict=True)))
    with Interpolator(engine(target="tensorrt")) as ours:
        found = list(ours.fill(zip(source, times, strict=True)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[1], other[1])
    assert machine.contexts == min(kinds, 4)
    assert machine.launches == launches
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_nobody_waits_for_the_whole_gpu_while_rtx_may_capture(
    machine: Machine, engine: MakeEngine
) -> None:
    done: list[bool] = []
    threads: list[threading.Thread] = []
    gpu = import_module("runtime.device").Gpu(0)

    def settle() -> None:
        with gpu.current():
            gpu.settle()

    def executing() -> None:
        threads.append(threading.Thread(target=settle))
        threads[-1].start()
        threads[-1].join(0.3)
        done.append(not threads[-1].is_alive())

    machine.executing = executing
    with Interpolator(engine()) as ours:
        for _ in range(3):
            ours(*frames(2, 64, 32))
        ours(*frames(2, 32, 32))
        for thread in threads:
            thread.join()
    assert done == [False, False, True, False]


@pytest.mark.parametrize("factor", [1, 4])
def test_stream_of_another_factor(
    factor: int, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(5)
    with Interpolator(engine()) as ours:
        found = list(ours.stream(source, factor))
    assert_same(found, interpolate.stream(source, factor))
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (50, 40)])
def test_source_may_fill_one_array_with_every_frame(
    width: int, height: int, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    sources = [frame.copy() for frame in frames(13, width, height)[::3]]
    times = [[], [0.5], [], [0.25, 0.5], []]

    def refilled() -> Iterator[np.ndarray]:
        buffer = np.empty_like(sources[0])
        for source in sources:
            buffer[...] = source
            yield buffer
        buffer[...] = 0

    with Interpolator(engine()) as ours:
        streamed = list(ours.stream(refilled(), 3))
        filled = list(ours.fill(zip(refilled(), times, strict=True)))
    assert_same(streamed, interpolate.stream(sources, 3))
    expected = interpolate.fill(zip(sources, times, strict=True))
    for found, right in zip(filled, expected, strict=True):
        np.testing.assert_array_equal(found[0], right[0])
        np.testing.assert_array_equal(found[1], right[1])
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_stream_of_a_stream(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(4)
    expected = list(interpolate.stream(interpolate.stream(source, 2), 2))
    with Interpolator(engine()) as ours:
        found = list(ours.stream(ours.stream(source, 2), 2))
    assert_same(found, expected)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_four_threads_at_once(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(9)
    expected = list(interpolate.stream(source, 2))
    found: dict[int, list[np.ndarray]] = {}
    with Interpolator(engine()) as ours:
        threads = [
            threading.Thread(target=lambda i=i: found.update({i: list(ours.stream(source, 2))}))
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for index in range(4):
        assert_same(found[index], expected)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_many_videos_take_no_more_of_the_gpu_than_one(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(4, 64, 32)
    expected = list(interpolate.stream(source, 2))
    found: list[list[np.ndarray]] = []

    def use(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with Interpolator(engine()) as ours:
        use(lambda: found.append(list(ours.stream(source, 2))))
        after_one = machine.live_buffers, machine.live_handles, machine.contexts
        for _ in range(9):  # a thread each, as the stages of a video have
            use(lambda: found.append(list(ours.stream(source, 2))))
        for _ in range(20):
            use(lambda: [ours(*source[:2]) for _ in range(5)])
        gc.collect()
        assert (machine.live_buffers, machine.live_handles, machine.contexts) == after_one
    for streamed in found:
        assert_same(streamed, expected)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_two_videos_at_once_share_an_engine(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator, tmp_path: Path
) -> None:
    options = VideoOptions(factor=Fraction(2), encoding=Encoding(codec="ffv1"))
    names = ("a", "b")
    for name, first in zip(names, (0, 7), strict=True):
        write_video(tmp_path / f"{name}.mkv", frames(12, 64, 32)[first : first + 5], Fraction(25))
        clip, right = tmp_path / f"{name}.mkv", tmp_path / f"{name}.right.mkv"
        interpolate_video(interpolate, clip, right, options)

    with Interpolator(engine()) as ours:
        threads = [
            threading.Thread(
                target=interpolate_video,
                args=(ours, tmp_path / f"{name}.mkv", tmp_path / f"{name}.ours.mkv", options),
            )
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert machine.contexts <= 2
    for name in names:
        found, right = (
            [frame.to_ndarray() for frame in container.decode(video=0)]
            for container in (
                av.open(str(tmp_path / f"{name}.{whose}.mkv")) for whose in ("ours", "right")
            )
        )
        assert len(found) == 10
        assert_same(found, right)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_a_stream_may_go_on_and_end_in_other_threads(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(5)
    expected = list(interpolate.stream(source, 2))
    found: list[np.ndarray] = []
    with Interpolator(engine()) as ours:
        stream = ours.stream(source, 2)
        for _ in expected:
            thread = threading.Thread(target=lambda: found.append(next(stream)))
            thread.start()
            thread.join()
        assert next(stream, None) is None
        np.testing.assert_array_equal(ours(*source[:2]), expected[1])
        assert machine.contexts == 1  # the call had the lane that the stream gave back
    assert_same(found, expected)


@pytest.mark.parametrize("after", range(1, 5))
def test_close_in_the_middle_of_a_stream_is_said_in_the_stream(
    after: int, machine: Machine, engine: MakeEngine
) -> None:
    ours = Interpolator(engine())
    stream = ours.stream(frames(5), 2)
    for _ in range(after):
        next(stream)
    ours.close()
    with pytest.raises(BackendError, match="the session is closed"):
        list(stream)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_warm_up_makes_what_the_next_call_uses(machine: Machine, engine: MakeEngine) -> None:
    with Interpolator(engine()) as ours:
        ours.warm_up(64, 96, 2)
        made = machine.allocations
        thread = threading.Thread(target=lambda: ours(*frames(2), [0.3, 0.6]))
        thread.start()
        thread.join()
        assert machine.allocations == made


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("given", [{"threads": 2}, {"providers": ["CPUExecutionProvider"]}])
def test_options_that_an_engine_does_not_have_are_refused(
    given: dict[str, Any], engine: MakeEngine
) -> None:
    with pytest.raises(OptionError, match=f"is an engine, which has no {next(iter(given))}"):
        Interpolator(engine(), **given)


SOURCES = 5
# Of each pair, one wait for its upload and one for its result.
WAITS = 2 * (SOURCES - 1)


def test_a_stream_has_no_more_waits_than_needed(machine: Machine, engine: MakeEngine) -> None:
    with Interpolator(engine()) as ours:
        list(ours.stream(frames(SOURCES), 3))
        assert machine.waits == WAITS


@pytest.mark.filterwarnings("ignore:invalid value")  # poison is no number
@pytest.mark.parametrize("ignored", others_long(range(WAITS), 4))
def test_every_wait_is_needed(
    ignored: int, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(SOURCES)
    expected = list(interpolate.stream(source, 3))
    machine.ignore_wait = ignored
    with Interpolator(engine()) as ours:
        found = list(ours.stream(source, 3))
    assert any((one != other).any() for one, other in zip(found, expected, strict=True))


@pytest.mark.usefixtures("machine")
def test_result_is_the_callers_to_keep(engine: MakeEngine) -> None:
    source = frames(6)
    with Interpolator(engine()) as ours:
        first = ours(source[0], source[1])
        kept = first.copy()
        for frame in source[2:]:
            ours(source[0], frame)
        np.testing.assert_array_equal(first, kept)


def test_growing_frames_reuse_and_replace_buffers(machine: Machine, engine: MakeEngine) -> None:
    with Interpolator(engine()) as ours:
        for size in (32, 64, 96, 64, 32, 96):
            ours(*frames(2, size, size))
            gc.collect()
        assert machine.live_buffers <= 12
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_classic_tensorrt_takes_memory_for_the_shape_in_use(
    machine: Machine, engine: MakeEngine
) -> None:
    taken: list[int] = []
    with Interpolator(engine(target="tensorrt")) as ours:
        for size in (32, 64, 256, 32):
            ours(*frames(2, size, size))
            gc.collect()
            taken.append(max(map(len, machine.memory.values())))
    small, medium, large, _ = taken
    assert (medium, large) == (4 * small, 64 * small)
    assert taken[-1] == large  # kept for the next large one


@pytest.mark.parametrize("target", ["rtx", "tensorrt"])
def test_times_that_grow_within_a_stream(
    target: str, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    clip = list(zip(frames(5), [[], [0.5], [0.2, 0.4], [0.3, 0.5, 0.7], [0.5]], strict=True))
    with Interpolator(engine(target=target)) as ours:
        found = [made for _, made in ours.fill(clip)]
    for made, expected in zip(found, interpolate.fill(clip), strict=True):
        np.testing.assert_array_equal(made, expected[1])
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


class Torch:
    """An array on the device that is not ours."""

    def __init__(self, machine: Machine, array: np.ndarray, **more: Any) -> None:
        address = 0x10_0000 * (1 + len(machine.memory))
        machine.memory[address] = np.ascontiguousarray(array).view(np.uint8).ravel().copy()
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (address, False),
            "strides": None,
            "version": 2,  # as torch has it
            **more,
        }


def test_device_arrays_are_taken_and_given_without_a_copy(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    pair = [unit(frame) for frame in frames(2)]
    t = [0.25, 0.75]
    with Interpolator(engine()) as ours:
        made: Any = ours.on_device(*(Torch(machine, frame) for frame in pair), t)
        array = made.__cuda_array_interface__
        assert array["shape"] == (2, 64, 96, 3)
        raw = machine.memory[array["data"][0]]
        result = raw[: 2 * 64 * 96 * 3 * 4].view(np.float32).reshape(array["shape"])
        np.testing.assert_array_equal(result, interpolate(*pair, t))
        assert sum(machine.uploaded.values()) == (2 + 4) * 4  # times and window alone


@pytest.mark.parametrize(
    ("array", "more", "message"),
    [
        (np.zeros((64, 96, 3), np.uint8), {}, r"frame0 is uint8; .* takes float32"),
        (np.zeros((64, 96, 3), np.float32), {"strides": (1152, 4, 384)}, "contiguous pixels"),
        (np.zeros((64, 96, 3), np.float32), {"strides": (0, 12, 4)}, "contiguous pixels"),
        (np.zeros((64, 96, 3), np.float32), {"strides": (-1152, 12, 4)}, "contiguous pixels"),
        (np.zeros((64, 96), np.float32), {}, r"shape \(64, 96\); expected \(H, W, 3\)"),
        (np.zeros((0, 96, 3), np.float32), {}, r"shape \(0, 96, 3\); expected"),
    ],
)
def test_device_arrays_that_do_not_fit(
    array: np.ndarray, more: dict[str, Any], message: str, machine: Machine, engine: MakeEngine
) -> None:
    with Interpolator(engine()) as ours, pytest.raises(FrameError, match=message):
        ours.on_device(Torch(machine, array, **more), Torch(machine, array, **more))


def test_device_arrays_may_begin_at_any_address(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    pair = [unit(frame) for frame in frames(2)]
    several = Torch(machine, np.concatenate([np.zeros(3, np.float32), *map(np.ravel, pair)]))
    address, _ = several.__cuda_array_interface__["data"]
    parts: list[Any] = []
    for index, frame in enumerate(pair):
        parts.append(Torch(machine, frame, data=(address + 12 + index * frame.nbytes, False)))
    with Interpolator(engine()) as ours:
        made: Any = ours.on_device(*parts, 0.5)
        raw = machine.memory[made.__cuda_array_interface__["data"][0]]
        result = raw[: pair[0].nbytes].view(np.float32).reshape(pair[0].shape).copy()
    np.testing.assert_array_equal(result, interpolate(*pair))


def test_onnx_runtime_says_that_it_takes_no_device_arrays(
    machine: Machine, interpolate: Interpolator
) -> None:
    array = Torch(machine, np.zeros((32, 32, 3), np.float32))
    with pytest.raises(BackendError, match="device arrays need an engine"):
        interpolate.on_device(array, array)


@pytest.mark.long
def test_one_static_engine_serves_every_size(
    machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    profile = Profile((128, 96), (128, 96), (128, 96), 7)
    times = [0.25, 0.5]
    with Interpolator(engine(profile=profile), overlap=64) as ours:
        with Interpolator(SMALL_MODEL, backend="onnxruntime", tile=(128, 96), overlap=64) as tiled:
            larger = frames(2, 333, 150)
            assert_same(ours(*larger, times), tiled(*larger, times))
            assert_same(ours.stream(larger, 3), tiled.stream(larger, 3))
        smaller = frames(2, 70, 40)
        padded = [np.pad(each, ((0, 56), (0, 58), (0, 0)), mode="edge") for each in smaller]
        assert_same(ours(*smaller, times), interpolate(*padded, times)[:, :40, :70])
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize("smallest", [(32, 32), pytest.param((128, 96), marks=pytest.mark.long)])
def test_an_engine_infers_what_moves_where_it_is_asked_to(
    smallest: tuple[int, int], machine: Machine, engine: MakeEngine
) -> None:
    frame0, moved = frames(2, 333, 150)
    frame1 = frame0.copy()
    frame1[:32, :32] = moved[:32, :32]
    times = [0.25, 0.5]
    with Interpolator(SMALL_MODEL, backend="onnxruntime", skip_still=False) as whole:
        expected = whole(frame0, frame1, times)
    path = engine(profile=Profile(smallest, (128, 96), (128, 96), 7))
    tiles = 5 * 3  # of the padded frame
    for skip_still, runs in ((None, 1), (True, 1), (False, tiles)):
        with Interpolator(path, overlap=64, skip_still=skip_still) as ours:
            executed = count_runs(machine)
            found = ours(frame0, frame1, times)
            assert len(executed) == runs
            assert_same(list(ours.stream([frame1, frame0, frame1], 4))[5:7], found)
        error = found[:, :32, :32].astype(float) - expected[:, :32, :32]
        assert np.abs(error).max() <= 2
        if skip_still is not False:  # what the tile does not hold stays
            assert_same(found[:, 96:], [frame0[96:]] * 2)
            assert_same(found[:, :, 128:], [frame0[:, 128:]] * 2)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def count_runs(machine: Machine) -> list[None]:
    """Return a list that grows with each execution from now on."""
    executed: list[None] = []
    machine.executing = lambda: executed.append(None)
    return executed


def test_engines_smaller_than_the_overlap_say_how_to_build(
    machine: Machine, engine: MakeEngine
) -> None:
    with (
        Interpolator(engine(profile=Profile((32, 32), (64, 64), (96, 96), 1))) as ours,
        pytest.raises(
            FrameError, match=r"room for frames of 32x32 to 96x96, .*engine built for larger"
        ),
    ):
        ours(*frames(2, 520, 40))
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize("target", others_long(["rtx", "tensorrt"]))
def test_out_of_memory_at_every_allocation_in_turn(
    target: str, machine: Machine, engine: MakeEngine
) -> None:
    path = engine(target=target)
    video = frames(3, 32, 32)

    def use() -> None:
        with Interpolator(path) as ours:
            list(ours.stream(video, 2))

    use()
    needed = machine.allocations
    assert needed >= 8
    for failing in range(needed):
        machine.allocations, machine.fail_allocation = 0, failing
        with pytest.raises(BackendError, match="memory"):
            use()
        gc.collect()
        assert (machine.live_buffers, machine.live_handles) == (0, 0), failing
        assert machine.stack() == []


def test_execution_error(machine: Machine, engine: MakeEngine) -> None:
    with Interpolator(engine()) as ours:
        machine.fail_execution = True
        with pytest.raises(BackendError, match="failed to run"):
            ours(*frames(2))
        machine.fail_execution = False
        ours(*frames(2))
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize("after", range(1, 6))
def test_loop_that_is_left_early(
    after: int, machine: Machine, engine: MakeEngine, interpolate: Interpolator
) -> None:
    source = frames(5)
    with Interpolator(engine()) as ours:
        stream = ours.stream(source, 2)
        for _ in range(after):
            next(stream)
        stream.close()  # as an exception in a loop does
        gc.collect()
        # What was under way does not disturb what comes next.
        np.testing.assert_array_equal(ours(*source[:2]), interpolate(*source[:2]))
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_callers_own_context_stays_current(machine: Machine, engine: MakeEngine) -> None:
    theirs = object()
    machine.stack().append(theirs)
    with Interpolator(engine()) as ours:
        ours(*frames(2))
        assert machine.stack() == [theirs]
    assert machine.stack() == [theirs]


@pytest.mark.usefixtures("machine")
def test_context_that_cannot_be_made_current_is_said_as_any_other_error(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def push(_: object) -> None:
        raise sys.modules["pycuda.driver"].Error("the GPU has fallen off the bus")

    with Interpolator(engine()) as ours:
        held = sys.modules["runtime.device"]._primary_context(0)
        with monkeypatch.context() as broken:
            broken.setattr(type(held), "push", push)
            with pytest.raises(BackendError, match=r"Simulated GPU failed: .* off the bus"):
                ours(*frames(2))
        ours(*frames(2))


def test_second_start_reads_the_kernels_that_the_first_compiled(
    machine: Machine, engine: MakeEngine
) -> None:
    path = engine()
    for _ in range(2):
        with Interpolator(path) as ours:
            ours(*frames(2))
    assert machine.caches_read == [b"compiled kernels"]
    assert path.with_name(path.name + ".sm89.cache").exists()


def test_forgotten_interpolator_is_freed(machine: Machine, engine: MakeEngine) -> None:
    ours = Interpolator(engine())
    list(ours.stream(frames(3), 2))
    del ours
    gc.collect()
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_parity_takes_engines(machine: Machine, engine: MakeEngine) -> None:
    report = check_parity(engine(), golden_beside(SMALL_MODEL))
    assert report.passed
    assert report.backend.endswith("Simulated GPU with CUDA graphs")
    assert machine.live_buffers == 0


def test_engine_of_another_io_than_its_manifest(machine: Machine, engine: MakeEngine) -> None:
    path = engine()
    content = json.loads(manifest_path(path).read_text())
    edit(path, metadata=content["metadata"] | {"rrin.io": "uint8"})
    with pytest.raises(
        ArtifactError, match=r"frame0 float32, .*; by its manifest they are frame0 uint8"
    ):
        Interpolator(path)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_closed_engine_says_so(machine: Machine, engine: MakeEngine) -> None:
    ours = Interpolator(engine())
    ours.close()
    ours.close()
    with pytest.raises(BackendError, match="closed"):
        ours(*frames(2))
    assert machine.live_handles == 0


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps(content | changes))


BROKEN: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "no engine": (lambda path: path.unlink(), InputNotFoundError, "no such file"),
    "no manifest": (
        lambda path: manifest_path(path).unlink(),
        InputNotFoundError,
        r"engine\.json: no such file; without its manifest .* build the engine again",
    ),
    "truncated plan": (
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        ArtifactError,
        r"not the plan that its manifest describes \(1000 bytes\)",
    ),
    "changed plan": (
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"),
        ArtifactError,
        "not the plan that its manifest describes",
    ),
    "manifest of text": (
        lambda path: manifest_path(path).write_text("hello") and None,
        ArtifactError,
        "not a manifest, or a damaged one",
    ),
    "manifest without a field": (
        lambda path: manifest_path(path).write_text('{"format_version": 2}') and None,
        ArtifactError,
        "not a manifest, or a damaged one .*profile",
    ),
    "manifest with a strange field": (
        lambda path: edit(path, colour="blue"),
        ArtifactError,
        "not a manifest, or a damaged one .*colour",
    ),
    "newer manifest": (
        lambda path: edit(path, format_version=9),
        ArtifactError,
        "manifest format 9; this version reads 2",
    ),
    "unknown target": (
        lambda path: edit(path, target="npu"),
        ArtifactError,
        "target is 'npu', expected one of",
    ),
    "version that is none": (
        lambda path: edit(path, version=""),
        ArtifactError,
        "a damaged one .*version is ''",
    ),
    "version that is a number": (
        lambda path: edit(path, version=10),
        ArtifactError,
        "a damaged one",
    ),
    "flag that is none": (
        lambda path: edit(path, hardware_compatible="no"),
        ArtifactError,
        "hardware_compatible is 'no'",
    ),
    "another version": (
        lambda path: edit(path, version="1.4.0.76"),
        ArtifactError,
        r"built by tensorrt_rtx 1\.4\.0\.76, here is 1\.7\.1\.116; build it again",
    ),
    "another GPU": (
        lambda path: edit(path, compute_capabilities=[75, 120]),
        ArtifactError,
        "built for SM75, SM120, this GPU is SM89; .* for TensorRT-RTX and SM89",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_engines(case: str, machine: Machine, engine: MakeEngine) -> None:
    breaking, error, message = BROKEN[case]
    path = engine()
    breaking(path)
    with pytest.raises(error, match=message) as caught:
        Interpolator(path)
    assert "\n" not in str(caught.value)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


def test_plan_that_the_runtime_refuses(machine: Machine, engine: MakeEngine) -> None:
    path = engine()
    path.write_bytes(b"from another world")
    edit(path, plan_sha256=hashlib.sha256(b"from another world").hexdigest())
    with pytest.raises(ArtifactError, match="does not load it; build it again on this machine"):
        Interpolator(path)
    assert (machine.live_buffers, machine.live_handles) == (0, 0)


@pytest.mark.parametrize(
    ("built_by", "compatible", "here", "loads"),
    [
        ("10.13.0.35", False, "10.13.0.35", True),
        ("10.5.0.18", False, "10.13.0.35", False),
        ("10.5.0.18", True, "10.13.0.35", True),
        ("11.0.0.1", True, "10.13.0.35", False),
        ("10.14.0.1", True, "10.13.0.35", False),
        ("10.3.0", True, "11.4.0.106", True),
        ("10.3.0", False, "11.4.0.106", False),
        ("8.6.1", True, "10.13.0.35", False),
        ("8.6.1", True, "11.4.0.106", False),
        ("11.0.0.1", True, "12.0.0", False),
        ("10.3.0", True, "12.0.0", False),
    ],
)
def test_versions(
    built_by: str, compatible: bool, here: str, loads: bool, machine: Machine, engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", here)
    path = engine(target="tensorrt", version=built_by, version_compatible=compatible)
    if loads:
        Interpolator(path, trusted=compatible).close()
        assert machine.runtimes[-1].engine_host_code_allowed is compatible
    else:
        with pytest.raises(ArtifactError, match=r"built by tensorrt .* as version-compatible"):
            Interpolator(path, trusted=True)


def test_code_in_an_engine_is_not_run_unless_it_is_trusted(
    machine: Machine, engine: MakeEngine
) -> None:
    path = engine(target="tensorrt", version_compatible=True)
    with pytest.raises(ArtifactError, match=r"holds code, .* with your rights; .* trusted=True"):
        Interpolator(path)
    assert not machine.runtimes
    report = check_parity(path, golden_beside(SMALL_MODEL), trusted=True)
    assert report.passed
    assert machine.runtimes[-1].engine_host_code_allowed
    # Not of one that says it holds none: TensorRT refuses what lies.
    Interpolator(engine(target="tensorrt"), trusted=True).close()
    assert not machine.runtimes[-1].engine_host_code_allowed


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("capability", [80, 120])
def test_hardware_compatible_engines_run_from_ampere_on(
    capability: int, engine: MakeEngine
) -> None:
    built_for: dict[str, Any] = {"target": "tensorrt", "compute_capabilities": (capability,)}
    Interpolator(engine(**built_for, hardware_compatible=True)).close()
    with pytest.raises(ArtifactError, match="this GPU is SM89"):
        Interpolator(engine(**built_for))


@pytest.mark.usefixtures("machine")
def test_gpu_that_is_not_there(engine: MakeEngine) -> None:
    with pytest.raises(BackendError, match="GPU 3: this machine has 1"):
        Interpolator(engine(), device=3)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("missing", "target", "message"),
    [
        ("pycuda.driver", "rtx", "pycuda cannot be imported .* pip install pycuda"),
        ("tensorrt", "tensorrt", "tensorrt is not installed; .*pip install tensorrt"),
    ],
)
def test_missing_packages_are_named(
    missing: str, target: str, message: str, engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BackendError, match=message):
        Interpolator(engine(target=target))


def offered(module: ModuleType) -> Iterator[str]:
    """The public names of a simulated module and of its classes."""
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        yield name
        if isinstance(value, type):
            yield from (f"{name}.{attribute}" for attribute in vars(value) if attribute[0] != "_")


@pytest.mark.usefixtures("machine")
def test_simulation_offers_nothing_but_what_is_held_against_the_real_classes() -> None:
    simulated = {name: sys.modules[name] for name in ("tensorrt_rtx", "pycuda.driver")}
    listed = {"nptype"}
    for names in (tensorrt.NAMES, tensorrt.RTX_NAMES):
        listed |= set(names)
        listed |= {f"{name}.{attribute}" for name in names for attribute in names[name]}
    own = {"IExecutionContext.session", "ICudaEngine.nodes"}
    assert set(offered(simulated["tensorrt_rtx"])) - own <= listed
    listed = set(cuda.NAMES)
    listed |= {f"{name}.{attribute}" for name in cuda.NAMES for attribute in cuda.NAMES[name]}
    own = {"Event.happen", "Device.index", "mem_alloc.free"}
    assert set(offered(simulated["pycuda.driver"])) - own <= listed
