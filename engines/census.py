"""What a parsed network asks for, read back before it is built."""

from __future__ import annotations

from collections import Counter
from typing import Any

from precision.blocks import quantized_count
from precision.graph import CONVOLUTIONS
from runtime.errors import RrinError
from runtime.metadata import Metadata

_ALL = sum(CONVOLUTIONS.values())


class CensusError(RrinError, RuntimeError):
    """The network that TensorRT parsed is not the one that was asked for; nothing was built."""


def take_census(trt: Any, network: Any, metadata: Metadata) -> dict[str, int]:
    """Count the U-Net convolutions by the type that they ask for, and check the warps.

    Args:
        trt: the TensorRT module.
        network: an INetworkDefinition, parsed.
        metadata: of the graph that it was parsed from.

    Raises:
        CensusError: a convolution of another type, a warp that is not bilinear, or one with other
            corners than the artifact's.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {
        layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE
    }
    types = Counter(
        _type_of(layer, dequantized)
        for layer in layers
        if layer.type == trt.LayerType.CONVOLUTION and layer.name.split(".")[0] in CONVOLUTIONS
    )
    expected = _expected(metadata)
    if dict(types) != expected:
        raise CensusError(
            f"the U-Nets' convolutions ask for {dict(types)}, expected {expected}: "
            "TensorRT read the graph otherwise; please report this"
        )
    warps = [layer for layer in layers if layer.type == trt.LayerType.GRID_SAMPLE]
    for warp in warps:
        # Layers come back as plain ILayer, without the attributes of their kind.
        warp.__class__ = trt.IGridSampleLayer
        found = warp.interpolation_mode.name, warp.align_corners, warp.sample_mode.name
        if found != ("LINEAR", metadata.align_corners, "FILL"):
            raise CensusError(
                f"{warp.name} samples with (mode, align_corners, outside) = {found}, expected "
                f"('LINEAR', {metadata.align_corners}, 'FILL'): frames would be wrong; "
                "please report this"
            )
        tensors = warp.get_input(0), warp.get_input(1), warp.get_output(0)
        if any(tensor.dtype != trt.DataType.FLOAT for tensor in tensors):
            raise CensusError(f"{warp.name} does not sample in float32; please report this")
    if len(warps) != 2:
        raise CensusError(f"the network has {len(warps)} warps, expected 2; please report this")
    return dict(types)


def _expected(metadata: Metadata) -> dict[str, int]:
    """Return how many U-Net convolutions are to ask for which type."""
    if metadata.precision != "int8":
        return {"HALF" if metadata.precision == "fp16" else "FLOAT": _ALL}
    int8 = quantized_count(metadata.kept_float)
    return {kind: count for kind, count in (("INT8", int8), ("HALF", _ALL - int8)) if count}


def _type_of(convolution: Any, dequantized: set[str]) -> str:
    """Return INT8 for a convolution between Q/DQ, which TensorRT fuses, else its output's type."""
    data, weight = convolution.get_input(0), convolution.get_input(1)
    if weight is not None and {data.name, weight.name} <= dequantized:
        return "INT8"
    return str(convolution.get_output(0).dtype.name)
