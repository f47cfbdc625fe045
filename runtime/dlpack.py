"""Arrays in a GPU's memory, taken and given by the DLPack protocol."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import FrameError

CUDA = 2  # kDLCUDA
_MANAGED = 13  # kDLCUDAManaged
_NAME = b"dltensor"  # of a capsule that nobody has taken over
_KINDS = {0: "i", 1: "u", 2: "f"}  # by DLDataTypeCode


class _Tensor(ctypes.Structure):
    """A DLTensor, which a DLManagedTensor begins with."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def taken(array: Any, name: str, device: int, stream: int) -> tuple[dict[str, Any], Any]:
    """Ask an array for its memory; work on a stream may use it from then on.

    Args:
        array: with `__dlpack__` and `__dlpack_device__`.
        name: what messages call it.
        device: index of the GPU.
        stream: by its handle; the array's library lets it wait for what is still under way.

    Returns:
        What `__cuda_array_interface__` would say, and what has to be kept as long as it is used.

    Raises:
        FrameError: it does not lie on this GPU, or its library does not give it.
    """
    kind, index = array.__dlpack_device__()
    if int(kind) not in (CUDA, _MANAGED) or int(index) != device:
        raise FrameError(
            f"{name} lies on DLPack device ({int(kind)}, {index}); expected ({CUDA}, {device}), "
            "the GPU that the engine runs on"
        )
    try:
        capsule = array.__dlpack__(stream=stream)
        # Nobody takes it over, so that it lets go of the memory when it is collected.
        tensor = _tensor(capsule)
    except (BufferError, ValueError) as error:  # refused, or a capsule of DLPack 1 unasked
        why = " ".join(str(error).split())
        raise FrameError(
            f"{name} cannot be taken by DLPack ({why}); give a plain, detached array"
        ) from error
    itemsize = tensor.bits // 8
    strides = tensor.strides and tuple(step * itemsize for step in tensor.strides[: tensor.ndim])
    return {
        "shape": tuple(tensor.shape[: tensor.ndim]),
        "typestr": f"|{_KINDS.get(tensor.code, 'V')}{itemsize * tensor.lanes}",
        "data": ((tensor.data or 0) + tensor.byte_offset, False),
        "strides": strides or None,
    }, capsule


@dataclass(frozen=True)
class _Claimed:
    """Memory that NumPy takes for the host's, and its owner, whom NumPy keeps."""

    owner: Any
    __array_interface__: dict[str, Any]


def given(owner: Any, device: int) -> Any:
    """Return a capsule for an array in the GPU's memory, which keeps its owner.

    Args:
        owner: with a `__cuda_array_interface__`, C-contiguous.
        device: index of the GPU.
    """
    # NumPy writes it, and frees it in C, at whatever time; it touches no memory of the array.
    capsule = np.asarray(_Claimed(owner, owner.__cuda_array_interface__)).__dlpack__()
    tensor = _tensor(capsule)
    tensor.device_type, tensor.device_id = CUDA, device
    return capsule


def _tensor(capsule: Any) -> _Tensor:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return _Tensor.from_address(pointer(capsule, _NAME))
