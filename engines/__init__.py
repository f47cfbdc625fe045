"""Engines: an ONNX file made into what a target runs."""

from engines.builder import BuildReport, build
from engines.census import CensusError
from engines.compilation import BuildError
from engines.configuration import BuildOptions
from engines.layers import Layer, layers_of
from engines.portable import OnnxReport, build_onnx
from engines.proof import Proof
from engines.vs_mlrt import VsReport, build_vs_mlrt

__all__ = [
    "BuildError",
    "BuildOptions",
    "BuildReport",
    "CensusError",
    "Layer",
    "OnnxReport",
    "Proof",
    "VsReport",
    "build",
    "build_onnx",
    "build_vs_mlrt",
    "layers_of",
]
