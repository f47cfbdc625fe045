"""DLPack capsules as they may come, read against NumPy's own; see `test_drivers` for the rest."""

import ctypes
from typing import Any

import numpy as np
import pytest

from runtime import FrameError, dlpack

POINTER = ctypes.pythonapi.PyCapsule_GetPointer
POINTER.restype, POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
STRIDES, BYTE_OFFSET = 32, 40  # where they lie in a DLTensor


class Lent:
    """An array said to lie on a GPU."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (2, 1)) -> None:
        self.array, self.device, self.stream = array, device, 0

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int) -> Any:
        self.stream = stream
        return self.array.__dlpack__()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float16, np.int64])
def test_what_an_array_says_is_what_numpy_says(dtype: Any) -> None:
    array = np.zeros((5, 8, 3), dtype)[1:, 2:7]
    lent = Lent(array)
    found, _capsule = dlpack.taken(lent, "frame0", 1, 1234)
    assert lent.stream == 1234
    own = array.__array_interface__
    assert np.dtype(found.pop("typestr")) == array.dtype
    assert found == {"shape": own["shape"], "data": own["data"], "strides": own["strides"]}


def test_contiguous_array_without_strides_and_with_an_offset() -> None:
    array = np.zeros((4, 6, 3), np.float32)
    capsule = array.__dlpack__()
    at = POINTER(capsule, b"dltensor")
    ctypes.c_void_p.from_address(at + STRIDES).value = None
    ctypes.c_uint64.from_address(at + BYTE_OFFSET).value = 72
    lent = Lent(array)
    lent.__dict__["array"] = type("Given", (), {"__dlpack__": lambda _: capsule})()
    found, _capsule = dlpack.taken(lent, "frame0", 1, 1234)
    assert found["strides"] is None
    assert found["data"][0] == array.ctypes.data + 72


@pytest.mark.parametrize("device", [(1, 0), (2, 0), (3, 1)])
def test_array_elsewhere_is_refused_before_it_is_asked(device: tuple[int, int]) -> None:
    lent = Lent(np.zeros((4, 6, 3), np.float32), device)
    with pytest.raises(FrameError, match=r"frame1 lies on DLPack device .*; expected \(2, 1\)"):
        dlpack.taken(lent, "frame1", 1, 1234)
    assert not lent.stream


def test_array_that_its_library_does_not_give() -> None:
    torch = pytest.importorskip("torch")
    array = np.zeros((4, 6, 3), np.float32)
    array.flags.writeable = False
    trained = torch.zeros(4, 6, 3, requires_grad=True)
    versioned = type(
        "Versioned", (), {"__dlpack__": lambda _: np.zeros(3).__dlpack__(max_version=(1, 0))}
    )()
    for given in (array, trained, versioned):
        lent = Lent(given)
        with pytest.raises(
            FrameError,
            match=r"frame1 cannot be taken by DLPack \(.+\); give a plain, detached array",
        ):
            dlpack.taken(lent, "frame1", 1, 1234)
