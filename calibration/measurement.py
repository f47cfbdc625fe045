"""Measuring activation ranges: real triplets through the graph, one at a time.

Memory does not grow with the number of triplets: of each run's tensors only extremes, or counts in
a fixed number of bins, are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.datasets import Frames, has_cut
from precision.graph import check_float32, hidden_tensors, load_graph
from precision.ranges import METHODS, Method, Range, Ranges
from runtime.errors import (
    ArtifactError,
    BackendError,
    InputNotFoundError,
    OptionError,
    first_line,
)
from runtime.frames import to_input
from runtime.metadata import Metadata
from runtime.options import check_threads

# Share of a channel's values, in percent, that 'percentile' keeps between its low and its high.
PERCENTILE = 99.999
_BINS = 2048
_FATAL_ONLY = 4
# Larger frames are cut to their middle of so many rows and columns: all hidden tensors of a run are
# held at once, and those of a 1080p frame would be some 10 GB at full width.
_LARGEST = (360, 640)

Progress = Callable[[int, int], None]


class Sample(Protocol):
    """What is measured on, a `Triplet` or a `ClipTriplet`: named, and read when it is its turn."""

    @property
    def name(self) -> str:
        """Tells it from all others of its data set."""

    def read(self) -> Frames:
        """Return its frames."""


_Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def measure_ranges(
    model: str | Path,
    triplets: Sequence[Sample],
    *,
    samples: int = 500,
    method: Method = "max",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ranges:
    """Run a float32 graph on triplets chosen at random and measure its U-Nets' hidden tensors.

    Each triplet is run whole at t of 1/4 and 3/4, and its middle, enlarged twice, at 1/2: Vimeo90K
    moves little, and a range must hold for larger motion too. Of larger frames than
    640x360 the middle is taken. Triplets with a scene cut are left out: no motion leads across.

    Args:
        model: a float32 file that `rrin-deploy export` wrote.
        triplets: what to choose from, in any order; their true middle frames are not used.
        samples: how many to choose; all of them where there are fewer.
        method: 'max' keeps the extremes; 'percentile' leaves out the outermost 0.001 %.
        seed: of the choice, which is the same for the same names.
        threads: CPU threads; None leaves the choice to ONNX Runtime.
        progress: called with the triplets run so far, and with how many there will be.

    Raises:
        InputNotFoundError, ArtifactError: the model is missing, damaged, not float32, or gives
            values that are not finite.
        InputNotFoundError, MediaError: an image is missing or damaged, or all triplets have cuts.
        BackendError: ONNX Runtime failed, for want of memory for example.
        OptionError: `samples` is below 1, another method, or `threads` beyond 1 to 1024.
    """
    check_threads(threads)
    if samples < 1 or method not in METHODS:
        raise OptionError(f"samples {samples}, method {method}; expected 1 or more, {METHODS}")
    graph, metadata = load_graph(model)
    check_float32(metadata)
    observed = {str(value.name): place for place, value in hidden_tensors(graph.graph)}
    session = _session(graph, list(observed), threads)
    observers: dict[str, _Observer] = {
        place: _Extremes() if method == "max" else _Histogram() for place in observed.values()
    }
    ordered = sorted(triplets, key=lambda triplet: triplet.name)
    names = [triplet.name for triplet in ordered]
    count = min(samples, len(ordered))
    # In order, for a clip is best decoded from front to back.
    chosen = np.sort(np.random.default_rng(seed).permutation(len(ordered))[:count])
    measured = 0
    for done, index in enumerate(chosen, 1):
        frames = ordered[index].read()
        if has_cut(frames):
            continue
        measured += 1
        for inputs in _runs(frames, metadata):
            try:
                outputs = session.run(list(observed), inputs)
            except Exception as error:  # its exceptions have no common base of their own
                raise BackendError(f"ONNX Runtime failed: {first_line(error)}") from error
            for place, values in zip(observed.values(), outputs, strict=True):
                if not np.isfinite(values).all():
                    raise ArtifactError(
                        f"{model}: {place} gives values that are not finite on triplet "
                        f"{names[index]}; the checkpoint is damaged, export a sound one"
                    )
                observers[place].add(values)
            del outputs, values  # before the next run takes as much again
        if progress:
            progress(done, count)
    if not measured:
        raise InputNotFoundError(
            f"{count} triplets chosen, and each of them has a scene cut; expected neighbouring "
            "frames of one scene"
        )
    return Ranges(
        checkpoint_sha256=metadata.checkpoint_sha256,
        align_corners=metadata.align_corners,
        method=method,
        samples=measured,
        seed=seed,
        data_sha256=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        tensors={place: observer.range() for place, observer in observers.items()},
    )


def _session(graph: ir.Model, names: list[str], threads: int | None) -> Any:
    from runtime.onnxruntime_library import ort  # a machine that only builds lacks it

    proto = ir.to_proto(graph)
    for name in names:
        proto.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = _FATAL_ONLY
    content = proto.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _runs(frames: Frames, metadata: Metadata) -> Iterator[dict[str, NDArray[Any]]]:
    pair: _Pair = _middle(frames.frame0, *_LARGEST), _middle(frames.frame1, *_LARGEST)
    enlarged = _enlarged(pair[0]), _enlarged(pair[1])
    for (frame0, frame1), t in ((pair, 0.25), (pair, 0.75), (enlarged, 0.5)):
        inputs = [
            to_input(frame, metadata.io, metadata.padding_multiple) for frame in (frame0, frame1)
        ]
        height, width = inputs[0].shape[1:3]
        yield {
            "frame0": inputs[0],
            "frame1": inputs[1],
            "t": np.array([t], np.float32),
            "window": np.array([0, 0, width, height], np.float32),
        }


def _enlarged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from av import VideoFrame

    height, width = frame.shape[:2]
    middle = _middle(frame, max(1, height // 2), max(1, width // 2))
    image = VideoFrame.from_ndarray(np.ascontiguousarray(middle), format="rgb24")
    enlarged = image.reformat(width=width, height=height, interpolation="BILINEAR")
    return enlarged.to_ndarray().astype(np.uint8, copy=False)


def _middle(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the middle of a frame, at most so large."""
    top, left = (
        max(0, had - taken) // 2
        for had, taken in zip(frame.shape[:2], (height, width), strict=True)
    )
    return frame[top : top + height, left : left + width]


