"""What strangers wrote is shown as text: it neither steers the terminal nor styles itself."""

import hashlib
import json
from pathlib import Path

import pytest

from rrin_deploy.cli import main
from rrin_deploy.console import out as console
from rrin_deploy.console import say, table
from runtime.manifest import manifest_path
from tests.runtime.test_manifest import MANIFEST

HOSTILE = {
    "escape sequence": ("a\x1b[2Jb", r"a\x1b[2Jb"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "8-bit escape": ("a\x9b2Jb", r"a\x9b2Jb"),
    "delete": ("a\x7fb", r"a\x7fb"),
    "right to left": ("a\u202egpj.exe", r"a\u202egpj.exe"),
    "isolate": ("a\u2066b", r"a\u2066b"),
    "no width": ("a\u200bb", r"a\u200bb"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "no UTF-8": ("a\udcffb", r"a\udcffb"),
    "markup": ("[bold]a[/bold] [/]", "[bold]a[/bold] [/]"),
    "link": ("[link=http://x]a[/link]", "[link=http://x]a[/link]"),
    "emoji code": (":skull:", ":skull:"),
    "letters of other scripts": ("é漢字🎞", "é漢字🎞"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_lines_and_tables_show_foreign_text_as_it_is(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, shown = HOSTILE[case]
    say(text, subject=text)
    rows = table("what", text)
    rows.add_row("name", text)
    console.print(rows)
    out, _ = capsys.readouterr()
    assert out.count(shown) == 4
    assert out.replace("\n", "").isprintable()


def ended(*arguments: str) -> object:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return stopped.value.code


@pytest.mark.parametrize("option", ["--fps", "--factor", "--slow"])
@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-99999999", "1/1e999999", "nan", "inf", "1/0", "9" * 5000, ""]
)
def test_numbers_of_endless_digits_are_refused_at_once(
    text: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("interpolate", "a.mp4", "-o", "b.mp4", option, text) == 2
    err = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "is no number; expected one as in 2, 2.5 or 60000/1001" in err
    assert len(err) < 500


def test_errors_are_one_line_whatever_the_file_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\n\x1b[32mparity: passed\x1b[0m [/red]\r.onnx"
    assert ended("inspect", str(tmp_path / name)) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert r"\x1b[32mparity: passed\x1b[0m [/red]" in err
    assert err.replace("\n", "").isprintable()


def test_inspect_shows_foreign_names_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tmp_path / "foreign.engine"
    engine.write_bytes(b"a plan")
    manifest_path(engine).write_bytes(MANIFEST.to_bytes())
    content = json.loads(manifest_path(engine).read_text())
    content["plan_sha256"] = hashlib.sha256(b"a plan").hexdigest()
    content["options"] = {"[bold]x[/] \x1b[2J": "\u202e[/red]\x07\r\x9b"}
    manifest_path(engine).write_text(json.dumps(content))
    assert ended("inspect", str(engine)) == 0
    out = capsys.readouterr().out
    assert r"options.[bold]x[/] \x1b[2J" in out
    assert r"\u202e[/red]\x07\r\x9b" in out
    assert out.replace("\n", "").isprintable()
    assert ended("inspect", str(engine), "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out)["options"] == content["options"]
    assert out.replace("\n", "").isprintable()
