"""`python -m tests.page MODULES`: a report's page, tried in a headless Chromium.

MODULES is a folder with node_modules of `make test-page`. Screenshots go into page-shots/, for
people; exit code 1 says what a person would stumble over.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runtime.golden import golden_beside
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL

_DRIVER = Path(__file__).with_name("browser.mjs")


def _write_page(folder: Path) -> Path:
    """Write a report of two artifacts, beside what another machine found of them."""
    for name in ("rrin.onnx", "again.onnx"):
        shutil.copy(SMALL_MODEL, folder / name)
        shutil.copy(golden_beside(SMALL_MODEL), golden_beside(folder / name))
    for name, step in (("calm", 1), ("fast", 3)):
        for index in (1, 2, 3):
            frame = render_bytes(448, 256, 5 + step * (index - 1) / 2)
            write_png(folder / "set" / name / f"im{index}.png", frame)
    command = [sys.executable, "-m", "rrin_deploy", "report"]
    make = [*command, "rrin.onnx", "again.onnx", "--triplets", "set", "--size", "64x48", "--json"]
    done = subprocess.run(make, cwd=folder, check=True, capture_output=True, text=True)
    (folder / "jetson.json").write_text(done.stdout)
    subprocess.run([*make, "--from", "jetson.json"], cwd=folder, check=True, capture_output=True)
    return folder / "report.html"


def _stumbles(found: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the page; `browser.mjs` has what is there."""
    yield from (f"asks for {url}" for url in found["requests"])
    yield from (f"the browser says: {error}" for error in found["errors"])
    for name, view in found["views"].items():
        for each in view["violations"]:
            yield f"{name}: axe finds {each['id']} ({each['impact']}): {each['where'][0]}"
        if view["overflow"] > 0:
            yield f"{name}: is {view['overflow']} pixels too wide"
        if view["broken"]:
            yield f"{name}: {view['broken']} pictures are broken"
    start, right, home, end, back, chosen, clicked = found["slider"]
    values = [int(state["value"]) for state in (start, right, home, end, back)]
    if values != [50, 51, 0, 100, 90] or not right["focused"]:
        yield f"the slider is not worked by keys: {values}"
    if len({state["clip"] for state in (start, right, home, end)}) < 4:
        yield f"the picture does not follow the slider: {start['clip']}, {end['clip']}"
    if "90 %" not in back["told"]:
        yield f"a screen reader is told {back['told']!r} of 90 %"
    if (start["result"], chosen["result"]) != ("rrin.onnx", "again.onnx"):
        yield f"the other result is not chosen by keys: {chosen['result']}"
    if abs(int(clicked["value"]) - 25) > 3:
        yield f"a click at a quarter sets the slider to {clicked['value']}"
    if found["flip"] != [["first"], ["second"], ["first"]]:
        yield f"the space bar does not flip the frames: {found['flip']}"
    if found["plain"] < 3:
        yield "without a script truth and results are not shown"


def main() -> int:
    """Make the page, try it, and say what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.page", description=__doc__)
    parser.add_argument("modules", type=Path)
    modules = parser.parse_args().modules
    shots = Path("page-shots")
    shots.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        page = _write_page(Path(folder))
        command = ["node", str(_DRIVER), str(modules), str(page), str(shots)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        size = page.stat().st_size
    stumbles = list(_stumbles(json.loads(done.stdout)))
    print(f"{size / 1e6:.2f} MB; screenshots in {shots}/")
    print("\n".join(stumbles) or "nothing is wrong")
    return bool(stumbles)


if __name__ == "__main__":
    sys.exit(main())
