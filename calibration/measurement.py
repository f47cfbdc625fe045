"""Measuring activation ranges: real triplets through the graph, one at a time.

Memory does not grow with the number of triplets: of each run's tensors only extremes, or counts in
a fixed number of bins, are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.datasets import Frames, Sample, has_cut
from calibration.observers import Extremes, Histogram, Observer
from precision.graph import check_float32, hidden_tensors, load_graph
from precision.ranges import METHODS, Method, Ranges
from runtime.errors import (
    ArtifactError,
    BackendError,
    InputNotFoundError,
    OptionError,
    first_line,
)
from runtime.frames import to_input
from runtime.metadata import Metadata
from runtime.options import check_threads, check_whole

# Larger frames are cut to their middle of so many rows and columns: all hidden tensors of a run are
# held at once, and those of a 1080p frame would be some 10 GB at full width.
_LARGEST = (360, 640)

Progress = Callable[[int, int], None]


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
        progress: called with the triplets done so far, cuts included, and with how many are chosen.

    Raises:
        InputNotFoundError, ArtifactError: the model is missing, damaged, not float32, or gives
            values that are not finite.
        InputNotFoundError, MediaError: an image is missing or damaged, or all triplets have cuts.
        BackendError: ONNX Runtime failed, for want of memory for example.
        OptionError: no triplets, `samples` below 1, `seed` below 0, another method, or `threads`
            beyond 1 to 1024.
    """
    _check(triplets, samples, method, seed, threads)
    graph, metadata = load_graph(model)
    check_float32(metadata, str(model))
    places = {str(value.name): place for place, value in hidden_tensors(graph.graph)}
    session = _session(graph, list(places), threads)
    kind = Extremes if method == "max" else Histogram
    observers: dict[str, Observer] = {place: kind() for place in places.values()}
    ordered = sorted(triplets, key=lambda triplet: triplet.name)
    measured = 0
    for name, frames in _chosen(ordered, samples, seed, progress):
        for inputs in _runs(frames, metadata):
            if unsound := _observe(_outputs(session, list(places), inputs), observers):
                raise ArtifactError(
                    f"{model}: {unsound} gives values that are not finite on triplet {name}; "
                    "the checkpoint is damaged, export a sound one"
                )
        measured += 1
    return Ranges(
        checkpoint_sha256=metadata.checkpoint_sha256,
        align_corners=metadata.align_corners,
        method=method,
        samples=measured,
        seed=seed,
        data_sha256=hashlib.sha256("\n".join(each.name for each in ordered).encode()).hexdigest(),
        tensors={place: observer.range() for place, observer in observers.items()},
    )


def _check(
    triplets: Sequence[Sample], samples: int, method: Method, seed: int, threads: int | None
) -> None:
    if not triplets:
        raise OptionError("triplets is empty; expected at least one")
    check_whole("samples", samples, 1)
    if method not in METHODS:
        raise OptionError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    check_whole("seed", seed, 0)
    check_threads(threads)


def _chosen(
    ordered: Sequence[Sample], samples: int, seed: int, progress: Progress | None
) -> Iterator[tuple[str, Frames]]:
    """Yield name and frames of triplets chosen at random, but for those with a cut."""
    count = min(samples, len(ordered))
    # In order, for a clip is best decoded from front to back.
    chosen = np.sort(np.random.default_rng(seed).permutation(len(ordered))[:count])
    cuts = 0
    for done, index in enumerate(chosen, 1):
        frames = ordered[index].read()
        if has_cut(frames):
            cuts += 1
        else:
            yield ordered[index].name, frames
        if progress:
            progress(done, count)
    if cuts == count:
        raise InputNotFoundError(
            f"{count} triplets chosen, and each of them has a scene cut; expected neighbouring "
            "frames of one scene"
        )


def _observe(outputs: Iterable[NDArray[Any]], observers: Mapping[str, Observer]) -> str | None:
    """Give each observer its tensor; return the place of one that is not finite, if there is."""
    for (place, observer), values in zip(observers.items(), outputs, strict=True):
        if not np.isfinite(values).all():
            return place
        observer.add(values)
    return None


def _outputs(session: Any, names: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
    try:
        return session.run(names, inputs)  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions have no common base of their own
        raise BackendError(f"ONNX Runtime failed: {first_line(error)}") from error


def _session(graph: ir.Model, names: list[str], threads: int | None) -> Any:
    from runtime.onnxruntime_library import cpu_session  # which who judges an engine may lack

    proto = ir.to_proto(graph)
    for name in names:
        proto.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    return cpu_session(proto.SerializeToString(), threads)


def _runs(frames: Frames, metadata: Metadata) -> Iterator[dict[str, NDArray[Any]]]:
    pair: _Pair = _middle(frames.frame0, *_LARGEST), _middle(frames.frame1, *_LARGEST)
    enlarged = _enlarged(pair[0]), _enlarged(pair[1])
    for (frame0, frame1), t in ((pair, 0.25), (pair, 0.75), (enlarged, 0.5)):
        inputs = [to_input(frame, metadata.io) for frame in (frame0, frame1)]
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
