"""The wheel, installed outside the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rrin_deploy import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.iterdir()
    return wheel


def test_wheel_holds_the_rooms_and_the_model_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {
        "calibration",
        "engines",
        "export",
        "media",
        "precision",
        "rrin_deploy",
        "runtime",
        "training",
    }
    assert not any(name.endswith(".pth") for name in names)
    for name in ("rrin-w16.onnx", "rrin-w16.golden.npz", "README.md"):
        assert f"runtime/model/{name}" in names
    assert "runtime/py.typed" in names


@pytest.mark.long
def test_installed_wheel_finds_its_model(wheel: Path, tmp_path: Path) -> None:
    # A virtual environment that sees the packages installed here but not the checkout.
    env = str(tmp_path / "env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    here = Path(next(path for path in sys.path if path.endswith("site-packages")))
    (site / "borrowed.pth").write_text(f"import sys; sys.path.append({str(here)!r})\n")
    code = "import runtime; print(runtime.__file__, runtime.check_parity().passed)"
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(site / "runtime" / "__init__.py"), "True"]
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "rrin-deploy", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"rrin-deploy {__version__}\n"
