"""Outputs that arrive whole or not at all, whatever ends or crosses the run."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import partials
from runtime.errors import InputNotFoundError, OutputError, OutputExistsError
from runtime.partials import contents
from runtime.publishing import FolderPublication, Publication
from runtime.signals import ENDING

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and files")


def publish(files: dict[Path, bytes], **options: Any) -> None:
    Publication(*files, **options).write(*files.values())


def listed(folder: Path) -> dict[str, str]:
    """Return all files below a folder, the hidden ones too, with their content."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def program(code: str) -> list[str]:
    """Return a command that runs code with this package's publishing, and none of its libraries."""
    head = f"""
import os, signal, sys, time, types
from pathlib import Path
package = types.ModuleType("runtime")
package.__path__ = [{str(ROOT / "runtime")!r}]
sys.modules["runtime"] = package
from runtime import partials
from runtime.publishing import FolderPublication, Publication
def publish(files):
    Publication(*files).write(*files.values())
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def die_at(count, function):
    # instead of the call of that number, from 0
    def counted(*arguments, **options):
        nonlocal count
        count -= 1
        return die() if count < 0 else function(*arguments, **options)
    return counted
"""
    return [sys.executable, "-c", head + textwrap.dedent(code)]


def killed(code: str) -> None:
    assert subprocess.run(program(code), check=False).returncode == -signal.SIGKILL


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a tmpfs of so many KiB; skips where that is not allowed."""
    points: list[Path] = []

    def mount(name: str, kib: int = 1024) -> Path:
        point = tmp_path / name
        point.mkdir()
        tool = shutil.which("mount")
        asked = [tool or "", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(point)]
        if tool is None or subprocess.run(asked, check=False, capture_output=True).returncode:
            pytest.skip("needs the right to mount")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", "-l", str(point)], check=True)


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with Publication(target) as output:
        output.path.write_text("n")
        assert target.read_text() == "old"
        assert (output.path.suffix, output.path.parent.parent.parent) == (".txt", tmp_path)
        output.path.write_text("new")
    assert listed(tmp_path) == {"x.txt": "new"}


def test_a_failed_block_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fail(error: type[BaseException]) -> None:
        with Publication(tmp_path / "a", tmp_path / "b") as output:
            output.paths[0].write_text("new")
            raise error

    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            fail(error)
    assert listed(tmp_path) == {"a": "old"}
    assert len(list(tmp_path.iterdir())) == 1


@posix
def test_modes_are_kept_and_new_ones_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o640)
    umask = os.umask(0o027)
    try:
        publish({tmp_path / "old": b"", tmp_path / "new": b""})
        with FolderPublication(tmp_path / "folder") as output:
            (output.path / "x").touch()
    finally:
        os.umask(umask)
    expected = {"old": 0o640, "new": 0o640, "folder": 0o750, "folder/x": 0o640}
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in expected} == expected


@posix
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.bin").write_text("old")
    (tmp_path / "link.bin").symlink_to("elsewhere/x.bin")
    publish({tmp_path / "link.bin": b"new", tmp_path / "beside": b"it"})
    assert (tmp_path / "link.bin").is_symlink()
    assert listed(tmp_path / "elsewhere") == {"x.bin": "new"}
    assert (tmp_path / "beside").read_text() == "it"


@posix
def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/x.png").write_text("precious")
    (tmp_path / "precious/owner").touch()
    for name in (".x.partial.png", ".x.png.partial", ".x.png.abcdefgh.partial", ".x.png.a.partial"):
        (tmp_path / name).symlink_to("precious")
    publish({tmp_path / "x.png": b"new"})
    assert listed(tmp_path / "precious") == {"owner": "", "x.png": "precious"}
    assert (tmp_path / "x.png").read_text() == "new"


@posix
def test_devices_pipes_and_folders_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for target in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(OutputError, match="is a device, a pipe or a socket; expected"):
            Publication(target)
    with pytest.raises(OutputError, match="is a folder; expected the name of a file"):
        Publication(tmp_path / "folder")
    with pytest.raises(OutputError, match="is a file; expected the name of a folder"):
        FolderPublication("/dev/null", overwrite=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_what_is_there_or_missing_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(OutputExistsError, match="x: exists"):
        Publication(tmp_path / "x", overwrite=False)
    with pytest.raises(InputNotFoundError, match="none: no such folder"):
        Publication(tmp_path / "none/x")
    with pytest.raises(OutputError, match="several outputs at once"):
        Publication(tmp_path / "y", tmp_path / "y")


@pytest.mark.parametrize("links", [True, False])
def test_what_appeared_meanwhile_is_left_and_what_was_made_is_kept(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse(errno.EPERM))
    target = tmp_path / "x"

    def race() -> None:
        with Publication(target, overwrite=False) as output:
            output.path.write_text("ours")
            target.write_text("theirs")

    with pytest.raises(OutputExistsError, match="what was made is whole, in ") as caught:
        race()
    assert target.read_text() == "theirs"
    lies = Path(str(caught.value).rpartition(" in ")[2]) / "x"
    assert lies.read_text() == "ours"
    publish({target: b"later"})
    assert lies.read_text() == "ours"  # by no later run either
    publish({tmp_path / "y": b"y"}, overwrite=False)
    assert (tmp_path / "y").read_text() == "y"


def refuse(number: int, at: int = 0) -> Callable[..., object]:
    """Return a function that raises an OSError at its call of that number, from 0."""
    calls = 0

    def refusing(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise OSError(number, os.strerror(number))

    return refusing


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EBUSY])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("links", [True, False])
def test_a_failed_move_puts_all_back_and_keeps_what_was_made(
    number: int, at: int, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plan", "manifest", "outdated"):
        (tmp_path / name).write_text("old")
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse(errno.EPERM))
    honest, refusing = Path.replace, refuse(number, at)

    def replace(self: Path, target: Path) -> Path:
        if self.parent.name == "whole":
            refusing()
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    files = {tmp_path / name: b"new" for name in ("plan", "manifest", "golden")}
    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        publish(files, outdated=[tmp_path / "outdated"])
    assert "\n" not in str(caught.value)
    left = {path.name: path.read_text() for path in contents(tmp_path)}
    assert left == dict.fromkeys(("plan", "manifest", "outdated"), "old")
    lies = Path(str(caught.value).rpartition(" in ")[2])
    assert {path.name: path.read_text() for path in lies.iterdir()} == {
        path.name: "new" for path in files
    }


def test_what_is_outdated_goes_with_the_move(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    publish({tmp_path / "a": b"new"}, outdated=[tmp_path / "b", tmp_path / "none"])
    assert listed(tmp_path) == {"a": "new"}


FILES = "publish({Path(folder, name): b'new' for name in ('plan', 'manifest')})"
FOLDER = """
with FolderPublication(Path(folder, 'out'), overwrite=True) as output:
    for name in 'abc':
        (output.path / name).write_text('new')
