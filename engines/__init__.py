"""Engines: an ONNX file made into what a target runs."""

from engines.builder import BuildError, BuildReport, build
from engines.census import CensusError
from engines.configuration import BuildOptions
from engines.layers import Layer, layers_of
from engines.portable import OnnxReport, build_onnx
from engines.proof import Proof

__all__ = [
    "BuildError",
    "BuildOptions",
    "BuildReport",
    "CensusError",
    "Layer",
    "OnnxReport",
    "Proof",
    "build",
    "build_onnx",
    "layers_of",
]
