import dataclasses
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import ArtifactError, InputNotFoundError, check_parity
from runtime.bundled import BUNDLED_MODEL
from runtime.errors import OptionError, RrinError
from runtime.golden import Golden, Measured, golden_beside
from runtime.graph_check import read_checked
from runtime.interpolator import Interpolator
from runtime.limits import Limits, limits_of
from runtime.parity import judge, psnr_db
from tests.conftest import Exporter
from tests.marks import others_long

GOLDEN = golden_beside(BUNDLED_MODEL)


def shifted(by: float) -> Golden:
    """The bundled golden file with its expected outputs moved."""
    golden = Golden.load(GOLDEN)
    cases = [dataclasses.replace(case, frames=case.frames * (1 - by)) for case in golden.cases]
    return dataclasses.replace(golden, cases=tuple(cases))


def test_bundled_model_passes() -> None:
    report = check_parity(BUNDLED_MODEL)
    assert report.passed
    assert len(report.cases) == 5
    assert max(case.max_abs_error for case in report.cases) < 2e-5


def test_a_difference_of_a_thousandth_fails() -> None:
    report = check_parity(BUNDLED_MODEL, golden=shifted(1e-3))
    assert not report.passed
    assert 5e-4 < max(case.max_abs_error for case in report.cases) < 2e-3


def test_uint8_artifact_may_be_off_by_rounding_but_no_more(exported: Exporter) -> None:
    path = exported(io="uint8")
    assert check_parity(path).passed
    golden = Golden.load(golden_beside(path))
    cases = tuple(
        dataclasses.replace(case, frames=np.clip(case.frames + 1 / 255, 0, 1))
        for case in golden.cases
    )
    report = check_parity(path, dataclasses.replace(golden, cases=cases))
    assert not report.passed  # every pixel off by one level is no rounding


def test_a_golden_file_without_cases_does_not_pass() -> None:
    assert not check_parity(
        BUNDLED_MODEL, golden=dataclasses.replace(Golden.load(GOLDEN), cases=())
    ).passed


def test_report_is_json() -> None:
    report = json.loads(json.dumps(check_parity(BUNDLED_MODEL).to_dict()))
    assert report["passed"] is True
    assert report["cases"][0]["width"] == 128


@pytest.mark.parametrize("change", [{"checkpoint_sha256": "0" * 64}, {"align_corners": True}])
def test_golden_file_of_another_model_is_refused(change: dict[str, object]) -> None:
    golden = dataclasses.replace(Golden.load(GOLDEN), **change)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="use the golden file that was exported with it"):
        check_parity(BUNDLED_MODEL, golden=golden)


def test_golden_file_survives_its_file(tmp_path: Path) -> None:
    golden = Golden.load(GOLDEN)
    measured = tuple(
        dataclasses.replace(
            case, reference_error=1e-6, measured=(Measured(0.25, 48.5),) * len(case.t)
        )
        for case in golden.cases
    )
    golden = dataclasses.replace(golden, cases=measured, measured_on="int8 openvino")
    (tmp_path / "copy.golden.npz").write_bytes(golden.to_bytes())
    copy = Golden.load(tmp_path / "copy.golden.npz")
    assert copy.measured_on == "int8 openvino"
    for ours, theirs in zip(copy.cases, golden.cases, strict=True):
        np.testing.assert_equal(vars(ours), vars(theirs))


def rewritten(path: Path, method: int = zipfile.ZIP_DEFLATED, **changes: Any) -> Path:
    """The bundled golden file with other content under some names, packed anew."""
    with zipfile.ZipFile(GOLDEN) as source, zipfile.ZipFile(path, "w", method) as target:
        for name in source.namelist():
            content = changes.get(name.split(".")[0], source.read(name))
            if isinstance(content, np.ndarray):
                file = io.BytesIO()
                np.save(file, content)
                content = file.getvalue()
            target.writestr(name, content)
    return path


def about(**changes: Any) -> bytes:
    """The bundled golden file's header with some of its fields changed."""
    with zipfile.ZipFile(GOLDEN) as archive:
        content = json.loads(archive.read("about.json"))
    first = content["cases"][0]
    first.update({name: changes.pop(name) for name in list(changes) if name in first})
    return json.dumps(content | changes).encode()


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


