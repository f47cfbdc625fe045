"""The report: its figures are those of the commands, its text is text, its gate holds."""

import io
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from calibration import triplet_folders
from rrin_deploy.cli import main
from rrin_deploy.estimate.devices import DEVICES
from rrin_deploy.proof.double import write_engine
from runtime import Interpolator
from runtime.golden import golden_beside
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL
from tests.page.reading import Read
from tests.rrin_deploy.conftest import Run

ENGINE = "double.uint8.engine"
TRIPLETS = ("calm", "fast & <b>bold</b>")


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command, which measures ceilings once."""
    monkeypatch.setattr("rrin_deploy.bench.ceiling._ROUNDS", 1)
    return run


class Made(NamedTuple):
    """A report of the small model."""

    html: str
    document: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of the small model, beside an engine that runs nowhere here, on two triplets."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(SMALL_MODEL, folder / "rrin.onnx")
    shutil.copy(golden_beside(SMALL_MODEL), folder / "rrin.golden.npz")
    assert write_engine(folder, "uint8", 89).name == ENGINE
    for name, step in zip(TRIPLETS, (1, 3), strict=True):
        for index in (1, 2, 3):
            frame = render_bytes(96, 64, 5 + step * (index - 1) / 2)
            write_png(folder / "set" / name / f"im{index}.png", frame)
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as printed:
        patch.chdir(folder)
        patch.setattr("rrin_deploy.bench.ceiling._ROUNDS", 1)
        patch.setattr("sys.stdout", printed)
        with pytest.raises(SystemExit) as stopped:
            main(["report", "rrin.onnx", ENGINE, "--triplets", "set", "--json",
                  "--size", "64x48", "--rounds", "2", "--backend", "onnxruntime"])  # fmt: skip
        assert not stopped.value.code
        document = json.loads(printed.getvalue())
    (folder / "here.json").write_text(json.dumps(document))
    return Made((folder / "report.html").read_text(), document, folder)


def test_figures_are_those_of_independent_measurements(made: Made) -> None:
    page = Read(made.html)
    triplets = {each.name: each.read() for each in triplet_folders(made.folder / "set")}
    with Interpolator(SMALL_MODEL, backend="onnxruntime") as interpolate:
        results = {name: interpolate(f.frame0, f.frame1) for name, f in triplets.items()}
    psnr = {
        name: peak_signal_noise_ratio(triplets[name].truth, result)
        for name, result in results.items()
    }
    mean = f"{np.mean([*psnr.values()]):.2f} dB"
    quality = page.rows["quality"]
    assert mean in [row[1] for row in quality if row[0] == "rrin.onnx"]
    listed = {row[0]: row[2] for row in quality if row[0] in TRIPLETS}
    assert listed == {name: f"{value:.2f} dB" for name, value in psnr.items()}
    # The pictures are those frames, to what their compression takes.
    for name, frame in ((TRIPLETS[1], results[TRIPLETS[1]]), (TRIPLETS[0], results[TRIPLETS[0]])):
        (content,) = page.pictures(f"What rrin.onnx makes of {name}")
        shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert peak_signal_noise_ratio(frame, shown) > 30
    (load,) = made.document["speed"]
    (timed,) = [row for row in page.rows["speed"] if row[0] == "rrin.onnx"]
    assert timed[2] == f"{load['contenders'][0]['median_seconds'] * 1e3:.3g} ms"
    cases = [row for row in page.rows["parity"] if row[-1] == "pass"]
    assert [row[0] for row in cases] == ["128×96", "117×83", "117×83", "117×83", "96×64"]
    assert page.rows["artifacts"][1][:3] == ["rrin.onnx", "ONNX graph", "fp32"]
    assert "rrin-deploy eval rrin.onnx double.uint8.engine --triplets set" in page.text


@pytest.mark.needs_no_gpu
def test_what_was_not_run_is_listed_with_its_reason(made: Made) -> None:
    page = Read(made.html)
    listed = {(row[0], row[1]): row[2] for row in page.rows["not-run"][1:]}
    assert {part for part, of in listed if of == ENGINE} >= {"parity", "quality", "speed"}
    assert "Not all is known: 1 of 2 artifacts not judged; the others pass." in page.text
    assert ENGINE not in {row[0] for row in page.rows["quality"]}


def test_a_page_is_whole_by_itself(made: Made) -> None:
    page = Read(made.html)
    sources = [value for _, attributes in page.tags for name, value in attributes.items()
               if name in ("src", "href", "srcset", "action", "data")]  # fmt: skip
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "url(" not in made.html
    assert len(made.html) < 1e6
    (policy,) = [each for each in page.named("meta") if "http-equiv" in each]
    assert policy["content"].startswith("default-src 'none'; ")


def test_a_page_can_be_heard_and_walked_through(made: Made) -> None:
    page = Read(made.html)
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"] for image in page.named("img"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [link["href"][1:] for link in page.named("a")]
    targets += [label["for"] for label in page.named("label") if "for" in label]
    targets += [each["aria-labelledby"] for _, each in page.tags if "aria-labelledby" in each]
    assert set(targets) <= set(ids)
    sliders = [each for each in page.named("input") if each["type"] == "range"]
    assert len(sliders) == len(TRIPLETS)
    assert all(each["aria-label"] for each in sliders)


@pytest.mark.parametrize("apart", [False, True])
def test_drawn_from_json_the_figures_are_the_same(made: Made, run: Run, apart: bool) -> None:
    sources = [made.folder / "here.json"]
    if apart:  # as parity, eval and bench print them
        document = made.document
        parts = {"parity": document["parity"][0], "eval": document["quality"],
                 "bench": document["speed"]}  # fmt: skip
        sources = [Path(f"jetson.{name}.json") for name in parts]
        for source, part in zip(sources, parts.values(), strict=True):
            source.write_text(json.dumps(part))
    code, out, err = run("report", *[f"--from={source}" for source in sources])
    assert (code, err) == (0, "")
    assert out.startswith("rrin.onnx: pass\n")
    again, first = Read(Path("report.html").read_text()), Read(made.html)
    for section in ("parity", "quality", "speed", "estimates")[: 3 if apart else 4]:
        assert again.rows[section] == first.rows[section]
    assert not again.named("img")
    assert ["pictures", "all"] in [row[:2] for row in again.rows["not-run"]]


def test_machines_stand_side_by_side(made: Made, run: Run) -> None:
    speed = json.loads(json.dumps(made.document["speed"]))
    speed[0]["contenders"][0]["median_seconds"] = 0.25
    Path("jetson.json").write_text(json.dumps(speed))
    code, out, _ = run("report", "--from", made.folder / "here.json", "--from", "jetson.json")
    assert code == 0
    assert "rrin.onnx on jetson: not judged: parity was not run\n" in out
    rows = Read(Path("report.html").read_text()).rows["speed"]
    (jetson,) = [row for row in rows if row[:2] == ["rrin.onnx", "jetson"]]
    assert jetson[3] == "250 ms"
    assert [row[1] for row in rows if row[0] == "rrin.onnx"] == ["here", "jetson"]


def test_other_devices_are_estimated_as_by_the_command(made: Made, run: Run) -> None:
    page = Read(made.html)
    by_name = {row[0]: row for row in page.rows["estimates"]}
    marks = {"reaches": "✓", "may reach": "?", "does not reach": "✗"}
    assert {device.name for device in DEVICES} <= set(by_name)
    for name in ("RTX 4060", "H100 SXM"):
        code, printed, _ = run("estimate", made.folder / "rrin.onnx", "--device", name,
                               "--size", "64x48", "--json")  # fmt: skip
        assert code == 0
        Path(f"{name.replace(' ', '')}.json").write_text(printed)
        for cell, each in zip(by_name[name][1:4], json.loads(printed)["estimates"], strict=True):
            least, most, best, mark = re.fullmatch(r"(\S+) to (\S+) \((\S+)\) (.)", cell).groups()  # type: ignore[union-attr]
            shown = [float(least), float(most), float(best)]
            assert shown == pytest.approx([*each["expected_fps"], each["best_fps"]], rel=0.005)
            assert mark == marks[each["verdict"]]
    # And what the command printed elsewhere stands in one table, a row each.
    assert run("report", "--from", "RTX4060.json", "--from", "H100SXM.json")[0] == 0
    rows = Read(Path("report.html").read_text()).rows["estimates"]
    assert [row for row in rows if row[0] in ("RTX 4060", "H100 SXM")] == [
        by_name["RTX 4060"], by_name["H100 SXM"],
    ]  # fmt: skip
    assert [ENGINE, "an engine does not say its work"] in [
        [row[1], row[2].partition(";")[0]] for row in page.rows["not-run"]
    ]


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}", "</style></script><script>alert(1)</script>", "a\u202egnp.exe\x1b[2J",
    "javascript:alert(1)", "]]><!--",
]  # fmt: skip


def renamed(value: Any, name: str) -> Any:
    """All texts of a document, and names in it that are no fields, replaced."""
    if isinstance(value, str):
        return name
    if isinstance(value, list):
        return [renamed(each, name) for each in value]
    if isinstance(value, dict):
        # Names of contenders and facts; a field of ours has none of these characters.
        return {
            (name + key if set(key) & set(". ") else key): renamed(each, name)
            for key, each in value.items()
        }
    return value


@pytest.mark.parametrize("name", HOSTILE)
def test_text_of_strangers_stays_text(made: Made, run: Run, name: str) -> None:
    Path("x.json").write_text(json.dumps(renamed(made.document, name)))
    Path("y.json").write_text(json.dumps([renamed(made.document["speed"][0], name)]))
    code, _, err = run("report", "--from", "x.json", "--from", "y.json")
    assert (code, err) == (0, "")
    html = Path("report.html").read_text()
    page, first = Read(html), Read(made.html)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in first.tags}
    known = {attribute for _, attributes in first.tags for attribute in attributes}
    assert {attribute for _, attributes in page.tags for attribute in attributes} <= known
    assert not {"\u202e", "\x1b"} & set(html)
    assert name.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b") in page.text


def test_documents_that_are_damaged_are_refused_in_a_line(made: Made, run: Run) -> None:
    parity, quality = made.document["parity"][0], made.document["quality"]
    speed = made.document["speed"][0]
    estimate = {**made.document["estimates"][0], "format": 1}
    broken = [
        ("nothing", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"passed": NaN}', "is no JSON (NaN, expected finite numbers)"),
        ("3", "holds 3; expected what `parity`, `eval`, `bench`, `estimate` or `report` print"),
        ('{"a": 1}', "holds {'a': 1}; expected"),
        (json.dumps({**parity, "passed": False}), "a verdict that its cases do not bear out"),
        (json.dumps({**parity, "cases": []}), "a verdict that its cases do not bear out"),
        (json.dumps({**parity, "backend": "x" * 2000}), "backend is 'xxx"),
        (json.dumps({**quality, "contenders": {}}), "has no contenders"),
        (json.dumps({**quality, "cases": 7}), "cases is 7"),
        (json.dumps({**quality, "contenders": dict.fromkeys(map(str, range(101)), 1)}),
         "contenders has 101 entries, expected 100 at most"),
        (json.dumps([{**speed, "size": [64]}]), "size is [64], expected 2 items"),
        (json.dumps([{**speed, "size": [64, 1e9]}]), "size [1]"),
        (json.dumps([{**speed, "contenders": [{"name": "x", "kind": "artifact"}]}]),
         "has neither figures nor the failure that explains why"),
        (json.dumps({**estimate, "precision": "fp8"}),
         "has no estimate of its own precision, fp8"),
        (json.dumps({**estimate, "factor": 1}), "factor is 1"),
        (json.dumps({**estimate, "fps": -5}), "fps is -5"),
        (json.dumps({**estimate, "format": 9}), "has estimate format 9; this version reads 1"),
        ("[]", "holds []"),
        (json.dumps({**made.document, "estimates": None}), "parity or estimates are no list"),
        (json.dumps({**made.document, "parity": 5}), "parity or estimates are no list"),
        (json.dumps({**made.document, "findings_format": 2}), "has findings format 2"),
    ]  # fmt: skip
    for content, message in broken:
        Path("x.json").write_text(content)
        code, out, err = run("report", "--from", "x.json", "-o", "x.html")
        assert (code, out) == (1, ""), content[:80]
        assert err.startswith("error: x.json: ")
        assert message in err, err
        assert err.count("\n") == 1
        assert not Path("x.html").exists()


def test_a_newer_field_is_passed_over(made: Made, run: Run) -> None:
    parity = {**made.document["parity"][0], "brand_new": [1]}
    Path("x.json").write_text(json.dumps(parity))
    assert run("report", "--from", "x.json")[0] == 0


@pytest.mark.parametrize(
    ("change", "least", "code", "said"),
    [
        ({}, 5, 0, "rrin.onnx: pass"),
        ({}, 99, 1, " dB, expected 99 dB at least"),
        ({"quality": None}, 5, 3, "not judged: quality was not measured"),
        ({"parity": []}, 5, 3, "not judged: parity was not run"),
        ({"parity": [{"passed": False, "artifact": "rrin.onnx", "error": "NaN"}]}, 5, 1,
         "rrin.onnx: fail: NaN"),
        ({"parity": [{"passed": False, "artifact": "rrin.onnx", "error": "NaN"}]}, None, 0,
         "rrin.onnx: fail: NaN"),
        ({"artifacts": [], "parity": [], "quality": None, "speed": []}, 5, 3, ""),
    ],
)  # fmt: skip
def test_the_gate_never_passes_by_skipping(
    made: Made, run: Run, change: dict[str, Any], least: float | None, code: int, said: str
) -> None:
    alone = {**made.document, "artifacts": made.document["artifacts"][:1], **change}
    Path("x.json").write_text(json.dumps(alone))
    gate = ["--fail-under", least] if least is not None else []
    found, out, _ = run("report", "--from", "x.json", *gate)
    assert found == code
    assert said in out
    assert Path("report.html").exists()


@pytest.mark.needs_no_gpu
def test_an_engine_that_does_not_run_does_not_pass(made: Made, run: Run) -> None:
    options = ("--skip", "speed", "--skip", "quality", "--fail-under", "5")
    code, out, _ = run("report", made.folder / ENGINE, *options)
    assert code == 3
    assert "double.uint8.engine: not judged: parity was not run; quality was not measured\n" in out
    text = Read(Path("report.html").read_text()).text
    assert "it was left out by --skip" in text


def test_usage_is_said_before_long_work(made: Made, run: Run, tmp_path: Path) -> None:
    model = made.folder / "rrin.onnx"
    for arguments, code, said in [
        ((), 2, "give artifacts, or --from"),
        (("--from", made.folder / "here.json", "--json"), 2, "--from alone finds nothing"),
        ((model, "-o", model), 2, "is named as no page"),
        (("--from", made.folder / "here.json", "-o", made.folder / "here.json"), 2, "no page"),
        (("--from", made.folder / "here.json", "--samples", "3"), 2, "are for artifacts"),
        ((model, model), 2, "a file is given twice"),
        ((model, "--skip", "all"), 2, "parity, quality, speed"),
        ((made.folder / "here.json",), 2, "is no artifact"),
        (("none.onnx",), 1, "none.onnx: no such file"),
        ((model, "-o", "none/x.html"), 1, "no such folder"),
        ((model, "--vimeo90k", "none"), 1, "none: no such folder"),
    ]:
        found, out, err = run("report", *arguments)
        assert found == code
        if "--json" in arguments:
            assert said in json.loads(out)["error"]
        else:
            assert out == ""
        assert said in " ".join(err.replace("│", "").split())
    assert not [*tmp_path.iterdir()]
