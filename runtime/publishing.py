"""Publishing outputs: written apart, and moved into place when all are whole.

What was there stays until then, whatever ends the run; see `runtime.partials` on what lies where.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .errors import InputNotFoundError, OutputError, OutputExistsError, RrinError, first_line
from .locks import alone_in
from .partials import MOVING, Partial, contents, settle
from .signals import signals_held

_OF_OUTPUTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Publication:
    """Files that arrive together when the block succeeds, or not at all.

        with Publication("rrin.engine", "rrin.engine.json") as output:
            plan, manifest = output.paths  # to be written to

    Making one checks the targets, so that it can be made before long work and entered after. The
    files appear one after another within milliseconds; a run that is killed right there is finished
    by the next one of the same name, and until then readers know such files by their hashes. A
    target's mode is kept, and a link stays a link. Of two that publish at once the last one to
    finish stays, whole.

    Args:
        targets: names of files; devices, pipes and folders are refused.
        overwrite: False refuses a target that exists, or appears until it is moved into place.
        outdated: files that go when the targets come, such as what an older run left beside them.

    Attributes:
        paths: where to write each, under its target's name, in a folder private to this run.

    Raises:
        InputNotFoundError: a target's folder does not exist.
        OutputExistsError: a target exists.
        OutputError: a target is no regular file, or a mount point; its folder cannot be written to;
            the disk is full; or the last move failed: what was made is kept, as the message says.
    """

    def __init__(
        self, *targets: str | Path, overwrite: bool = True, outdated: Sequence[str | Path] = ()
    ) -> None:
        self.paths: tuple[Path, ...] = ()
        self._targets = [*map(Path, targets)]
        self._places = [*map(_place_of, targets)]
        self._overwrite = overwrite
        self._outdated = {place for place in map(_place_of, outdated) if place.exists()}
        self._partials: list[Partial] = []
        self._check()

    def _check(self) -> None:
        if len(set(self._places)) < len(self._places):
            raise OutputError(f"{self._targets[0]}: is several outputs at once; name each apart")
        for target, place in zip(self._targets, self._places, strict=True):
            _check_folder(place.parent)
            settle(place.parent, place.name)
            kind = _kind(target)
            if kind not in (0, stat.S_IFREG):
                found = "is a folder" if kind == stat.S_IFDIR else "is a device, a pipe or a socket"
                raise OutputError(f"{target}: {found}; expected the name of a file")
            if os.path.ismount(place):
                raise OutputError(f"{target}: is a mount point; mount its folder, or name another")
            if kind and not self._overwrite:
                raise _exists(target)

    @property
    def path(self) -> Path:
        """Where to write the first."""
        return self.paths[0]

    def __enter__(self) -> Publication:
        try:
            self._open()
        except BaseException as error:
            self._remove()
            if isinstance(error, OSError):
                raise OutputError(f"{self._targets[0]}: not written: {_reason(error)}") from error
            raise
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._publish()
            return
        self._remove()
        if isinstance(error, OSError) and not isinstance(error, RrinError) and self._is_of(error):
            raise OutputError(f"{self._targets[0]}: not written: {_reason(error)}") from error

    def write(self, *contents: bytes) -> None:
        """Publish files of these contents, one for each target."""
        with self:
            for path, content in zip(self.paths, contents, strict=True):
                path.write_bytes(content)

    def _open(self) -> None:
        partials: dict[Path, Partial] = {}
        for place in (*self._places, *self._outdated):
            if place.parent not in partials:
                partials[place.parent] = self._claimed(place.parent, place.name)
        self.paths = tuple(partials[place.parent].new / place.name for place in self._places)

    def _claimed(self, folder: Path, name: str) -> Partial:
        self._partials.append(Partial(folder, name))  # first, so that it is removed in any case
        self._partials[-1].claim()
        return self._partials[-1]

    def _publish(self) -> None:
        try:
            with ExitStack() as stack:
                for partial in sorted(self._partials, key=lambda partial: partial.folder):
                    stack.enter_context(alone_in(partial.folder, MOVING))
                with signals_held():
                    self._move()
        except Exception as error:
            for partial in self._partials:
                partial.keep()
            if isinstance(error, OSError):
                raise self._unmoved(error) from error
            raise
        except BaseException:
            self._remove()
            raise
        self._remove()

    def _move(self) -> None:
        try:
            for partial in self._partials:
                partial.prepare(self._outdated)
            for partial in self._partials:
                partial.move(overwrite=self._overwrite)
        except BaseException:
            with ExitStack() as stack:  # one that cannot does not keep the others from it
                for partial in self._partials:
                    stack.callback(partial.roll_back)
            raise

    def _unmoved(self, error: OSError) -> OutputError:
        kept = "what was made is whole, in " + ", ".join(str(each.made) for each in self._partials)
        if isinstance(error, FileExistsError):
            return OutputExistsError(f"{self._targets[0]}: changed meanwhile, and stays; {kept}")
        return OutputError(f"{self._targets[0]}: cannot be moved to: {_reason(error)}; {kept}")

    def _is_of(self, error: OSError) -> bool:
        """Whether an error of the block is one of writing here."""
        folders = tuple(str(partial.path) for partial in self._partials)
        return error.errno in _OF_OUTPUTS or str(error.filename).startswith(folders)

    def _remove(self) -> None:
        with signals_held():
            for partial in self._partials:
                partial.remove()


class FolderPublication(Publication):
    """A folder of files, which appear together when the block succeeds, or not at all.

    A new folder appears at once. One that is there stays itself, so that it may be a mount point or
    the working directory: it is filled in place, file by file within milliseconds, and with
    `overwrite` the files that it held before go. If those have changed meanwhile nothing is moved.

    Args:
        target: the folder; it does not exist, or it is empty.
        overwrite: it may also hold files, and the new ones replace all of them; folders in it stay.

    Attributes:
        path: the empty folder to write to, private to this run.

    Raises:
        InputNotFoundError, OutputError: as `Publication`; or the target is a file.
        OutputExistsError: the target holds anything.
    """

    def __init__(self, target: str | Path, *, overwrite: bool = False) -> None:
        self._held: dict[Path, tuple[int, ...]] | None = None  # by the folder, if there is one
        super().__init__(target, overwrite=overwrite)

    def _check(self) -> None:
        (target,), (place,) = self._targets, self._places
        _check_folder(place.parent, writable=not place.exists())
        settle(place.parent, place.name)
        kind = _kind(target)
        if not kind:
            return
        if kind != stat.S_IFDIR:
            raise OutputError(f"{target}: is a file; expected the name of a folder")
        _check_folder(place)
        settle(place, place.name)
        with alone_in(place, MOVING):
            self._held = _state(place)
        if self._held and not self._overwrite:
            raise _exists(target)
        self._outdated = set(self._held)

    def _open(self) -> None:
        (place,) = self._places
        if self._held is not None:
            self.paths = (self._claimed(place, place.name).new,)
        else:
            self.paths = (self._claimed(place.parent, place.name).new / place.name,)
            self.path.mkdir()

    def _move(self) -> None:
        if self._held is not None and _state(self._places[0]) != self._held:
            raise FileExistsError
        super()._move()


def _state(folder: Path) -> dict[Path, tuple[int, ...]]:
    about = ((path, path.lstat()) for path in contents(folder))
    return {path: (info.st_ino, info.st_size, info.st_mtime_ns) for path, info in about}


def _place_of(target: str | Path) -> Path:
    return Path(os.path.realpath(target))  # a link stays a link


def _kind(target: Path) -> int:
    """Return the type of a file, as `stat` has it; 0 if there is none."""
    try:
        return stat.S_IFMT(target.stat().st_mode)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {_reason(error)}") from error


def _check_folder(folder: Path, *, writable: bool = True) -> None:
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder; make it first")
    if writable and not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: cannot be written to, or is on a read-only disk")


def _exists(target: Path) -> OutputExistsError:
    message = f"{target}: exists; choose another name, or have it overwritten"
    return OutputExistsError(message, remedy=("overwrite", True))


def _reason(error: OSError) -> str:
    return error.strerror or first_line(error)