DAMAGED: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("golden"),
    "truncated": lambda path: path.write_bytes(GOLDEN.read_bytes()[:50_000]),
    "foreign": lambda path: np.savez(path, a=np.zeros(3)),
    "objects": lambda path: rewritten(path, t_0=np.array([{"a": 1}], dtype=object)),
    "nested": lambda path: rewritten(path, about=b"[" * 30_000),
    "huge number": lambda path: rewritten(path, about=about(times=10**400)),
    "infinite error": lambda path: rewritten(path, about=about(reference_error=float("inf"))),
    "negative error": lambda path: rewritten(path, about=about(reference_error=-1)),
    "no cases": lambda path: rewritten(path, about=about(cases=[])),
    "a header of megabytes": lambda path: rewritten(path, about=b" " * 2**20),
    "measured on nothing": lambda path: rewritten(
        path, about=about(measured=[{"max_abs_error": 1, "psnr_db": 0}])
    ),
    "not measured on something": lambda path: rewritten(
        path, about=about(measured_on="int8 openvino")
    ),
    "lzma": lambda path: rewritten(path, zipfile.ZIP_LZMA),
    "nested npy header": lambda path: rewritten(path, t_0=npy("(" * 9000)),
    "an npy header of petabytes": lambda path: rewritten(
        path, t_0=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**15,), }")
    ),
    "an npy array of petabytes": lambda path: rewritten(
        path,
        t_0=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"),
    ),
    "a NaN in the reference": lambda path: rewritten(
        path, frames_0=np.full((1, 96, 128, 3), np.nan, np.float32)
    ),
    "too many times": lambda path: rewritten(
        path,
        about=about(width=1, height=1, times=20_000),
        frame0_0=np.zeros((1, 1, 3), np.uint8),
        frame1_0=np.zeros((1, 1, 3), np.uint8),
        t_0=np.full(20_000, 0.5, np.float32),
        frames_0=np.zeros((20_000, 1, 1, 3), np.float32),
    ),
    "thin frames that padding makes large": lambda path: rewritten(
        path,
        about=about(width=16_384, height=1, times=5),
        frame0_0=np.zeros((1, 16_384, 3), np.uint8),
        frame1_0=np.zeros((1, 16_384, 3), np.uint8),
        t_0=np.full(5, 0.5, np.float32),
        frames_0=np.zeros((5, 1, 16_384, 3), np.float32),
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_golden_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.golden.npz"
    DAMAGED[kind](path)
    with pytest.raises(ArtifactError, match="not a golden file, or a damaged one") as caught:
        Golden.load(path)
    assert "\n" not in str(caught.value)


def test_repacking_alone_does_no_harm(tmp_path: Path) -> None:
    assert check_parity(
        BUNDLED_MODEL, golden=rewritten(tmp_path / "x.golden.npz", about=about())
    ).passed


def test_encrypted_golden_file(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "x.golden.npz")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of the first entry
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not a golden file"):
        Golden.load(path)


def test_golden_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.golden.npz"
    np.savez_compressed(path, frames_0=np.zeros(2**27, np.uint8))
    assert path.stat().st_size < 2**20
    with pytest.raises(ArtifactError, match="unpacks to"):
        Golden.load(path)


def test_golden_file_that_holds_more_than_its_directory_says_is_not_unpacked(
    tmp_path: Path,
) -> None:
    name, claimed = b"about.json", 100
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(2**26)) + packer.flush()
    sizes = struct.pack("<3I", 0, len(data), claimed)
    common = struct.pack("<3H2H", 20, 0, 8, 0, 0x21) + sizes + struct.pack("<2H", len(name), 0)
    entry = b"PK\3\4" + common + name + data
    directory = b"PK\1\2" + struct.pack("<H", 20) + common + bytes(14) + name
    end = struct.pack("<4H2IH", 0, 0, 1, 1, len(directory), len(entry), 0)
    path = tmp_path / "bomb.golden.npz"
    path.write_bytes(entry + directory + b"PK\5\6" + end)
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError, match="not a golden file"):
            Golden.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_missing_golden_file(tmp_path: Path) -> None:
    model = tmp_path / "rrin.onnx"
    model.write_bytes(BUNDLED_MODEL.read_bytes())
    with pytest.raises(
        InputNotFoundError, match=r"rrin\.golden\.npz: no such file; expected a golden file"
    ):
        check_parity(model)


@pytest.mark.parametrize(
    ("artifact", "golden"),
    [
        ("a/rrin.onnx", "a/rrin.golden.npz"),
        ("a/rrin.fp16.engine", "a/rrin.fp16.golden.npz"),
        ("w32.ov.int8.onnx", "w32.ov.int8.golden.npz"),
        ("v1.0.onnx", "v1.0.golden.npz"),
    ],
)
def test_every_artifact_has_a_golden_file_of_its_own(artifact: str, golden: str) -> None:
    assert golden_beside(artifact) == Path(golden)


def test_psnr_of_a_known_error() -> None:
    assert psnr_db(np.zeros(10), np.full(10, 0.1)) == pytest.approx(20)
    assert psnr_db(np.ones(3), np.ones(3)) == float("inf")


