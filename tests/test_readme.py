"""Every command and snippet that the README shows is run, and does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

from runtime.scene import render_bytes
from tests.readme import README, STEPS, differences, entries, outcome, run

ROOT = README.parent
TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def picture(time: float) -> np.ndarray:
    return render_bytes(96, 64, time)


def test_every_command_is_a_step() -> None:
    for entry, (start, _, _) in zip(entries(TEXT), STEPS, strict=True):
        assert entry.command.startswith(f"rrin-deploy {start}")


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(STEPS)), ids=[start for start, _, _ in STEPS])
def test_commands_give_the_output_shown_and_write_nothing_else(number: int, shared: Path) -> None:
    entry, (_, _, outputs) = list(entries(TEXT))[number], STEPS[number]
    found = outcome(number, shared)
    if entry.shown:
        told = "; if it is meant: python -m tests.readme"
        assert not differences(entry.shown, found.shown), f"{entry.command}{told}"
    assert {path.name for path in found.folder.iterdir()} == outputs
    assert not found.elsewhere


@pytest.mark.parametrize(
    ("shown", "found", "same"),
    [
        ("x.onnx: 4.9 MB, opset 19; 33 s", "x.onnx: 4.9 MB, opset 19; 2.5 s", True),
        ("x.onnx: 4.9 MB, opset 19; 33 s", "x.onnx: 5.0 MB, opset 19; 33 s", False),
        ("x.onnx: 4.9 MB, opset 19; 33 s", "y.onnx: 4.9 MB, opset 19; 33 s", False),
        ("convolutions 75 in INT8", "convolutions 74 in INT8", False),
        ("x.onnx: 4.9 MB; 33 s", "x.onnx: 4.9 MB; 33 ms", False),
        ("onnxruntime 1.32.0 CPU", "onnxruntime 1.23.2 CPU", True),
        ("rtx 1.7.1.116 for SM89", "rtx 1.8.0.10 for SM89", False),
        ("within 3.9e-02, 50.5 dB at least", "within 4.1e-02, 50.1 dB at least", True),
        ("within 3.9e-02, 50.5 dB at least", "within 3.9e-02, 48.5 dB at least", False),
        ("within 3.9e-02, 50.5 dB at least", "within 5.9e-02, 50.5 dB at least", False),
        ("0.5  3.9e-03  93.8 dB  99.997%  pass", "0.5  0.0e+00  equal  100.000%  pass", True),
        ("0.5  3.9e-03  93.8 dB  99.997%  pass", "0.5  3.9e-03  76.0 dB  99.997%  pass", False),
        ("0.5  3.9e-03  93.8 dB  99.997%  pass", "0.5  3.9e-03  93.8 dB  97.000%  pass", False),
        ("0.5  3.9e-03  93.8 dB  99.997%  pass", "0.5  3.9e-03  93.8 dB  99.997%  FAIL", False),
        ("one line", "one line\nand another", False),
    ],
)
def test_what_is_compared(shown: str, found: str, same: bool) -> None:
    assert (not differences(shown, found)) is same


def test_versions_shown_are_those_that_are_installed_for_tests() -> None:
    pinned = (ROOT / "constraints.txt").read_text()
    for version in set(re.findall(r"onnxruntime (\d[\d.]+) CPU", TEXT)):
        assert f"onnxruntime=={version}; python_version >=" in pinned
    for version in set(re.findall(r"openvino (\d[\d.]+) CPU", TEXT)):
        assert f"openvino=={version}\n" in pinned
    for version in set(re.findall(r"\brtx (\d[\d.]+) for", TEXT)):
        assert f"tensorrt_rtx_cu13=={version}\n" in pinned


def test_snippet_runs() -> None:
    (snippet,) = blocks("python")
    shown: list[np.ndarray] = []
    names = {
        "frame0": picture(0),
        "frame1": picture(1),
        "frames": [picture(time) for time in range(3)],
        "show": shown.append,
    }
    exec(snippet.replace('"rrin.onnx"', ""), names)  # noqa: S102 - our own README
    assert names["middle"].shape == (64, 96, 3)
    assert names["thirds"].shape == (2, 64, 96, 3)
    assert len(shown) == 9


def test_make_targets_exist() -> None:
    (commands,) = blocks("sh")
    targets = re.findall(r"^make (\w+)", commands, re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        run(f"MAKEFLAGS= make --dry-run {target}", ROOT)
    recipe = run("MAKEFLAGS= make --dry-run --no-print-directory demo", ROOT)
    assert recipe.splitlines()[-1] == ".venv-run/bin/rrin-deploy demo"


def test_ci_and_workflow_run_the_same_commands() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "parity.yml").read_text()
    commands = re.findall(r"- run: (rrin-deploy .*)", workflow)
    model = re.search(r"MODEL: (\S+)", workflow)
    assert len(commands) == 2
    assert model
    for command in commands:
        run(f"export MODEL={model[1]}; {command}", ROOT)
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/architecture.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        if not target.startswith("https://"):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), target
