"""Reading RRIN checkpoints in the forms that people have them."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from reprlib import repr as shortened
from typing import Any

import torch
from torch import Tensor

from export.network import MAX_BASE_WIDTH, RRIN
from export.pickles import is_bounded
from runtime.errors import CheckpointError, first_line, shown
from runtime.options import check_file, check_flag, check_path

# BasicSR's trainers keep both of the last two; the averaged weights are the ones to use.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net")
_PREFIXES = ("module.", "net.", "model.")
_FIRST_WEIGHT = "Flow_L.down_path.0.block.0.weight"
_OLD_PICKLES = 5  # a number, a version, the system, the content, the names of its storages
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_checkpoint(path: str | Path, *, align_corners: bool | None = None) -> RRIN:
    """Load an RRIN in evaluation mode from a checkpoint file; nothing in the file is executed.

    Taken: a flat state dict; one wrapped under 'state_dict', 'model_state_dict', 'model',
    'params_ema', 'params' or 'net', the first of these that there is; keys prefixed 'module.',
    'net.' or 'model.', up to two of each; the older name 'Flow.' for 'Flow_L.'. The base width is
    read from the shapes. The authors allow their weights for non-commercial research and education
    only.

    Args:
        path: the checkpoint, as `torch.save` wrote it, whatever its suffix.
        align_corners: overrides what the checkpoint says; None believes its 'align_corners' field
            and takes True, the authors' environment, where there is none.

    Raises:
        InputNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or not an RRIN; the message names the cause.
        OptionError: `path` is no path, or `align_corners` neither True, False nor None.
    """
    check_path("path", path, "pretrained_model.pth.tar")
    if align_corners is not None:
        check_flag("align_corners", align_corners)
    path = Path(path)
    content = _read(path)
    state = _strip_prefixes(_unwrap(content, path))
    state = _renamed(state, path)
    assumed = align_corners is None and "align_corners" not in content
    if align_corners is None:
        align_corners = content.get("align_corners", True)
        if not isinstance(align_corners, bool):
            raise CheckpointError(
                f"{path}: field 'align_corners' is a {type(align_corners).__name__}, "
                f"{shown(align_corners)}; expected True or False"
            )
    network = _network_of_shape(state, path, align_corners)
    _check_kinds(state, path)
    network.align_corners_assumed = assumed
    # The network was made without storage: it takes over the checked tensors themselves.
    network.load_state_dict(_checked_values(state, path), assign=True)
    return network.eval().requires_grad_(False)


def _read(path: Path) -> Mapping[Any, Any]:
    check_file(path, "expected a PyTorch checkpoint")
    try:
        _check_archive(path)
        _check_pickles(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with the file, the error says
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except UnpicklingError as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        if unsafe:
            raise CheckpointError(
                f"{path}: holds a pickled {unsafe[1]}, and making that could run code or fill the "
                "memory; "
                "expected plain tensors: save network.state_dict() in the environment it came from"
            ) from error
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint, or a damaged one; "
            "expected a file that torch.save wrote"
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint, or a damaged one "
            f"({first_line(error)}); expected a file that torch.save wrote"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: holds a {type(content).__name__}; expected a state dict, flat or wrapped"
        )
    return content


def _is_archive(path: Path) -> bool:
    """Whether it is a zip; the format of before 1.6 is none, and has no checksums."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"  # as PyTorch tells them apart


def _check_pickles(path: Path) -> None:
    """Raise where a few bytes unfold to so many objects that looking at them never ends."""
    if _is_archive(path):
        # By PyTorch's own reader, for a crafted zip may hold several entries of one name.
        content = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
        bounded = is_bounded(io.BytesIO(content))
    else:
        with path.open("rb") as file:
            bounded = all(is_bounded(file) for _ in range(_OLD_PICKLES))
    if not bounded:
        raise CheckpointError(
            f"{path}: its pickle is larger or more nested than that of any state dict; "
            "expected plain tensors: save network.state_dict() in the environment it came from"
        )


