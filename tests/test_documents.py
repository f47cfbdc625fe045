"""What the pages for contributors say is so: names of files, versions, the checks of a commit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import precision.ranges
import rrin_deploy.results
import runtime.golden
import runtime.manifest
import runtime.metadata
from rrin_deploy import __version__

ROOT = Path(__file__).parents[1]
ROOMS = (
    "runtime", "media", "export", "precision", "calibration", "engines", "training", "rrin_deploy"
)  # fmt: skip


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`([\w.]+/[\w./-]*)`", (ROOT / page).read_text())
    assert len(named) > 10
    for name in named:
        assert (ROOT / name).exists(), name


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", there.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in slugs, target


def test_every_room_and_nearly_every_module_has_its_place_on_the_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for room in ROOMS:
        assert f"| `{room}/` |" in page
        for module in (ROOT / room).glob("*.py"):
            if not module.stem.startswith("_"):
                assert f"`{room}/{module.name}`" in page, module


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("artifact metadata", runtime.metadata.FORMAT_VERSION),
        ("manifest of an engine", runtime.manifest.FORMAT_VERSION),
        ("ranges file", precision.ranges.FORMAT_VERSION),
        ("golden file", runtime.golden.FORMAT_VERSION),
        ("result of a command", rrin_deploy.results.FORMAT),
    ],
)
def test_changelog_has_the_formats_of_this_version(name: str, version: int) -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^\| {name} \|.*\| {version} \|$", changes, re.MULTILINE)


def test_this_version_is_in_the_changelog_and_the_citation() -> None:
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_commit_is_checked_by_what_make_test_checks() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("test: $(TEST_ENV)/ready\n")[2].partition("\n\n")[0]
    lints = re.findall(r"\$\(TEST_ENV\)/bin/((?:ruff|mypy|lint-imports).*)", recipe)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"entry: \.venv-test/bin/(.*)", hooks) == lints
    assert len(lints) == 4
    assert "repos:\n  - repo: local\n" in hooks


def test_workflows_run_each_python_that_is_supported() -> None:
    classified = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r"3\.\d+", matrix) == classified == ["3.10", "3.11", "3.12", "3.13"]


# As `python -m build --sdist`, but not compressed, which takes 20 of its 21 seconds.
SDIST = """
import functools, gzip, sys
gzip.GzipFile = functools.partial(gzip.GzipFile, compresslevel=0)
from hatchling.build import build_sdist
build_sdist(sys.argv[1])
"""


def test_a_source_distribution_has_what_the_tests_and_pages_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SDIST, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.iterdir()
    listing = subprocess.run(
        [sys.executable, "-m", "tarfile", "--list", str(archive)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = {line.strip().partition("/")[2] for line in listing.splitlines()}
    for name in (
        "examples/camera_loop.py",
        "docs/architecture.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "Makefile",
        "SECURITY.md",
        "constraints.txt",
        "media/video.py",
        "precision/graph.py",
        "rrin_deploy/report/page.html.j2",
        "runtime/model/rrin-w16.onnx",
        "tests/conftest.py",
    ):
        assert name in names, name
