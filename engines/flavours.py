"""TensorRT 10, TensorRT 11 and TensorRT-RTX: all that differs between them when building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.errors import BackendError
from runtime.installation import install_hint, is_installed
from runtime.manifest import Target
from runtime.tensorrt_library import MODULES, load_tensorrt

# What an RTX engine is compiled for unless told: GeForce and RTX of Ampere, Ada and Blackwell.
RTX_CAPABILITIES = (86, 89, 120)
_OLDEST = (10, 3)


@dataclass(frozen=True)
class Flavour:
    """A TensorRT package that was imported.

    Attributes:
        target: 'tensorrt' or 'rtx'.
        trt: the module; the Python API is one and the same.
        version: its exact version.
    """

    target: Target
    trt: Any
    version: str

    @property
    def network_flags(self) -> int:
        """Flags under which a network is strongly typed."""
        # TensorRT 11 knows no other networks, and may drop the flag.
        flag = getattr(self.trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def capabilities(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Return the compute capabilities to build for; none means those of the GPU here.

        Raises:
            BackendError: this flavour cannot build for them, or there is no GPU here.
        """
        if self.target == "tensorrt":
            if wanted:
                raise BackendError(
                    "TensorRT builds for the GPU it runs on; leave compute_capabilities out, or "
                    "build for others with TensorRT-RTX",
                    remedy=("target", "rtx"),
                )
            return (_here(),)
        known = sorted(
            int(name[2:]) for name in vars(self.trt.ComputeCapability) if name[2:].isdigit()
        )
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise BackendError(
                f"TensorRT-RTX {self.version} has no compute capability "
                f"{', '.join(map(str, unknown))}; it has {', '.join(map(str, known))}"
            )
        return tuple(dict.fromkeys(map(int, wanted))) or RTX_CAPABILITIES


def load_flavour(target: Target | None) -> Flavour:
    """Import the package of a target; None takes TensorRT where it is installed, else RTX.

    Raises:
        BackendError: the package is not installed, or too old.
    """
    if target is None:
        target = "tensorrt" if is_installed(MODULES["tensorrt"]) else "rtx"
    try:
        trt = load_tensorrt(target)
    except ImportError as error:
        raise _not_here(target, error) from error
    version = str(trt.__version__)
    if target == "tensorrt" and tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise BackendError(f"TensorRT {version} is too old; 10.3 or newer builds strongly typed")
    return Flavour(target, trt, version)


def _not_here(target: Target, why: ImportError) -> BackendError:
    rtx = install_hint(MODULES["rtx"])
    if target == "rtx":
        return BackendError(f"{why}; install it: {rtx}; it needs no GPU to build")
    other = (
        "TensorRT-RTX builds" if is_installed(MODULES["rtx"]) else f"TensorRT-RTX ({rtx}) builds"
    )
    return BackendError(
        f"{why}; install it: {install_hint(MODULES[target])}; {other} without a GPU",
        remedy=("target", "rtx"),
    )


def _here() -> int:
    from runtime.device import compute_capability

    return compute_capability(0)
