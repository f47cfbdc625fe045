"""The sidecar of an engine: all that the runtime must know before it deserialises the plan.

The engine file is a pure plan, which trtexec can load; the manifest lies beside it as
rrin.fp16.engine.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from .errors import ArtifactError
from .metadata import Metadata
from .options import check_file
from .records import Between, Flat, Format, Matching, Sha256, dataclass_of, typed

FORMAT_VERSION = 2
ENGINE_SUFFIX = ".engine"

Target = Literal["tensorrt", "rtx"]
Size = tuple[Annotated[int, Between(1, 65536)], Annotated[int, Between(1, 65536)]]
# How many an engine takes and gives.
Planes = tuple[Annotated[int, Between(6, 7)], Annotated[int, Between(3, 3000)]]
_Capability = Annotated[int, Between(50, 999)]


@dataclass(frozen=True)
class Profile:
    """What an engine takes: frame sizes (width, height), padded pixels, and the most times."""

    min_size: Size
    opt_size: Size
    max_size: Size
    max_times: Annotated[int, Between(1, 10_000)]

    def __post_init__(self) -> None:
        sizes = self.min_size, self.opt_size, self.max_size
        if not all(low <= best <= high for low, best, high in zip(*sizes, strict=True)):
            raise ValueError(f"has the sizes {sizes}, expected them in growing order")

    @property
    def sizes(self) -> str:
        """The frames that it takes, as a person says it: 32x32 to 1920x1088, or 1280x736 alone."""
        least, most = ("x".join(map(str, size)) for size in (self.min_size, self.max_size))
        return f"{least} alone" if least == most else f"{least} to {most}"


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
        context_bytes: the GPU memory that each execution context takes, that is each call or stream
            that goes on beside others, for the profile's largest shape; weights and frames come on
            top. None where the builder did not say.
        options: the builder's, for people.
        seconds: that the build took.
        planes: of an engine for vs-mlrt's plugins, which our own runtime does not run, how many
            planes of one size it takes and gives, such as (7, 3); None for all others.
    """

    target: Target
    version: Annotated[str, Matching(r"\d{1,9}(\.\d{1,9})+[\w.+-]{0,50}", "a version as in 10.3.0")]
    compute_capabilities: Annotated[tuple[_Capability, ...], Between(1, 32)]
    version_compatible: bool
    hardware_compatible: bool
    profile: Profile
    census: Mapping[str, Annotated[int, Between(0, 10_000)]]
    metadata: Metadata
    plan_sha256: Sha256
    onnx_sha256: Sha256
    context_bytes: Annotated[int, Between(0, 2**50)] | None
    options: Mapping[str, Annotated[Any, Flat()]]
    seconds: Annotated[float, Between(0, 1e7)]
    planes: Planes | None = None

    def to_bytes(self) -> bytes:
        """Return the sidecar's content; ArtifactError where `load` would refuse it."""
        document = {
            "format_version": FORMAT_VERSION,
            **asdict(self),
            "metadata": self.metadata.to_properties(),
        }
        if self.planes is None:
            del document["planes"]  # as files have it that were written before there were such
        content = (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()
        _FORMAT.parse(content, "the engine")
        return content

    @classmethod
    def from_json(cls, document: object) -> Manifest:
        """Read what JSON holds, but for its format; ValueError where it is damaged."""
        return dataclass_of(cls, {"planes": None, **typed(Mapping[str, Any], document)})

    @classmethod
    def load(cls, engine: str | Path) -> Manifest:
        """Read the sidecar of `engine`.

        Raises:
            InputNotFoundError: there is none.
            ArtifactError: damaged, or of another format version.
        """
        path = manifest_path(engine)
        check_file(
            path,
            "without its manifest the engine is not loaded; copy it along with the engine, or "
            "build the engine again",
        )
        return _FORMAT.read(path)


_FORMAT = Format(Manifest, "manifest", FORMAT_VERSION, "build the engine again")


def is_engine(path: str | Path) -> bool:
    """Say whether a file is an engine, which its suffix tells, in any case."""
    return Path(path).suffix.lower() == ENGINE_SUFFIX


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
            "changed or cut short: copy it again, or build it again"
        )
    return plan
