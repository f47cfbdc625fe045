"""What is installed here, how this distribution was, and so how more of it is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

# The smallest extra that brings a module.
_EXTRAS = {
    "av": "video",
    "cuda.bindings": "rtx",
    "PIL": "train",
    "jinja2": "report",
    "matplotlib": "bench",
    "ncnn": "ncnn",
    "onnx": "calibration",
    "onnx_ir": "calibration",
    "onnxscript": "export",
    "openvino": "openvino",
    "pnnx": "ncnn",
    "ray": "ray",
    "skimage": "eval",
    "tensorrt_rtx": "rtx",
    "torch": "export",
}
# What a device that has this folder alone may lack, and what has several packages. Not by the extra
# gpu, which brings an onnxruntime of its own.
_COMMANDS = {
    "onnxruntime": (
        "pip install onnxruntime (CPU) or 'onnxruntime-gpu[cuda,cudnn]' (CUDA), never both"
    ),
    "pycuda": "pip install pycuda",
    "tensorrt": "pip install tensorrt, or on a Jetson JetPack's own",
}


def is_installed(module: str) -> bool:
    """Say whether a module could be imported, without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the package that it would lie in
        return False
    return spec is not None and spec.origin is not None  # a bare folder of that name has none


def offers_cuda() -> bool:
    """Say whether the onnxruntime that is installed has the CUDA provider; it may not load.

    Told by the provider's library, for importing takes a fifth of a second and most have none.
    """
    spec = importlib.util.find_spec("onnxruntime")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return any(any(Path(each, "capi").glob("*onnxruntime_providers_cuda*")) for each in folders)


def install_hint(module: str) -> str | None:
    """Return the command that installs a module, as 'av'; None where it is none that we need.

    An extra of this distribution comes from an index by its name; from a checkout, or where only
    the folder was copied, by its path.
    """
    extra = _EXTRAS.get(module)
    if extra is None:
        return _COMMANDS.get(module)
    try:
        distribution = importlib.metadata.distribution("rrin-deploy")
        from_index = distribution.read_text("direct_url.json") is None  # PEP 610
    except importlib.metadata.PackageNotFoundError:
        from_index = False
    if from_index:
        return f"pip install 'rrin-deploy[{extra}]'"
    return f"pip install '.[{extra}]' in the folder of rrin-deploy"