def one_wrong_pixel(by: float) -> Golden:
    golden = Golden.load(GOLDEN)
    frames = golden.cases[0].frames.copy()
    frames[0, 5, 5, 0] += by if frames[0, 5, 5, 0] < 0.5 else -by
    case = dataclasses.replace(golden.cases[0], frames=frames)
    return dataclasses.replace(golden, cases=(case,))


def test_each_limit_fails_alone() -> None:
    (case,) = check_parity(BUNDLED_MODEL, golden=one_wrong_pixel(5e-3)).cases
    assert not case.passed
    assert case.psnr_db is not None
    assert case.psnr_db > case.limits.min_psnr_db
    assert case.failure == "an error of 0.005, expected 0.0001 at most"
    assert (case.width, case.height) == (128, 96)

    # All pixels off by less than a limit of 5e-4, at the same limit of noise.
    noise = np.random.default_rng(0).uniform(-4.5e-4, 4.5e-4, (1, 96, 128, 3))
    golden = Golden.load(GOLDEN)
    frames = np.clip(golden.cases[0].frames + noise, 0, 1).astype(np.float32)
    noisy = dataclasses.replace(golden.cases[0], frames=frames)
    (case,) = check_parity(
        BUNDLED_MODEL, golden=dataclasses.replace(golden, cases=(noisy,)), max_error=5e-4
    ).cases
    assert not case.passed
    assert case.max_abs_error < case.limits.max_abs_error
    assert case.failure == f"{case.psnr_db:.2f} dB, expected 78.10 dB at least"


def test_golden_files_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    golden = Golden.load(GOLDEN)
    case = golden.cases[0]
    for change in (
        {"t": np.zeros_like(case.t)},
        {"frame1": case.frame1[:5]},
        {"frames": case.frames.astype(np.float64)},
    ):
        changed = dataclasses.replace(golden, cases=(dataclasses.replace(case, **change),))
        (tmp_path / "x.golden.npz").write_bytes(changed.to_bytes())
        with pytest.raises(ArtifactError, match="not a golden file"):
            Golden.load(tmp_path / "x.golden.npz")


def with_reference_error(golden: Golden, error: float) -> Golden:
    cases = (dataclasses.replace(case, reference_error=error) for case in golden.cases)
    return dataclasses.replace(golden, cases=tuple(cases))


def test_fp32_limits_follow_from_the_references_own_error() -> None:
    moved = shifted(1e-3)
    assert not check_parity(BUNDLED_MODEL, golden=with_reference_error(moved, 1e-5)).passed
    report = check_parity(BUNDLED_MODEL, golden=with_reference_error(moved, 5e-4))
    assert report.passed
    assert report.cases[0].limits.max_abs_error == pytest.approx(5e-3)
    with pytest.raises(ArtifactError, match=r"the PyTorch reference itself errs by 1\.0e-02"):
        check_parity(BUNDLED_MODEL, golden=with_reference_error(moved, 1e-2))


def test_absolute_limits_replace_the_derived_ones() -> None:
    assert not check_parity(BUNDLED_MODEL, min_psnr=199).passed
    assert not check_parity(BUNDLED_MODEL, max_error=0).passed
    assert not check_parity(
        BUNDLED_MODEL, golden=shifted(1e-3), max_error=1e-2
    ).passed  # its PSNR still fails
    report = check_parity(BUNDLED_MODEL, golden=shifted(1e-3), max_error=1e-2, min_psnr=50)
    assert report.passed
    assert report.artifact == str(BUNDLED_MODEL)
    assert {(case.limits.max_abs_error, case.limits.min_psnr_db) for case in report.cases} == {
        (1e-2, 50)
    }
    assert report.limits_from.endswith("max_abs_error as given; min_psnr_db as given")
    for limit in (-1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match=r"min_psnr is .*expected a finite number"):
            check_parity(BUNDLED_MODEL, min_psnr=limit)


