"""Engines of TensorRT, built here for the card that is here, and what runs in them after fusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from rrin_deploy.proof.report import Finding, NotRunError, verdict
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import BackendError, RrinError
from runtime.manifest import Target
from runtime.metadata import Precision
from runtime.scene import render_bytes
from runtime.tensorrt_library import load_tensorrt

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_ONE_SIZE = 1280, 720
# Of the pairs that ranges are measured on: their size, how many, and how far apart in time; between
# frames one unit apart the scene moves by 1 to 4 pixels.
_DRAWN, _PAIRS, _STEPS = (320, 192), 12, (1, 2, 4)


def build_here(target: Target, precision: Precision, folder: Path) -> tuple[Path, Finding]:
    """Build the bundled model for frames up to 1920x1088; return the engine and what was found.

    Raises:
        NotRunError: TensorRT is not here, does not know this card, or no ranges can be measured.
    """
    name = f"build, {target} {precision}"
    try:
        engine, built = _build(target, precision, folder / f"{target}.{precision}.engine")
    except (BackendError, ImportError) as error:
        raise NotRunError(str(error)) from error
    text = f"{built.size_bytes} bytes in {built.manifest.seconds:.1f} s"
    if precision == "int8":
        text += f"; its ranges are of {_PAIRS} drawn pairs, for this proof alone"
    figures = {"context_bytes": built.manifest.context_bytes}
    return engine, verdict(name, not built.proof.failed, text, figures)


def _build(target: Target, precision: Precision, output: Path, **sizes: Any) -> tuple[Path, Any]:
    load_tensorrt(target)  # before what else a build needs
    from engines import BuildOptions, build
    from runtime.device import compute_capability

    here = (compute_capability(0),) if target == "rtx" else ()
    options = BuildOptions(target=target, compute_capabilities=here, **sizes)
    ranges = drawn_ranges(output.parent) if precision == "int8" else None
    built = build(BUNDLED_MODEL, output, precision=precision, ranges=ranges, options=options)
    return output, built


@dataclass(frozen=True)
class _Drawn:
    """A pair of the scene, as `measure_ranges` takes it."""

    name: str
    time: float
    step: float

    def read(self) -> Any:
        from calibration import Frames

        times = self.time, self.time + self.step / 2, self.time + self.step
        return Frames(*(render_bytes(*_DRAWN, time) for time in times))


def drawn_ranges(folder: Path) -> Path:
    """Return a ranges file that needs no data set, measured once a folder.

    Nobody should deploy it: it knows one scene. The proof runs INT8 as the file says, and holds the
    engine against what its own graph loses by it.
    """
    path = folder / "drawn.ranges.json"
    if not path.exists():
        from calibration import measure_ranges

        pairs = [
            _Drawn(f"drawn {index:02}", 9 * index, _STEPS[index % len(_STEPS)])
            for index in range(_PAIRS)
        ]
        measure_ranges(BUNDLED_MODEL, pairs).save(path)
    return path


def kernels(built: Mapping[str, Path], folder: Path) -> Iterator[Finding]:
    """Tell what engines run after fusion, by their names; RTX's for one size as well.

    How many bytes kernels move is known of engines for one size alone, and RTX builds them in
    seconds. One that cannot be built or read costs its own row.
    """
    from engines import layers_of

    made: dict[str, Callable[[], Path]] = {
        **{name: partial(Path, engine) for name, engine in built.items()},
        **_for_one_size(built, folder),
    }
    rows, unknown = [], []
    for name, engine in made.items():
        try:
            rows.append({"engine": name, **_row(layers_of(engine()))})
        except (RrinError, ImportError) as error:
            unknown.append(f"{name}: {error}")
    if not rows:
        raise NotRunError(
            "; ".join(unknown) or "no engine of TensorRT could be built for this card"
        )
    told = [
        f"{row['engine']}: {row['kernels']} kernels, {row['quantization']} quantizations and "
        f"{row['reformat']} reformats of their own"
        for row in rows
    ]
    yield Finding("kernels after fusion", "told", "; ".join(told + unknown), {"rows": rows})


def _for_one_size(built: Mapping[str, Path], folder: Path) -> dict[str, Callable[[], Path]]:
    """Return what builds an engine for one size, for each of RTX's that takes any."""

    def build_one(precision: Precision) -> Path:
        return _build("rtx", precision, folder / f"one-size.{precision}.engine", **sizes)[0]

    width, height = _ONE_SIZE
    sizes = dict.fromkeys(("min_size", "opt_size", "max_size"), _ONE_SIZE)
    return {
        f"rtx {precision}, {width}x{height} alone": partial(build_one, precision)
        for precision in PRECISIONS
        if f"rtx {precision}" in built
    }


def _row(layers: list[Any]) -> dict[str, Any]:
    from engines.layers import Kind, moved_bytes

    kinds = Counter(layer.kind for layer in layers)
    types = Counter(
        f"{_types(layer.takes)} to {_types(layer.gives)}"
        for layer in layers
        if layer.kind == "convolution"
    )
    moved = moved_bytes(layers)
    return {
        "kernels": len(layers),
        **{kind: kinds[kind] for kind in get_args(Kind)},
        "convolutions with their activation": sum(layer.activates for layer in layers),
        "types of convolutions": ", ".join(f"{count} {each}" for each, count in types.items()),
        "GB read and written": None if moved is None else moved / 1e9,
    }


def _types(of_tensors: tuple[str, ...]) -> str:
    return "+".join(dict.fromkeys(of_tensors))