def _check_archive(path: Path) -> None:
    """Raise unless the entries of a zip are as large as they say and match their checksums.

    PyTorch's own reader takes damaged entries, and unpacks any size.
    """
    if not _is_archive(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError(
                f"{path}: is a compressed zip, which torch.save does not write; "
                "unpack what is in it, or save it again with torch.save"
            )
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise CheckpointError(f"{path}: its entries claim more bytes than the file holds")
        # torch.serialization.set_crc32_options(False) leaves all of them 0.
        checked = any(entry.CRC for entry in entries)
        damaged = archive.testzip() if checked else None
        if damaged is not None:
            raise CheckpointError(
                f"{path}: {shown(damaged)} does not match its checksum: the file was damaged "
                "after it was saved; copy it again"
            )


def _unwrap(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    state = next(
        (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content
    )
    strangers = [
        key
        for key, value in state.items()
        if not isinstance(key, str)
        or type(value) not in (Tensor, torch.nn.Parameter)
        or value.is_nested
    ]
    if strangers or not state:
        raise CheckpointError(
            f"{path}: no state dict of tensors alone, neither flat nor under "
            f"{', '.join(_WRAPPERS)}; what is no tensor: {_listing(strangers)}"
        )
    return dict(state)


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES * 2:  # DataParallel around a wrapper, or the other way round
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _renamed(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors by the names of today."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = re.sub(r"^Flow\.", "Flow_L.", key)
        if name in renamed:
            raise CheckpointError(
                f"{path}: holds {shown(name)} twice, once under its older name; "
                "which of the two is meant cannot be told"
            )
        renamed[name] = tensor
    return renamed


def _check_kinds(state: dict[str, Tensor], path: Path) -> None:
    for key, tensor in state.items():
        strided = tensor.layout == torch.strided
        if not strided or tensor.dtype not in _FLOATS or tensor.device.type != "cpu":
            raise CheckpointError(
                f"{path}: {key} is {tensor.dtype}, {tensor.layout}, on {tensor.device.type}; "
                "expected a float tensor of 16, 32 or 64 bits, dense and with its values"
            )
    # A crafted file can view one stored number as a tensor of any size.
    if sum(tensor.nbytes for tensor in state.values()) > path.stat().st_size:
        raise CheckpointError(f"{path}: its tensors claim more bytes than the file holds")


def _network_of_shape(state: dict[str, Tensor], path: Path, align_corners: bool) -> RRIN:
    first = state.get(_FIRST_WEIGHT)
    if first is None or first.ndim != 4 or not 1 <= first.shape[0] <= MAX_BASE_WIDTH:
        found = "is missing" if first is None else f"has shape {shortened(list(first.shape))}"
        raise CheckpointError(
            f"{path}: not an RRIN: {_FIRST_WEIGHT} {found}; the file holds {_listing(state)}"
        )
    with torch.device("meta"):
        network = RRIN(first.shape[0], align_corners=align_corners)
    expected = network.state_dict()
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or extra:
        raise CheckpointError(
            f"{path}: not an RRIN of 162 tensors: "
            f"missing {_listing(sorted(missing))}; not known {_listing(sorted(extra))}"
        )
    for key, tensor in expected.items():
        if state[key].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {key} has shape {shortened(list(state[key].shape))}; "
                f"expected {list(tensor.shape)} at base width {network.base_width}"
            )
    return network


def _checked_values(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors in float32, all finite."""
    values = {key: tensor.float() for key, tensor in state.items()}
    for key, tensor in values.items():
        if not tensor.isfinite().all():
            beyond = state[key].isfinite().all()
            cause = "values beyond float32" if beyond else "NaN or infinity"
            raise CheckpointError(f"{path}: {key} holds {cause}; the training diverged")
    return values


def _listing(names: Iterable[object]) -> str:
    names = list(names)
    listed = ", ".join(map(shown, names[:3])) or "nothing"
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed
