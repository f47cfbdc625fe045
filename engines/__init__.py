"""Engines: an ONNX file made into what a target runs."""

from engines.builder import BuildError, BuildReport, build
from engines.census import CensusError
from engines.configuration import BuildOptions
from engines.portable import OnnxReport, build_onnx

__all__ = [
    "BuildError",
    "BuildOptions",
    "BuildReport",
    "CensusError",
    "OnnxReport",
    "build",
    "build_onnx",
]