@pytest.mark.parametrize("value", others_long([np.nan, np.inf, -np.inf]))
def test_one_value_that_is_not_finite_fails_whatever_the_limits(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Interpolator.__call__

    def broken(self: Interpolator, *arguments: Any) -> Any:
        made = honest(self, *arguments).copy()
        made[0, 5, 7, 1] = value
        return made

    monkeypatch.setattr(Interpolator, "__call__", broken)
    report = check_parity(BUNDLED_MODEL, max_error=10, min_psnr=0)
    assert not report.passed
    assert report.cases[0].not_finite == 1
    json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_a_reference_with_nan_is_refused() -> None:
    golden = Golden.load(GOLDEN)
    frames = golden.cases[0].frames.copy()
    frames[0, 0, 0, 0] = np.nan
    case = dataclasses.replace(golden.cases[0], frames=frames)
    with pytest.raises(
        ArtifactError, match="golden outputs cannot be used: case 0: reference frames"
    ):
        check_parity(BUNDLED_MODEL, golden=dataclasses.replace(golden, cases=(case,)))


def test_uint8_artifact_may_round_ties_either_way(exported: Exporter) -> None:
    path = exported(io="uint8")
    (case, *_) = Golden.load(golden_beside(path)).cases
    with Interpolator(path) as interpolate:
        made = interpolate(case.frame0, case.frame1, case.t)
    for share, verdict in ((0.5, True), (0.55, False)):  # levels between the truth and the byte
        frames = (made.clip(1, 254) + share).astype(np.float32) / np.float32(255)
        expected = np.where((made > 0) & (made < 255), frames, made / np.float32(255))
        tied = dataclasses.replace(case, frames=expected.astype(np.float32))
        golden = dataclasses.replace(Golden.load(golden_beside(path)), cases=(tied,))
        assert check_parity(path, golden).passed is verdict


def test_worst_case_is_that_which_takes_most_of_its_limits() -> None:
    assert check_parity(BUNDLED_MODEL, max_error=0).worst.failure.startswith("an error of ")
    report = check_parity(BUNDLED_MODEL, min_psnr=199)
    psnrs = [case.psnr_db for case in report.cases if case.psnr_db is not None]
    assert report.worst.psnr_db == min(psnrs)
    assert report.worst.failure == f"{min(psnrs):.2f} dB, expected 199.00 dB at least"


@pytest.mark.parametrize("measured_on", ["", "fp32 any"])
def test_golden_content_says_once_whether_it_was_measured(measured_on: str) -> None:
    golden = Golden.load(GOLDEN)
    cases = [
        dataclasses.replace(case, measured=(Measured(1, 0),) * len(case.t) * (not measured_on))
        for case in golden.cases
    ]
    changed = dataclasses.replace(golden, cases=tuple(cases), measured_on=measured_on)
    with pytest.raises(ArtifactError, match=r"case 0: \d measurements on"):
        check_parity(BUNDLED_MODEL, golden=changed)


def test_a_bad_measurement_is_no_licence() -> None:
    golden = Golden.load(GOLDEN)
    cases = [
        dataclasses.replace(case, measured=(Measured(1, 0),) * len(case.t)) for case in golden.cases
    ]
    golden = dataclasses.replace(golden, cases=tuple(cases), measured_on="fp16 tensorrt")
    for precision, widest in (("fp16", Limits(0.2, 40)), ("int8", Limits(1, 25))):
        _, limits = limits_of(precision, golden)
        assert {each for case in limits for each in case} == {widest}


def test_report_and_messages_take_the_name_that_is_given() -> None:
    golden = Golden.load(GOLDEN)
    with Interpolator() as interpolate:
        assert judge(interpolate, golden, "mine.onnx").artifact == "mine.onnx"
        with pytest.raises(ArtifactError, match=r"^mine\.onnx: on case 0 the PyTorch reference"):
            judge(interpolate, with_reference_error(golden, 0.01), "mine.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"artifact": 3}, "artifact is 3; expected a path"),
        ({"artifact": ""}, "artifact is ''; expected a path"),
        ({"golden": 3}, "golden is 3; expected a path"),
        ({"max_error": "a"}, "max_error is a; expected a finite number, 0 or more"),
        ({"min_psnr": float("nan")}, "min_psnr is nan; expected a finite number"),
    ],
)
def test_options_that_are_none(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_parity(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("rrin.fp16.engine.json", b'{"format_version": 1}', "JSON, as manifests and ranges files"),
        ("c.pth", b"PK\x03\x04", "a zip archive, as checkpoints"),
        ("old.pth", b"\x80\x02", "a pickle, as older checkpoints"),
    ],
)
def test_other_kinds_of_files_are_named(name: str, start: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(start)
    with pytest.raises(ArtifactError, match=f"{name}: is {kind}.*; expected an ONNX file"):
        check_parity(path)


def test_an_engine_is_one_in_upper_case_too(tmp_path: Path) -> None:
    engine = tmp_path / "E.ENGINE"
    engine.write_bytes(b"plan")
    assert golden_beside(engine).name == "E.golden.npz"
    with pytest.raises(RrinError) as caught:  # its manifest is missing, or here PyCUDA is
        check_parity(engine)
    assert "ONNX" not in str(caught.value)
    with pytest.raises(ArtifactError, match="is a TensorRT engine; expected an ONNX file"):
        read_checked(engine)


def test_limits_of_another_build_are_refused() -> None:
    golden = dataclasses.replace(Golden.load(GOLDEN), measured_on="int8 openvino")
    with pytest.raises(ArtifactError, match="measured on a build in int8 openvino"):
        check_parity(BUNDLED_MODEL, golden=golden)
