"""What is not yet an output: a private folder for it beside its target, and the moves into place.

    .NAME.RANDOM.partial/   of one run, closed to other users
        owner               locked while the run lives
        new/                what is being written, under its final names
        whole/              that folder's name from when all is written and the moves begin
        old/, stale/        what is replaced and what goes, to come back where a move fails

A run that dies before its moves leaves what was there, and the next one clears its folder away; one
that dies between them is finished by the next one. Nothing whole is ever cleared away.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .locks import alone_in, lock

_SUFFIX = ".partial"
MOVING = f".moving{_SUFFIX}"  # what runs that are about to move lock
_LONGEST_NAME = 100  # of the target's in the folder's, which file systems limit to 255 bytes


class Partial:
    """The private folder of one run for outputs that go to one folder.

    Attributes:
        folder: where the outputs go.
        path: the private folder, once `claim` has made it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        # Chosen before anything is made, so that `remove` finds it, whenever a signal comes.
        self.path = _fresh(folder, name)
        self._owner: int | None = None
        self._name = name
        self._names: list[str] = []

    def claim(self) -> None:
        """Make the private folder, and lock it.

        Raises:
            OSError: the folder cannot be written to.
        """
        while True:
            self.path.mkdir(0o700)
            # Another run that came before the lock has taken it for a dead one's.
            with suppress(FileNotFoundError, BlockingIOError):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
                self._owner = os.open(self.path / "owner", flags, 0o600)
                lock(self._owner)
                self.new.mkdir()
                return
            self._release()
            self.path = _fresh(self.folder, self._name)

    @property
    def new(self) -> Path:
        """Where outputs are written."""
        return self.path / "new"

    @property
    def made(self) -> Path:
        """Where outputs that were not moved are found."""
        whole = self.path / "whole"
        return whole if whole.exists() else self.new

    def prepare(self, outdated: Iterable[Path]) -> None:
        """Keep what will be replaced, and what is outdated and will go; then call all whole."""
        names = sorted(_names(self.new))
        stale = {path.name for path in outdated if path.parent == self.folder} - {*names}
        for kind, going in (("old", names), ("stale", stale)):
            kept = self.path / kind
            kept.mkdir()
            for name in going:
                if (self.folder / name).is_file():
                    _keep(self.folder / name, kept / name, copy=len(names) > 1 or kind == "stale")
        for name in names:
            if (self.folder / name).is_file():
                shutil.copymode(self.folder / name, self.new / name)
        self.new.rename(self.path / "whole")
        self._names = names

    def move(self, *, overwrite: bool) -> None:
        """Move all into place.

        Raises:
            FileExistsError: something is there, and may not be replaced.
        """
        for name in self._names:
            _place(self.path / "whole" / name, self.folder / name, overwrite=overwrite)
        for name in _names(self.path / "stale"):
            (self.folder / name).unlink(missing_ok=True)

    def roll_back(self) -> None:
        """Put all back as it was before `move`, however far that has come."""
        for name in self._names:
            made, target = self.path / "whole" / name, self.folder / name
            if not made.exists():
                target.replace(made)
            elif _same(made, target):
                target.unlink()
        for kept in (self.path / "old", self.path / "stale"):
            for name in _names(kept):
                (kept / name).replace(self.folder / name)

    def keep(self) -> None:
        """Leave it to the user: nobody clears away or moves what has no owner."""
        self._release()
        with suppress(OSError):
            (self.path / "owner").unlink()

    def remove(self) -> None:
        """Clear it away."""
        self._release()  # first, for Windows deletes no open file
        _clear(self.path)

    def _release(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            os.close(owner)


def _fresh(folder: Path, name: str) -> Path:
    """Return a name that is random, so that nobody can have planted a link under it."""
    return folder / f"{_prefix(name)}{secrets.token_hex(8)}{_SUFFIX}"


def contents(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, without what runs are writing there."""
    return sorted(
        path
        for path in folder.iterdir()
        if not (path.name.startswith(".") and path.name.endswith(_SUFFIX))
    )


def settle(folder: Path, name: str) -> None:
    """Finish what a run that died between its moves had begun; clear away what others left."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(_prefix(name)) and path.name.endswith(_SUFFIX):
                with suppress(OSError):
                    _settle(path)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def _prefix(name: str) -> str:
    return f".{name[:_LONGEST_NAME]}."


def _settle(partial: Path) -> None:
    about = partial.lstat()
    if not stat.S_ISDIR(about.st_mode) or _is_of_another_user(about):
        return
    try:
        owner = os.open(partial / "owner", os.O_RDWR)
    except FileNotFoundError:
        partial.rmdir()  # its run died at once, if it is empty
        return
    try:
        dead = lock(owner)
        if dead and (partial / "whole").is_dir():
            with alone_in(partial.parent, MOVING):
                dead = _finish(partial)
        if dead:  # while it is locked, or its run may just be about to lock it
            _clear(partial)
    finally:
        os.close(owner)
    if dead:  # what Windows keeps of it, which deletes no open file, unless a run has it now
        with suppress(OSError):
            (partial / "owner").unlink(missing_ok=True)
            partial.rmdir()


def _clear(partial: Path) -> None:
    """Delete a private folder, its owner last: what has none is nobody's to clear away."""
    with suppress(OSError):
        (partial / "whole").rename(partial / "rest")  # what is half deleted is not to be finished
    for name in ("rest", "new", "old", "stale"):
        shutil.rmtree(partial / name, ignore_errors=True)
    shutil.rmtree(partial, ignore_errors=True)


def _is_of_another_user(about: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and about.st_uid != os.geteuid()


def _finish(partial: Path) -> bool:
    """Make the moves that are left; False, and nothing moved, if something new is in their way."""
    moves = [(made, partial.parent / made.name) for made in sorted((partial / "whole").iterdir())]
    for made, target in moves:
        free = not os.path.lexists(target) or _same(target, made)
        if not free and not _same(target, partial / "old" / made.name):
            return False
    for made, target in moves:
        if _same(made, target):
            made.unlink()
        else:
            made.replace(target)
    for kept in (partial / "stale").iterdir():
        if _same(kept, partial.parent / kept.name):
            (partial.parent / kept.name).unlink()
    return True


def _keep(target: Path, kept: Path, *, copy: bool) -> None:
    try:
        kept.hardlink_to(target)
    except OSError:  # a file system without links
        if copy:
            shutil.copy2(target, kept)


def _place(made: Path, target: Path, *, overwrite: bool) -> None:
    if made.is_dir():
        try:
            made.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise FileExistsError(error.errno, error.strerror) from error
            raise
    elif overwrite:
        made.replace(target)
    else:
        try:
            target.hardlink_to(made)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            try:
                made.replace(target)
            except OSError:
                target.unlink()
                raise
        else:
            made.unlink()


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
