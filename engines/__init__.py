"""Engines: an ONNX file made into what a target runs."""