"""


def whole_or_old(folder: Path, names: str | tuple[str, ...], old: set[str]) -> str:
    found = {name: text for name, text in listed(folder).items() if not name.startswith(".")}
    if found == dict.fromkeys(names, "new"):
        return "new"
    assert found == dict.fromkeys(old, "old")
    return "old"


@posix
@pytest.mark.parametrize("call", ["rename", "replace", "hardlink_to", "unlink", "mkdir", "rmtree"])
def test_killed_at_any_call_of_the_moves_of_several_files(call: str, tmp_path: Path) -> None:
    names, seen = ("plan", "manifest"), set()
    for at in range(8):
        folder = tmp_path / str(at)
        folder.mkdir()
        for name in names:
            (folder / name).write_text("old")
        where = "partials.shutil" if call == "rmtree" else "Path"
        code = f"{where}.{call} = die_at({at}, {where}.{call})\nfolder = {str(folder)!r}\n{FILES}"
        done = subprocess.run(program(code), check=False).returncode
        Publication(folder / "plan")  # the next run comes
        assert [path.name for path in folder.iterdir() if path.name[0] == "."] == []
        seen.add((done, whole_or_old(folder, names, {*names})))
        if done == 0:
            break
    assert (0, "new") in seen
    assert seen - {(0, "new")} <= {(-signal.SIGKILL, "old"), (-signal.SIGKILL, "new")}


@posix
@pytest.mark.parametrize("call", ["rename", "replace", "hardlink_to", "mkdir"])
def test_interrupted_twice_at_any_call_of_the_moves(call: str, tmp_path: Path) -> None:
    names, interrupted = ("plan", "manifest"), False
    for at in range(8):
        folder = tmp_path / str(at)
        folder.mkdir()
        for name in names:
            (folder / name).write_text("old")
        code = f"""
        def interrupt(*arguments):
            os.kill(os.getpid(), signal.SIGINT)
            return called(*arguments)
        calls, called = iter(range(100)), Path.{call}
        Path.{call} = lambda *it: (interrupt if next(calls) in {(at, at + 1)} else called)(*it)
        folder = {str(folder)!r}
        """
        done = subprocess.run(program(code + FILES), check=False, capture_output=True)
        assert done.returncode in (0, -signal.SIGINT), done.stderr
        assert not list(folder.glob(".*"))
        whole_or_old(folder, names, {*names})
        interrupted |= done.returncode != 0
    assert interrupted


@posix
@pytest.mark.parametrize("held", [None, "", "abxy"])
@pytest.mark.parametrize("call", ["rename", "replace", "hardlink_to", "unlink", "mkdir"])
def test_killed_at_any_call_of_the_moves_of_a_folder(
    call: str, held: str | None, tmp_path: Path
) -> None:
    for at in range(12):
        folder = tmp_path / str(at)
        folder.mkdir()
        if held is not None:
            (folder / "out").mkdir()
        for name in held or "":
            (folder / "out" / name).write_text("old")
        code = f"Path.{call} = die_at({at}, Path.{call})\nfolder = {str(folder)!r}\n{FOLDER}"
        done = subprocess.run(program(code), check=False).returncode
        FolderPublication(folder / "out", overwrite=True)
        assert not list(folder.rglob(".*"))
        whole_or_old(folder / "out", "abc", set(held or ""))
        if done == 0:
            assert whole_or_old(folder / "out", "abc", set()) == "new"
            break
    else:
        pytest.fail("never got through")


@posix
def test_killed_while_writing_leaves_the_old_and_the_next_run_clears_up(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    code = f"""
    with Publication({str(tmp_path / "x")!r}) as output:
        output.path.write_text("ne")
        die()
    """
    killed(code)
    assert (tmp_path / "x").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    Publication(tmp_path / "x")
    assert listed(tmp_path) == {"x": "old"}


@posix
def test_of_a_living_run_nothing_is_cleared_away(tmp_path: Path) -> None:
    code = f"""
    with Publication({str(tmp_path / "x")!r}) as output:
        output.path.write_text("theirs")
        print("ready", flush=True)
        sys.stdin.read()
    """
    other = subprocess.Popen(program(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    publish({tmp_path / "x": b"ours"})
    assert (tmp_path / "x").read_text() == "ours"
    other.communicate(timeout=60)
    assert other.returncode == 0
    assert listed(tmp_path) == {"x": "theirs"}


@posix
@pytest.mark.parametrize("number", ENDING)
def test_signals_leave_nothing(number: signal.Signals, tmp_path: Path) -> None:
    code = f"""
    from rrin_deploy.signals import ending_signals
    with ending_signals(), Publication({str(tmp_path / "x")!r}) as output:
        output.path.write_text("ours")
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
    """
    done = subprocess.run(program(code), cwd=ROOT, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (128 + number, b"")
    assert list(tmp_path.iterdir()) == []


@posix
def test_signals_in_the_moves_and_after_them_leave_nothing(tmp_path: Path) -> None:
    codes = set()
    for at in range(0, 60, 3):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "x").write_text("old")
        code = f"""
        from rrin_deploy.signals import ending_signals
        events, armed = iter(range(1000)), False
        def stop(name, _):
            if armed and name.startswith(("os.", "shutil.", "open")) and next(events) == {at}:
                os.kill(os.getpid(), signal.SIGTERM)
        sys.addaudithook(stop)
        with ending_signals(), Publication({str(folder / "x")!r}) as output:
            output.path.write_text("new")
            armed = True
        """
        done = subprocess.run(program(code), cwd=ROOT, check=False, capture_output=True)
        codes.add(done.returncode)
        assert done.stderr == b""
        assert not list(folder.glob(".*")), at
        assert (folder / "x").read_text() in ("old", "new")
    assert codes == {0, 128 + signal.SIGTERM}


TWO_WRITERS = {
    "file": """
        with Publication(target) as output:
            for _ in range(50):
                with output.path.open("a") as file:
                    file.write(who * 500)
        """,
    "new file": """
        with Publication(target, overwrite=False) as output:
            for _ in range(50):
                with output.path.open("a") as file:
                    file.write(who * 500)
        """,
    "pair": """
        publish({Path(target): who.encode() * 25000, Path(target + ".json"): who.encode() * 25000})
        """,
    "new folder": """
        with FolderPublication(target) as output:
            for index in range(30 + 5 * int(who)):
                (output.path / str(index)).write_text(who * 500)
        """,
    "folder": """
        with FolderPublication(target, overwrite=True) as output:
            for index in range(30 + 5 * int(who)):
                (output.path / str(index)).write_text(who * 500)
        """,
}


@posix
def test_a_folder_that_is_cleared_as_one_left_behind_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clearing, claimed = threading.Event(), threading.Event()
    honest_lock, honest_clear = partials.lock, partials._clear

    def clear(path: Path) -> None:
        if not clearing.is_set():
            clearing.set()
            claimed.wait(10)
        honest_clear(path)

    def lock(handle: int, **options: bool) -> bool:
        if threading.current_thread() is threading.main_thread() and not other.ident:
            other.start()  # finds the folder before it is locked, and takes it for a dead run's
            assert clearing.wait(10)
        return honest_lock(handle, **options)

    other = threading.Thread(target=partials.settle, args=(tmp_path, "out"))
    monkeypatch.setattr(partials, "_clear", clear)
    monkeypatch.setattr(partials, "lock", lock)
    partial = partials.Partial(tmp_path, "out")
    partial.claim()
    claimed.set()
    other.join()
    assert partial.new.is_dir()
    partial.remove()
    assert not [*tmp_path.iterdir()]


@posix
@pytest.mark.parametrize("kind", TWO_WRITERS)
def test_two_writers_at_once_end_with_one_whole_output(kind: str, tmp_path: Path) -> None:
    write = textwrap.indent(textwrap.dedent(TWO_WRITERS[kind]), " " * 8)
    code = f"""
