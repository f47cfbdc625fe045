"""Engines: an ONNX file made into what a target runs."""

from engines.builder import BuildError, BuildOptions, BuildReport, build
from engines.census import CensusError

__all__ = ["BuildError", "BuildOptions", "BuildReport", "CensusError", "build"]