class _Observer(Protocol):
    def add(self, values: NDArray[np.float32]) -> None:
        """Take in a tensor, [T, C, H, W]."""

    def range(self) -> Range:
        """Return the range of each channel."""


class _Extremes:
    def __init__(self) -> None:
        self._low: Any = np.inf
        self._high: Any = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        self._low = np.minimum(self._low, values.min((0, 2, 3)))
        self._high = np.maximum(self._high, values.max((0, 2, 3)))

    def range(self) -> Range:
        return Range(self._low.astype(np.float64), self._high.astype(np.float64))


class _Histogram:
    """Counts of each channel's values in bins from -span to span, which grows by doubling."""

    def __init__(self) -> None:
        self._span = 0.0
        self._counts: Any = 0

    def add(self, values: NDArray[np.float32]) -> None:
        # Neighbours are alike: every fourth pixel tells as much, in a quarter of the time.
        pixels = values[:, :, ::2, ::2].swapaxes(0, 1).reshape(values.shape[1], -1)
        largest = max(float(np.abs(pixels).max()), 1e-6)
        self._span = self._span or largest
        while largest > self._span:
            self._span *= 2
            pairs = self._counts.reshape(len(pixels), _BINS // 2, 2).sum(2)
            empty = np.zeros((len(pixels), _BINS // 4), pairs.dtype)
            self._counts = np.hstack([empty, pairs, empty])
        bins = ((pixels + np.float32(self._span)) * np.float32(_BINS / 2 / self._span)).astype(int)
        bins = bins.clip(0, _BINS - 1) + _BINS * np.arange(len(pixels))[:, np.newaxis]
        counts = np.bincount(bins.ravel(), minlength=len(pixels) * _BINS)
        self._counts = self._counts + counts.reshape(len(pixels), _BINS)

    def range(self) -> Range:
        edges = np.linspace(-self._span, self._span, _BINS + 1)
        share = self._counts.cumsum(1) / self._counts.sum(1, keepdims=True)
        outside = (1 - PERCENTILE / 100) / 2
        low = edges[(share > outside).argmax(1)]
        high = edges[(share >= 1 - outside).argmax(1) + 1]
        return Range(low, high)
