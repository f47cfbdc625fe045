"""Damage to PyTorch checkpoints: to the objects in them, and to the program of their pickles."""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import torch

from tests.fuzz.mutators.raw import number
from tests.fuzz.mutators.text import nested, strange_text, strange_value

_STORAGES = (
    *("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage"),
    *("ByteStorage", "BoolStorage", "ComplexFloatStorage", "QInt8Storage", "UntypedStorage"),
)
_GLOBALS = (
    *("torch\nTensor", "torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_parameter"),
    *("torch._utils\n_rebuild_sparse_tensor", "torch._utils\n_rebuild_meta_tensor_no_storage"),
    *("torch._utils\n_rebuild_qtensor", "torch._utils\n_rebuild_wrapper_subclass", "torch\nSize"),
    *("collections\nOrderedDict", "collections\nCounter", "builtins\nset", "os\nsystem"),
    *("torch._tensor\n_rebuild_from_type_v2", "torch\ndevice", "torch.serialization\nload"),
)
_DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.int64),
)
_WRAPPERS = ("state_dict", "model_state_dict", "model", "params", "params_ema", "net", "ema")


def checkpoint_objects(rng: Random, content: bytes) -> bytes:
    """Load a checkpoint, change what is in it, and save it as torch does today."""
    loaded = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    state = dict(loaded["state_dict"])
    about = {key: value for key, value in loaded.items() if key != "state_dict"}
    changed = _changed_checkpoint(rng, state, about)
    file = io.BytesIO()
    torch.save(changed, file)
    return file.getvalue()


def _changed_checkpoint(rng: Random, state: dict[Any, Any], about: dict[Any, Any]) -> Any:
    key = rng.choice(list(state))
    wrapper = rng.choice(_WRAPPERS)
    match rng.randrange(10):
        case 0:
            del state[key]
        case 1:
            state[rng.choice((strange_text(rng), 5, None, (1,), b"a", key + ".more"))] = state[key]
        case 2:
            state[key] = strange_value(rng)
        case 3:
            prefix = rng.choice(("module.", "net.", "module.net.", "module.model.", "", "a."))
            state = {prefix + name: tensor for name, tensor in state.items()}
        case 4:
            about["align_corners"] = rng.choice(
                (strange_value(rng), torch.zeros(2), nested(500, False), tuple(state.values()))
            )
        case 5:
            state = {name.replace("Flow_L.", "Flow."): tensor for name, tensor in state.items()}
            state[rng.choice((key, "Flow_L.last.bias"))] = torch.zeros(1)
        case 6:
            dtype = rng.choice(_DTYPES)
            state = {name: tensor.to(dtype) for name, tensor in state.items()}
        case 7:
            return rng.choice(
                (state, list(state), {wrapper: {wrapper: state}}, state[key], [about])
            )
        case _:
            state[key] = _strange_tensor(rng, state[key])
    return {**about, wrapper if rng.random() < 0.3 else "state_dict": state}


def _strange_tensor(rng: Random, tensor: torch.Tensor) -> Any:
    shape = tensor.shape
    makers: tuple[Callable[[], Any], ...] = (
        lambda: tensor * float("nan"),
        lambda: tensor * 1e39,
        lambda: tensor.double() * 1e300,
        lambda: tensor.to(rng.choice(_DTYPES)),
        lambda: tensor.to("meta"),
        lambda: torch.empty(2**40, *shape[1:], device="meta"),
        lambda: tensor.to_sparse(),
        lambda: tensor.reshape(-1)[:1].expand(2 ** rng.choice((10, 20, 33, 40)), *shape[1:]),
        lambda: tensor.reshape(-1)[:1].expand(shape),
        lambda: tensor[:0],
        lambda: tensor.reshape(-1),
        lambda: torch.zeros(()),
        lambda: torch.nn.Parameter(tensor),
        lambda: tensor.transpose(0, -1),
        lambda: torch.nested.nested_tensor([tensor, tensor]),
        lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        lambda: tensor.to_mkldnn(),
        lambda: tensor.repeat(*[2] * tensor.ndim),
        lambda: torch._neg_view(tensor),
        lambda: {"tensor": tensor},
    )
    return rng.choice(makers)()


def pickle_program(rng: Random, content: bytes) -> bytes:
    """Change an operation of the first pickle in content; what follows it stays."""
    steps = list(pickletools.genops(content))
    starts = [at or 0 for _, _, at in steps]
    index = rng.randrange(len(steps))
    opcode, argument, _ = steps[index]
    start = starts[index]
    end = starts[index + 1] if index + 1 < len(starts) else start + 1
    match rng.randrange(6):
        case 0:
            made = b""
        case 1:
            made = content[start:end] * rng.choice((2, 3, 1000))
        case 2:
            other = rng.randrange(len(steps) - 1)
            made = content[starts[other] : starts[other + 1]]
        case 3:
            made = rng.choice(
                (b"(", b"0", b"1", b"2", b"R", b"b", b"t", b"u", b"s", b"]", b"}", b"Q")
            )
            made += content[start:end]
        case _:
            made = _replaced(rng, opcode.name, argument)
    return content[:start] + made + content[end:]


def _replaced(rng: Random, opcode: str, argument: Any) -> bytes:
    """Return the operation with another argument of its kind, encoded rightly."""
    if "INT" in opcode or "LONG" in opcode:
        value = number(rng)
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)
    if "UNICODE" in opcode:
        known = [argument, strange_text(rng), *_STORAGES[:1], "cuda:0", "meta", "cpu", "0", "1"]
        text: bytes = rng.choice(known).encode("utf-8", "replace")
        return b"X" + struct.pack("<I", len(text)) + text
    if opcode == "GLOBAL":
        names = (*_GLOBALS, *(f"torch\n{name}" for name in _STORAGES))
        chosen: str = rng.choice(names)
        return b"c" + chosen.encode() + b"\n"
    if opcode in ("BINPUT", "BINGET"):
        return (b"q" if opcode == "BINPUT" else b"h") + bytes([number(rng) % 256])
    return rng.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}", b"(", b"."))


def legacy_program(rng: Random, content: bytes) -> bytes:
    """Change an operation of one of the pickles that a checkpoint of the older form begins with."""
    starts = [0]
    for _ in range(4):
        *_, (_, _, stop) = pickletools.genops(content[starts[-1] :])
        starts.append(starts[-1] + (stop or 0) + 1)
    start = rng.choice(starts)
    return content[:start] + pickle_program(rng, content[start:])
