"""Damage to JSON, to lists of names, and to folders, which are fuzzed as one JSON file each."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.mutators import mutated
from tests.fuzz.mutators.raw import number

_NAMES = (
    *("", ".", "..", "../..", "/", "/etc/passwd", "a" * 300, "a/" * 3000, "\0", "a\0b", "\n", " "),
    *("im1.png", "im1.PNG", "im²", "%d", "%05d.png", "-o", "~", "$HOME", "a:b", "file:a", "\\"),
    *("\ud800", "\u202e", "\x1b[31m", "[red]", "{}", "{0.x}", "CON", "é", "\U0001f600", "1" * 5000),
)


def strange_text(rng: Random) -> str:
    """Return a name that breaks things."""
    return rng.choice(_NAMES)


def strange_value(rng: Random) -> Any:
    """Return a value that JSON and Python can write and few expect."""
    match rng.randrange(8):
        case 0 | 1:
            return number(rng)
        case 2:
            return rng.choice((0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), -1e999))
        case 3:
            return rng.choice((None, True, False, [], {}, [[]], {"": None}, [None, "a"]))
        case 4:
            return rng.choice(("0", "True", "nan", "1e5", "٣", "1_0", "0x10", strange_text(rng)))
        case 5:
            return nested(rng.choice((2, 50, 900, 3000)), rng.random() < 0.5)
        case 6:
            return [number(rng)] * rng.choice((1, 2, 3, 5, 1000))
        case _:
            return 10 ** rng.choice((20, 300, 400, 4000))


def nested(depth: int, mapping: bool) -> Any:
    """Return a list or a mapping in a list or a mapping, and so on."""
    value: Any = 0
    for _ in range(depth):
        value = {"a": value} if mapping else [value]
    return value


def changed(rng: Random, root: Any, value: Callable[[Random], Any] = strange_value) -> Any:
    """Change a value anywhere in a tree of dicts and lists: replaced, removed, renamed, added."""
    holders: list[Any] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list) and node:
            holders.append(node)
            waiting += node.values() if isinstance(node, dict) else node
    if not holders or rng.random() < 0.02:
        return value(rng)
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1:
            other = rng.choice(holders)
            holder[key] = rng.choice(list(other.values() if isinstance(other, dict) else other))
        case 2 if isinstance(holder, dict):
            holder[strange_text(rng)] = holder.pop(key)
        case 2:
            holder[key:key] = [holder[key]] * rng.choice((1, 2, 1000))
        case 3 if isinstance(holder, dict):
            holder[strange_text(rng)] = value(rng)
        case _:
            holder[key] = value(rng)
    return root


def json_value(rng: Random, content: bytes) -> bytes:
    """Change a value of a JSON file."""
    return json.dumps(changed(rng, json.loads(content))).encode()


def json_text(rng: Random, content: bytes) -> bytes:
    """Change how a JSON file is written: its encoding, its depth, keys twice, numbers too long."""
    deep = rng.choice((b"[", b'{"a":')) * rng.choice((100, 2000, 10**5, 10**6))
    return rng.choice(
        (
            lambda: b"\xef\xbb\xbf" + content,
            lambda: content.decode("utf-8", "replace").encode("utf-16"),
            lambda: content.replace(b"{", b'{"format_version": 1, "format_version": 2, ', 1),
            lambda: content.replace(b": ", b": " + deep, 1),
            lambda: content.replace(b"1", b"1" * rng.choice((20, 400, 5000)), 1),
            lambda: content.replace(b"0", b"\\ud800\xff", 1),
            lambda: deep,
            lambda: content + content,
            lambda: b"",
        )
    )()


def listing(rng: Random, content: bytes) -> bytes:
    """Change a line of a list of names."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    lines[rng.randrange(len(lines))] = rng.choice((lines[0], strange_text(rng))) + strange_text(rng)
    text = rng.choice(("\n", "\n", "\r\n", "\0", "\x85")).join(lines)
    return text.encode("utf-8", "surrogatepass")


def packed(files: dict[str, bytes]) -> bytes:
    """Write a folder as JSON: contents in base 64 by path; None makes a folder of that name."""
    return json.dumps(
        {name: base64.b64encode(content).decode() for name, content in files.items()}
    ).encode()


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Write out a packed folder, so far as its names can be written and stay inside."""
    with TemporaryDirectory(dir=path.parent) as folder:
        files: dict[str, str | None] = {}
        with contextlib.suppress(ValueError, TypeError):
            files = dict(json.loads(path.read_bytes()))
        for name, content in files.items():
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts:
                continue
            with contextlib.suppress(OSError, ValueError, TypeError):
                target = Path(folder) / place
                (target if content is None else target.parent).mkdir(parents=True, exist_ok=True)
                if content is not None:
                    target.write_bytes(base64.b64decode(content))
        yield Path(folder)


def folder(rng: Random, content: bytes) -> bytes:
    """Change a file of a packed folder, or its name."""
    files = json.loads(content)
    name, other = (rng.choice(sorted(files)) for _ in range(2))
    inside = base64.b64decode(files[name] or "")
    match rng.randrange(6):
        case 0:
            del files[name]
        case 1:
            parts = name.split("/")
            parts[rng.randrange(len(parts))] = strange_text(rng)
            files["/".join(parts)] = files.pop(name)
        case 2:
            files[name] = rng.choice((files[other], None))
        case _:
            kind = [json_value] if name.endswith(".json") else []
            kind += [listing] if name.endswith(".txt") else []
            inside = mutated(rng, inside, [inside], kind)
            files[name] = base64.b64encode(inside).decode()
    return json.dumps(files).encode()
