"""The layers of an engine: what its kernels compute after fusion, in which types, and how much.

TensorRT's inspector says it where the engine can be loaded. TensorRT-RTX writes its kernels and
their tensors into the plan in clear text, so that no GPU is needed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runtime.errors import ArtifactError, BackendError
from runtime.manifest import Manifest, read_plan
from runtime.tensorrt_library import check_trust, import_for, load_engine

Kind = Literal["convolution", "pooling", "quantization", "reformat", "other"]


@dataclass(frozen=True)
class Layer:
    """One kernel.

    Attributes:
        name: the kernel's, as the builder calls it.
        kind: 'quantization' and 'reformat', which moves or casts, are kernels that do nothing else.
        nodes: of the ONNX graph, of which it computes all or a part.
        takes, gives: the types of the tensors that it reads and writes; weights are left out.
        bytes: what these tensors hold together; None where their sizes are only known when it
            runs, as they are unless the engine is for one size.
    """

    name: str
    kind: Kind
    nodes: tuple[str, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    bytes: int | None

    @property
    def computes(self) -> str:
        """What it computes in short: the first node's module and the operators of all."""
        operators = dict.fromkeys(map(_operator, self.nodes))
        module = self.nodes[0].rpartition("/")[0] if self.nodes else ""
        return " ".join([module, *operators])

    @property
    def activates(self) -> bool:
        """True for a convolution that its LeakyReLU was fused into."""
        return self.kind == "convolution" and "LeakyRelu" in map(_operator, self.nodes)


def layers_of(engine: str | Path, *, trusted: bool = False) -> list[Layer]:
    """Return the layers of an engine, in the order in which they run.

    Args:
        engine: its file; the manifest lies beside it.
        trusted: whether the code in a version-compatible engine may run, as TensorRT loads it.

    Raises:
        InputNotFoundError, ArtifactError: the engine or its manifest is missing or damaged, its
            plan does not name its kernels as TensorRT-RTX 1.7 does, or it has to be trusted.
        BackendError: a TensorRT engine, where it cannot be loaded.
    """
    manifest = Manifest.load(engine)
    plan = read_plan(engine, manifest)
    if manifest.target == "rtx":
        return written(plan, str(engine))
    check_trust(manifest, Path(engine), trusted=trusted)
    trt = import_for(manifest, Path(engine))
    return inspected(_inspector_says(trt, plan, manifest, str(engine)))


def moved_bytes(layers: Sequence[Layer]) -> int | None:
    """Return what layers read and write together; None where that of any is unknown."""
    known = [layer.bytes for layer in layers if layer.bytes is not None]
    return sum(known) if len(known) == len(layers) else None


_STEP = re.compile(r"  (\w{1,40})=\{ name=(?:__myl_)?\"?([^\" ]{1,4096})(.*)\}")
_TENSOR = re.compile(
    r"  (?:sub_)?tensor=\{ .{0,200}?dims=\{([^}]{0,400})\}.{0,200}? name=\"([^\"]{1,4096})\""
    r".{0,400} type=(\w{1,20}) \}"
)
_TAKEN = re.compile(r" input(?:_args)?=\{([^}]*)\}")
_GIVEN = re.compile(r" output(?:_args)?=\{([^}]*)\}")
_QUOTED = re.compile(r"\"([^\"]+)\"")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
# Integers of 64 bits and booleans are sizes, on the host.
_ITEM_BYTES = {"float": 4, "half": 2, "int8": 1, "uint8": 1}
_Tensor = tuple[str, tuple[int, ...] | None]  # its type, its dims where they are known


def written(plan: bytes, source: str) -> list[Layer]:
    """Read the layers that a plan of TensorRT-RTX names; messages call it `source`."""
    # The first program is the engine; those behind it are the insides of single kernels.
    start = plan.find(b"header {\n")
    main = plan.find(b"\nmain {\n", start)
    end = plan.find(b"\n}", main)
    if start < 0 or not start < main < end:
        raise ArtifactError(
            f"{source}: its plan does not name its kernels as TensorRT-RTX 1.7 does; build it with "
            "that version to see its layers"
        )
    tensors: dict[str, _Tensor] = {}
    for line in plan[start:main].decode("latin1").splitlines():
        found = _TENSOR.match(line)
        if found and found[3] in _ITEM_BYTES and " const_payload_size=" not in line:
            dims = found[1].split()
            known = tuple(map(int, dims)) if all(map(str.isdecimal, dims)) else None
            tensors[found[2]] = found[3], known
    steps = map(_STEP.match, plan[main:end].decode("latin1").split("\n"))
    return [
        _layer(
            step[1] if step[1] in ("corrltn", "avgpool") else step[2],
            f"{step[1]} {step[2]}",
            _NODE.findall(step[3]),
            _tensors_of(_TAKEN, step[3], tensors),
            _tensors_of(_GIVEN, step[3], tensors),
        )
        for step in steps
        if step and step[1] != "shape_call"  # which computes sizes, on the host
    ]


