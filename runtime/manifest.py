"""The sidecar of an engine: all that the runtime must know before it deserialises the plan.

The engine file is a pure plan, which trtexec can load; the manifest lies beside it as
rrin.fp16.engine.json.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import ArtifactError, InputNotFoundError
from .files import replacing
from .metadata import Metadata

FORMAT_VERSION = 1
ENGINE_SUFFIX = ".engine"
TARGETS = ("tensorrt", "rtx")


@dataclass(frozen=True)
class Profile:
    """What an engine takes: frame sizes (width, height), padded pixels, and the most times."""

    min_size: tuple[int, int]
    opt_size: tuple[int, int]
    max_size: tuple[int, int]
    max_times: int


@dataclass(frozen=True)
class Manifest:
    """What an engine is.

    Attributes:
        target: 'tensorrt' or 'rtx'; plans of one are of no use to the other.
        version: of the builder, exactly.
        compute_capabilities: of the GPUs that the plan is for, such as (86, 89).
        version_compatible, hardware_compatible: whether other versions or GPUs may load it.
        profile: what it takes.
        census: for each type, how many U-Net convolutions asked for it.
        metadata: of the graph that it was built from.
        plan_sha256, onnx_sha256: of the engine file, and of the ONNX file it was built from.
        options: the builder's, for people.
        seconds: that the build took.
    """

    target: str
    version: str
    compute_capabilities: tuple[int, ...]
    version_compatible: bool
    hardware_compatible: bool
    profile: Profile
    census: Mapping[str, int]
    metadata: Metadata
    plan_sha256: str
    onnx_sha256: str
    options: Mapping[str, Any]
    seconds: float
    format_version: int = FORMAT_VERSION

    def save(self, engine: str | Path) -> None:
        """Write the sidecar of `engine`."""
        content = asdict(self) | {"metadata": self.metadata.to_properties()}
        with replacing(manifest_path(engine)) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, engine: str | Path) -> Manifest:
        """Read the sidecar of `engine`.

        Raises:
            InputNotFoundError: there is none.
            ArtifactError: damaged, or of another format version.
        """
        path = manifest_path(engine)
        if not path.is_file():
            raise InputNotFoundError(
                f"{path}: no such file, and without its manifest the engine is not loaded; copy it "
                "along with the engine, or build again: rrin-deploy build"
            )
        try:
            content = json.loads(path.read_text())
            version = content["format_version"]
            if version != FORMAT_VERSION:
                raise ArtifactError(
                    f"{path}: has manifest format {version}; this runtime reads {FORMAT_VERSION}: "
                    "build the engine again"
                )
            return cls(**content | _typed(content, str(path)))
        except ArtifactError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"{path}: not a manifest, or a damaged one ({type(error).__name__}: {error}); "
                "build the engine again"
            ) from error


def manifest_path(engine: str | Path) -> Path:
    """Return where an engine's manifest lies."""
    engine = Path(engine)
    return engine.with_name(engine.name + ".json")


def read_plan(engine: str | Path, manifest: Manifest) -> bytes:
    """Read the plan and hold it against its manifest.

    Raises:
        ArtifactError: it was changed or truncated after it was built.
    """
    plan = Path(engine).read_bytes()
    if hashlib.sha256(plan).hexdigest() != manifest.plan_sha256:
        raise ArtifactError(
            f"{engine}: is not the plan that its manifest describes ({len(plan)} bytes); it was "
            "changed or cut short: copy it again, or build again: rrin-deploy build"
        )
    return plan


def _typed(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    profile = content["profile"]
    if content["target"] not in TARGETS:
        raise ValueError(f"target is {content['target']!r}, expected one of {TARGETS}")
    if not re.fullmatch(r"\d+(\.\d+)+\S*", content["version"]):
        raise ValueError(f"version is {content['version']!r}")
    for name in ("version_compatible", "hardware_compatible"):
        if not isinstance(content[name], bool):
            raise ValueError(f"{name} is {content[name]!r}, expected true or false")
    return {
        "compute_capabilities": tuple(map(int, content["compute_capabilities"])),
        "profile": Profile(
            min_size=_size(profile["min_size"]),
            opt_size=_size(profile["opt_size"]),
            max_size=_size(profile["max_size"]),
            max_times=int(profile["max_times"]),
        ),
        "metadata": Metadata.from_properties(content["metadata"], source),
    }


def _size(value: Any) -> tuple[int, int]:
    width, height = value
    return int(width), int(height)
