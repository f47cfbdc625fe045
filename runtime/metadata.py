"""What every artifact says of itself, written by `export` and read by all later rooms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_type_hints

from .architecture import PADDING_MULTIPLE
from .errors import ArtifactError
from .records import Between, Matching, Sha256, dataclass_of, typed

FORMAT_VERSION = 2
OPSET = 19  # from 20 on, TensorRT parsers read GridSample's "linear" as nearest
_BF16_OPSET = 22  # the first whose convolutions take bfloat16
_PREFIX = "rrin."

Io = Literal["uint8", "float32"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Runtime = Literal["any", "tensorrt", "onnxruntime", "openvino"]
_Block = Annotated[str, Matching(r"\w{1,30}(\.\w{1,30}){1,5}", "a module path")]


def opset_of(precision: Precision) -> int:
    """Return the version of the ONNX operators that artifacts of a precision are made of."""
    return _BF16_OPSET if precision == "bf16" else OPSET


@dataclass(frozen=True)
class Metadata:
    """The contract between the rooms, stored as strings in an ONNX file's `metadata_props`.

    Attributes:
        checkpoint_sha256: of the checkpoint file that the weights came from, hexadecimal.
        base_width: channels of the U-Nets' first level.
        align_corners: how the warp's grid maps to pixels; part of what was trained.
        padding_multiple: the frames' height and width have to be multiples of this, in pixels.
        io: dtype of the graph's frames; float32 values lie in [0, 1].
        precision: the type that the U-Nets run in; int8 only where it was found harmless, bf16 all
            but in their last convolutions.
        runtime: what the graph was laid out for; others may run it, but slower.
        opset: version of the ONNX operators.
        producer: names and versions of what wrote the file.
        kept_float: of int8, the blocks that were not quantized although they could be, by module
            path, such as Flow_L.down_path.0; a file that does not say has none.
        format_version: of this contract.
    """

    checkpoint_sha256: Sha256
    base_width: Annotated[int, Between(1, 4096)]
    align_corners: bool
    padding_multiple: Annotated[int, Between(PADDING_MULTIPLE, PADDING_MULTIPLE)]
    io: Io
    precision: Precision
    opset: Annotated[int, Between(1, 100)]
    producer: Annotated[str, Matching("[ -~]{0,300}", "a line of ASCII")]
    runtime: Runtime = "any"
    kept_float: Annotated[tuple[_Block, ...], Between(0, 100)] = ()
    format_version: Annotated[int, Between(FORMAT_VERSION, FORMAT_VERSION)] = FORMAT_VERSION

    def to_properties(self) -> dict[str, str]:
        """Return the fields as strings, each key prefixed 'rrin.'."""
        fields = {name: str(value) for name, value in asdict(self).items()}
        if self.kept_float:
            fields["kept_float"] = " ".join(self.kept_float)
        else:
            del fields["kept_float"]
        return {_PREFIX + name: text for name, text in fields.items()}

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
                "export one from a checkpoint"
            )
        found = _whole(version)
        if found != FORMAT_VERSION and isinstance(found, int):
            raise ArtifactError(
                f"{source}: has artifact format {found}; this runtime reads {FORMAT_VERSION}: "
                "export it again with this version of rrin-deploy"
            )
        try:
            return cls.from_json(properties)
        except ValueError as error:
            raise ArtifactError(
                f"{source}: its RRIN metadata is damaged ({error}); export it again"
            ) from error

    @classmethod
    def from_json(cls, properties: object) -> Metadata:
        """Read the properties where a manifest holds them; ValueError where they are damaged."""
        texts = typed(Mapping[str, str], properties)
        values = {
            name: _READERS.get(kind, str)(texts[_PREFIX + name])
            for name, kind in get_type_hints(cls).items()
            if _PREFIX + name in texts
        }
        return dataclass_of(cls, {"kept_float": (), **values})


def _whole(text: str) -> int | str:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def _truth(text: str) -> bool | str:
    return {"True": True, "False": False}.get(text, text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" "))


_READERS: dict[object, Callable[[str], object]] = {
    int: _whole,
    bool: _truth,
    tuple[str, ...]: _words,
}