def _tensors_of(listed: re.Pattern[str], text: str, known: dict[str, _Tensor]) -> list[_Tensor]:
    names = [name for found in listed.findall(text) for name in _QUOTED.findall(found)]
    return [known[name] for name in dict.fromkeys(names) if name in known]


_TYPES = {"int8": "int8", "fp16": "half", "half": "half", "fp32": "float", "float": "float"}


def inspected(information: str) -> list[Layer]:
    """Read the JSON of TensorRT's inspector for an engine that was built with details."""
    return [
        _layer(
            str(layer.get("Name", "")),
            str(layer.get("LayerType", "")),
            _NODE.findall(str(layer.get("Metadata", ""))),
            [_described(tensor) for tensor in layer.get("Inputs", [])],
            [_described(tensor) for tensor in layer.get("Outputs", [])],
        )
        for layer in json.loads(information)["Layers"]
        if isinstance(layer, dict)  # else built without details: names alone
    ]


def _described(tensor: dict[str, Any]) -> _Tensor:
    # Such as 'Half', 'Row major linear FP16 format' or 'Channel major INT8 format'.
    said = str(tensor.get("Format/Datatype", "")).lower()
    kind = next((name for word, name in _TYPES.items() if word in said), said)
    dims = tuple(map(int, tensor.get("Dimensions", [-1])))
    return kind, dims if all(size >= 0 for size in dims) else None


def _inspector_says(trt: Any, plan: bytes, manifest: Manifest, source: str) -> str:
    engine, why = None, "it gave no reason"
    try:
        log = trt.Logger(trt.Logger.ERROR)
        _runtime, engine = load_engine(trt, plan, log, host_code=manifest.version_compatible)
    except BackendError as error:
        why = str(error)
    if engine is None:
        raise BackendError(
            f"{source}: TensorRT {trt.__version__} does not load it here ({why}), and only a "
            "loaded engine says its layers; inspect it on the machine that it was built on"
        )
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


# Of nodes, as the ONNX graph names them: Q and DQ are QuantizeLinear and DequantizeLinear.
_QUANTIZING = {"Q", "DQ"}
_MOVING = {"Cast", "Concat", "Gather", "Reshape", "Slice", "Split", "Transpose", "Unsqueeze"}
# Of kernels that name no node, as the builders call them: RTX cuts its words to four letters.
_MOVING_WORDS = {"Cast", "Conc", "Move", "Reformat", "Resh", "Shuffle", "Slic", "Tran"}


def _layer(
    name: str, computes: str, nodes: list[str], takes: list[_Tensor], gives: list[_Tensor]
) -> Layer:
    sizes = [
        _ITEM_BYTES[kind] * math.prod(dims) if dims is not None and kind in _ITEM_BYTES else None
        for kind, dims in (*takes, *gives)
    ]
    known = [size for size in sizes if size is not None]
    return Layer(
        name=name,
        kind=_kind(computes, nodes),
        nodes=tuple(nodes),
        takes=tuple(kind for kind, _ in takes),
        gives=tuple(kind for kind, _ in gives),
        bytes=sum(known) if len(known) == len(sizes) else None,
    )


def _kind(computes: str, nodes: Iterable[str]) -> Kind:
    """Say what a kernel does by what the builder calls it and by the nodes that are in it."""
    lowered = computes.lower()
    if "conv" in lowered.split(" ")[0] or "corr" in lowered:
        return "convolution"
    if "pool" in lowered:
        return "pooling"
    operators = set(map(_operator, nodes))
    if not operators:
        words = re.findall(r"[A-Z][a-z]*", computes)
        return "reformat" if words and set(words) <= _MOVING_WORDS else "other"
    if operators <= _QUANTIZING:
        return "quantization"
    return "reformat" if operators <= _MOVING else "other"


def _operator(node: str) -> str:
    """Return the operator in a node's name, such as Conv of final.last/Conv_258."""
    return re.split("[_.]", node.rpartition("/")[2])[0]
