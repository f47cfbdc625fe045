"""What every artifact says of itself, written by `export` and read by all later rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal

from .errors import ArtifactError

FORMAT_VERSION = 2
_PREFIX = "rrin."

Io = Literal["uint8", "float32"]
Precision = Literal["fp32", "fp16", "int8"]
Runtime = Literal["any", "tensorrt", "onnxruntime", "openvino"]


@dataclass(frozen=True)
class Metadata:
    """The contract between the rooms, stored as strings in an ONNX file's `metadata_props`.

    Attributes:
        checkpoint_sha256: of the checkpoint file that the weights came from, hexadecimal.
        base_width: channels of the U-Nets' first level.
        align_corners: how the warp's grid maps to pixels; part of what was trained.
        padding_multiple: the frames' height and width have to be multiples of this, in pixels.
        io: dtype of the graph's frames; float32 values lie in [0, 1].
        precision: the type that the U-Nets run in; int8 only where it was found harmless.
        runtime: what the graph was laid out for; others may run it, but slower.
        opset: version of the ONNX operators.
        producer: names and versions of what wrote the file.
        format_version: of this contract.
    """

    checkpoint_sha256: str
    base_width: int
    align_corners: bool
    padding_multiple: int
    io: Io
    precision: Precision
    opset: int
    producer: str
    runtime: Runtime = "any"
    format_version: int = FORMAT_VERSION

    def to_properties(self) -> dict[str, str]:
        """Return the fields as strings, each key prefixed 'rrin.'."""
        return {_PREFIX + name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], source: str) -> Metadata:
        """Parse what `to_properties` wrote; `source` names the file in messages.

        Raises:
            ArtifactError: not an artifact of ours, another format version, or a damaged field.
        """
        version = properties.get(_PREFIX + "format_version")
        if version is None:
            raise ArtifactError(
                f"{source}: an ONNX file, but not an RRIN artifact (it has no rrin.* metadata); "
                "make one with: rrin-deploy export CHECKPOINT"
            )
        if version != str(FORMAT_VERSION):
            raise ArtifactError(
                f"{source}: has artifact format {version}; this runtime reads {FORMAT_VERSION}: "
                "export it again with this version of rrin-deploy"
            )
        values = {f.name: properties.get(_PREFIX + f.name, "") for f in fields(cls)}
        try:
            return cls(
                checkpoint_sha256=values["checkpoint_sha256"],
                base_width=_positive(values["base_width"]),
                align_corners={"True": True, "False": False}[values["align_corners"]],
                padding_multiple={"32": 32}[values["padding_multiple"]],
                io=_IOS[values["io"]],
                precision=_PRECISIONS[values["precision"]],
                opset=_positive(values["opset"]),
                producer=values["producer"],
                runtime=_RUNTIMES[values["runtime"]],
            )
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"{source}: its RRIN metadata is damaged ({values}); export it again"
            ) from error


_IOS: dict[str, Io] = {"uint8": "uint8", "float32": "float32"}
_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}
_RUNTIMES: dict[str, Runtime] = {
    "any": "any",
    "tensorrt": "tensorrt",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError(text)
    return value
