"""What an unfinished video is made of, so that no other one's segments are taken for its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av

from media.encoding import Encoding
from media.options import VideoOptions
from media.schedule import rational
from runtime.records import Between, Matching, Sha256

_ENDS = 2**20  # bytes at either end of a source that are hashed
_Line = Annotated[str, Matching(r"[ -~]{0,300}", "a line of ASCII")]


@dataclass(frozen=True)
class Source:
    """Which file is the source.

    Attributes:
        size: bytes.
        mtime_ns: when it was changed.
        ends: the hash of its beginning and its end.
    """

    size: Annotated[int, Between(0, 2**62)]
    mtime_ns: Annotated[int, Between(-(2**63), 2**63)]
    ends: Sha256

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at a file."""
        about, digest = path.stat(), hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, about.st_size - _ENDS))
            digest.update(file.read(_ENDS))
        return cls(about.st_size, about.st_mtime_ns, digest.hexdigest())


@dataclass(frozen=True)
class Identity:
    """All that a segment depends on, but for which one it is.

    Attributes:
        artifact: see `Interpolator.identity`.
        options: those that were given, as text, and the output's suffix.
        libraries: what decodes and encodes.
    """

    source: Source
    artifact: _Line
    options: Mapping[str, str]
    libraries: _Line

    @classmethod
    def of(cls, source: Path, artifact: str, options: VideoOptions, output: Path) -> Identity:
        """Say what is to be made."""
        exact = ("factor", "fps", "slow", "start", "end")
        others = ("stream", "deinterlace", "cut_threshold", "segment")
        numbers = {name: getattr(options, name) for name in exact}
        given = {
            **{name: rational(name, value) for name, value in numbers.items() if value is not None},
            **{name: getattr(options, name) for name in others},
            **{name: getattr(options.encoding, name) for name in Encoding.__dataclass_fields__},
            "suffix": output.suffix.lower(),
        }
        chosen = {name: str(value) for name, value in given.items()}
        return cls(Source.of(source), artifact, chosen, libraries())

    def difference(self, other: Identity) -> str:
        """Say in what another one differs; empty where it does not."""
        if self.source != other.source:
            return "another source, or one that was changed since"
        if self.artifact != other.artifact:
            return "another artifact, backend, tiling or skip_still"
        if self.libraries != other.libraries:
            return f"other libraries ({other.libraries})"
        names = self.options.keys() | other.options.keys()
        differing = {
            name: other.options.get(name, "none")
            for name in sorted(names)
            if self.options.get(name, "none") != other.options.get(name, "none")
        }
        listed = ", ".join(f"{name} {value}" for name, value in differing.items())
        return f"other options ({listed})" if differing else ""


def libraries() -> str:
    """Return the versions of what decodes and encodes here."""
    versions = (
        f"{name} {'.'.join(map(str, version))}"
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    )
    return ", ".join((f"PyAV {av.__version__}", *versions))
