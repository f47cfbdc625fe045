"""Completion by a real bash: commands, options, choices and files, without heavy libraries."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")

# As bash does where Tab is pressed: the function that completes a command is called with it. Each
# line of standard input is a command line that was typed until then.
TAB = """
source <(rrin-deploy --show-completion)
read -r _ _ default _ function name < <(complete -p rrin-deploy)
[[ $default == default && $name == rrin-deploy ]] || exit 3
while IFS=, read -r -a COMP_WORDS; do
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    [[ ${COMP_WORDS[COMP_CWORD]} == NOTHING ]] && COMP_WORDS[COMP_CWORD]=
    "$function" rrin-deploy < /dev/null
    printf '%s\\n' "${COMPREPLY[*]}"
done
"""
COMPLETED = {
    ("inter",): "interpolate",
    ("interpolate", "--fact"): "--factor",
    ("interpolate", "clip.mp4", "--backend", "NOTHING"): "onnxruntime openvino",
    ("build", "--target", "o"): "onnxruntime openvino",
    ("run", "jobs.toml", "--progress", "NOTHING"): "bar json",
    ("bench", "--backend", "NOTHING"): "onnxruntime openvino",
    ("report", "--skip", "q"): "quality",
    ("interpolate", "cl"): "",  # bash completes files where there is nothing else
    ("interpolate", "clip.mp4", "-o", "NOTHING"): "",
}


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Those in which rrin-deploy is this one, and the shell is bash."""
    script = tmp_path / "bin" / "rrin-deploy"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m rrin_deploy "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}


def test_what_tab_gives(surroundings: dict[str, str]) -> None:
    typed = "".join(f"{','.join(('rrin-deploy', *words))}\n" for words in COMPLETED)
    done = subprocess.run(
        ["bash", "--norc", "-c", TAB],
        input=typed,
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(zip(COMPLETED, done.stdout.splitlines(), strict=True))
    assert (found, done.stderr) == (COMPLETED, "")


IMPORTED = """
import atexit, sys
atexit.register(lambda: print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr))
sys.argv = ["rrin-deploy"]
from rrin_deploy.__main__ import main
main()
"""


def test_completing_loads_no_heavy_library(surroundings: dict[str, str]) -> None:
    words = {"COMP_WORDS": "rrin-deploy build --target o", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=surroundings | words | {"_RRIN_DEPLOY_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["onnxruntime", "openvino"]
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    heavy = {"av", "matplotlib", "onnx", "onnx_ir", "onnxruntime", "openvino", "ray", "skimage",
             "tensorrt", "tensorrt_rtx", "torch"}  # fmt: skip
    assert not loaded & heavy
