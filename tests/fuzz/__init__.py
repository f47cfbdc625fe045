"""Fuzzing of everything that reads a file of a stranger: `make fuzz`.

A case passes where the reader returns or raises one of our own errors, as it promises, with a
message that can be printed. Any other exception, a native crash, a hang of over 20 s or a process
of over 2 GiB is a finding.

The mutators are our own, and know the formats: atheris and libFuzzer steer by the coverage of code
that clang has instrumented, and most of the code behind these readers (FFmpeg, ONNX Runtime,
protobuf, libtorch) comes compiled, without that. What finds faults there is damage that leaves the
container whole: checksums put right, lengths that lie, graphs that parse. A seed and a number make
the same input again on any machine with the same libraries.
"""
