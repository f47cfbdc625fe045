"""A GPU that is not there: PyCUDA and TensorRT's runtime, simulated honestly.

Streams are lazy: what is queued happens only where something waits for it, so a forgotten wait
shows as wrong pixels. Memory is poisoned when it is taken and when it is freed. An engine is the
ONNX file itself, run by ONNX Runtime.
"""
