"""CUDA's driver, by whichever of two packages is here: the calls that the runtime needs.

Each package has a module of its own with the same names, `driver_pycuda` and `driver_bindings`:

- `NAME`, the package and its version; `Error` and `OutOfMemoryError`, what its calls raise.
- `device_count()`; `Device(index)` with `name`, `compute_capability`, `total_memory` and
  `retain_primary_context()`, whose `push()` makes it current in this thread until `pop_context()`.
- `synchronize()` waits for all work of the current context; `free_memory()` is in bytes.
- `Stream()`, which never waits for the legacy default stream: `handle`, `synchronize()`,
  `wait_for_event(event)`. `Event()`, whose waits block instead of spinning: `record(stream)`,
  `synchronize()`. `DeviceMemory(nbytes)`: `address`, `nbytes`. `HostMemory(nbytes)`, page-locked:
  `array`, `nbytes`. Each is freed by `free()` and by nothing else, where the context that it was
  made in is current.
- `copy_to_device(memory, array, stream)` and `copy_to_host(array, memory, stream)`, which only
  begin the copy of `array.nbytes` bytes; so does `copy_on_device(target, source, nbytes, stream)`,
  between two addresses; and `copy_rows_on_device(target, source, size, stream)`, each an address
  and the bytes from a row to the next, of (bytes of a row, rows).
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .errors import BackendError
from .installation import install_hint, is_installed

_MODULES = {"pycuda": ".driver_pycuda", "cuda.bindings": ".driver_bindings"}


def load_driver() -> ModuleType:
    """Return the module for PyCUDA where that is installed, else the one for cuda-bindings.

    Raises:
        BackendError: neither is installed, or the one that is cannot be imported.
    """
    here = [package for package in _MODULES if is_installed(package)]
    if not here:
        raise BackendError(
            "neither pycuda nor cuda-bindings is installed, and engines need an NVIDIA driver and "
            f"one of them: {install_hint('cuda.bindings')}, or {install_hint('pycuda')}"
        )
    package = here[0]
    try:
        return import_module(_MODULES[package], __package__)
    except ImportError as error:
        raise BackendError(
            f"{package} cannot be imported ({error}); it needs an NVIDIA driver and: "
            f"{install_hint(package)}"
        ) from error