who = sys.argv[1]
for target in map(str.strip, sys.stdin):
    try:
{write}
        print("done", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writers = [subprocess.Popen([*program(code), who], text=True, **pipes) for who in "12"]
    for trial in range(20):
        target = tmp_path / str(trial) / "out"
        target.parent.mkdir()
        if kind == "folder":
            target.mkdir()
            for index in range(50):
                (target / str(index)).write_text("old")
        for writer in writers:
            print(target, file=writer.stdin, flush=True)
        ends = [writer.stdout.readline().strip() for writer in writers]
        ours = {path: path.read_text() for path in target.parent.rglob("*") if path.is_file()}
        left = {path for path in ours if ".partial" in str(path)}
        (who,) = {text[0] for path, text in ours.items() if path not in left}
        assert ends[int(who) - 1] == "done"
        folder = "folder" in kind
        assert {ours[path] for path in {*ours} - left} == {who * (500 if folder else 25000)}
        assert len({*ours} - left) == (30 + 5 * int(who) if folder else 1 + (kind == "pair"))
        if kind in ("file", "pair"):
            assert ends == ["done", "done"]
            assert not left
        else:  # the other one was refused, or replaced by one that began after it had ended
            assert "OutputExistsError" in ends or (ends == ["done", "done"] and kind == "folder")
    for writer in writers:
        writer.communicate(timeout=60)


def test_an_empty_folder_is_filled_in_place(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    before = target.stat().st_ino
    with FolderPublication(target) as output:
        (output.path / "x").write_text("new")
        assert contents(target) == []
    assert target.stat().st_ino == before
    assert listed(tmp_path) == {"out/x": "new"}
    with pytest.raises(OutputExistsError, match="out: exists"):
        FolderPublication(target)


def test_the_working_directory_stays_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for names in ("ab", "bc"):
        with FolderPublication(".", overwrite=True) as output:
            for name in names:
                (output.path / name).write_text("new")
        assert Path.cwd().stat().st_ino == tmp_path.stat().st_ino
        assert listed(tmp_path) == dict.fromkeys(names, "new")


@posix
def test_a_mount_point_is_filled_in_place_and_replaced_in_place(
    mounted: Callable[..., Path],
) -> None:
    point = mounted("out")
    for names in ("ab", "bc"):
        with FolderPublication(point, overwrite=names == "bc") as output:
            for name in names:
                (output.path / name).write_text("new")
        assert point.is_mount()
        assert listed(point) == dict.fromkeys(names, "new")
    publish({point / "d": b"new"})
    assert listed(point) == dict.fromkeys("bcd", "new")


def test_a_folder_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "a").write_text("old")

    def race() -> None:
        with FolderPublication(target, overwrite=True) as output:
            (output.path / "a").write_text("new")
            (target / "thesis").write_text("precious")

    with pytest.raises(OutputExistsError, match="what was made is whole, in ") as caught:
        race()
    assert [path.read_text() for path in contents(target)] == ["old", "precious"]
    assert listed(Path(str(caught.value).rpartition(" in ")[2])) == {"a": "new"}


@posix
def test_a_full_disk_is_said_in_one_line_and_leaves_the_old(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk", kib=128)
    (disk / "x").write_text("old")

    def folder() -> None:
        with FolderPublication(disk / "out") as output:
            (output.path / "1").write_text("whole")
            (output.path / "2").write_text("n" * 500_000)

    for name in ("x", "y"):
        with pytest.raises(OutputError, match=f"disk/{name}: not written: No space left") as caught:
            publish({disk / name: b"n" * 500_000})
        assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="disk/a: not written: No space left"):
        publish({disk / "a": b"whole", disk / "b": b"n" * 500_000})
    with pytest.raises(OutputError, match="disk/out: not written: No space left"):
        folder()
    assert listed(disk) == {"x": "old"}
    assert len(list(disk.iterdir())) == 1


@posix
def test_a_read_only_disk_is_said_before_the_work(mounted: Callable[..., Path]) -> None:
    disk = mounted("disk")
    (disk / "x").write_text("old")
    (disk / "out").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for target in ("x", "y"):
        with pytest.raises(OutputError, match="disk: cannot be written to"):
            Publication(disk / target)
    for target in ("out", "new"):
        with pytest.raises(OutputError, match="cannot be written to"):
            FolderPublication(disk / target)
    assert listed(disk) == {"x": "old"}


@posix
def test_a_file_that_is_a_mount_point_is_said_before_the_work(
    mounted: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = mounted("disk") / "x", tmp_path / "x"
    for path in (source, target):
        path.write_text("old")
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    try:
        with pytest.raises(OutputError, match="x: is a mount point; mount its folder, or name"):
            Publication(target)
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)
    assert source.read_text() == "old"


def test_errors_of_inputs_are_not_taken_for_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, Publication(tmp_path / "x"):
        (tmp_path / "input").read_bytes()
    assert not isinstance(caught.value, OutputError)
