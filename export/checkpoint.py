"""Reading RRIN checkpoints in the forms that people have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from export.network import RRIN
from runtime.errors import CheckpointError, InputNotFoundError, first_line

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "net.")
_FIRST_WEIGHT = "Flow_L.down_path.0.block.0.weight"


def load_checkpoint(path: str | Path, *, align_corners: bool | None = None) -> RRIN:
    """Load an RRIN in evaluation mode from a checkpoint file; nothing in the file is executed.

    Taken: a flat state dict; one wrapped under 'state_dict', 'model_state_dict' or 'model'; keys
    prefixed 'module.' or 'net.'; the older name 'Flow.' for 'Flow_L.'. The base width is read from
    the shapes. The authors allow their weights for non-commercial research and education only.

    Args:
        path: the checkpoint, as `torch.save` wrote it, whatever its suffix.
        align_corners: overrides what the checkpoint says; None believes its 'align_corners' field
            and takes True, the authors' environment, where there is none.

    Raises:
        InputNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or not an RRIN; the message names the cause.
    """
    path = Path(path)
    content = _read(path)
    state = _strip_prefixes(_unwrap(content, path))
    state = {re.sub(r"^Flow\.", "Flow_L.", key): tensor for key, tensor in state.items()}
    assumed = align_corners is None and "align_corners" not in content
    if align_corners is None:
        align_corners = content.get("align_corners", True)
        if not isinstance(align_corners, bool):
            raise CheckpointError(
                f"{path}: field 'align_corners' is {align_corners!r}; expected True or False"
            )
    network = _network_of_shape(state, path, align_corners)
    network.align_corners_assumed = assumed
    _check_values(state, path)
    # The network was made without storage: it takes over the checked tensors themselves.
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, assign=True)
    return network.eval().requires_grad_(False)


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such file; expected a PyTorch checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        if unsafe:
            raise CheckpointError(
                f"{path}: holds a pickled {unsafe[1]}, and loading that could run code; "
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


def _unwrap(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    state = next(
        (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content
    )
    strangers = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strangers or not state:
        raise CheckpointError(
            f"{path}: no state dict of tensors alone, neither flat nor under "
            f"{', '.join(_WRAPPERS)}; what is no tensor: {_listing(map(str, strangers))}"
        )
    return {str(key): value for key, value in state.items()}


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES * 2:  # DataParallel around a wrapper, or the other way round
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _network_of_shape(state: dict[str, Tensor], path: Path, align_corners: bool) -> RRIN:
    first = state.get(_FIRST_WEIGHT)
    if first is None or first.ndim != 4 or first.shape[0] == 0:
        found = "is missing" if first is None else f"has shape {list(first.shape)}"
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
                f"{path}: {key} has shape {list(state[key].shape)}; "
                f"expected {list(tensor.shape)} at base width {network.base_width}"
            )
    return network


def _check_values(state: dict[str, Tensor], path: Path) -> None:
    # A crafted file can view one stored number as a tensor of any size.
    if sum(tensor.nbytes for tensor in state.values()) > path.stat().st_size:
        raise CheckpointError(f"{path}: its tensors claim more bytes than the file holds")
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {key} is {tensor.dtype}; expected a float tensor")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {key} holds NaN or infinity; the training diverged")


def _listing(names: Any) -> str:
    names = list(names)
    shown = ", ".join(names[:3]) or "nothing"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
