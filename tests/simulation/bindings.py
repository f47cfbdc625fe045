"""What our sources use of TensorRT, and what its real bindings have, imported over empty libraries.

The bindings link against a handful of C functions of TensorRT. Libraries in which these do nothing
are enough to import them, and so to hold every name and call against each version, which could not
be installed side by side, without TensorRT and without a GPU.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Use:
    """A use of a member of a class, '' for the module itself.

    Attributes:
        arguments: how many by position, None where it is not called, or with a starred one.
        keywords: of the call.
        sets: whether it is assigned to.
        where: file and line.
    """

    owner: str
    member: str
    arguments: int | None
    keywords: tuple[str, ...]
    sets: bool
    where: str


def uses(file: str, objects: Mapping[str, str]) -> tuple[list[Use], set[tuple[str, str]]]:
    """Return what a source uses of TensorRT; and of what else it uses which members.

    Args:
        file: of the source, from the root on.
        objects: expressions by the class that they are of; '' is the module.
    """
    tree = ast.parse((ROOT / file).read_text())
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[Use] = []
    others: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found += [use for base in node.bases for use in _overridden(node, base, objects, file)]
        if not isinstance(node, ast.Attribute) or node.attr == "__class__":
            continue
        base = ast.unparse(node.value)
        owner = objects.get(base, _class(node.value, objects))
        if owner is None:
            others.add((base, node.attr))
            continue
        call = calls.get(id(node))
        arguments, keywords = _given(call)
        sets = isinstance(node.ctx, ast.Store)
        found.append(Use(owner, node.attr, arguments, keywords, sets, f"{file}:{node.lineno}"))
        if call and owner == "" and node.attr[0].isupper():
            found.append(Use(node.attr, "__init__", arguments, keywords, False, found[-1].where))
    return found, others


def _class(node: ast.expr, objects: Mapping[str, str]) -> str | None:
    """Return the name of a class or enumeration that stands for itself, as in trt.BuilderFlag."""
    if isinstance(node, ast.Attribute) and objects.get(ast.unparse(node.value)) == "":
        return node.attr
    return None


def _given(call: ast.Call | None) -> tuple[int | None, tuple[str, ...]]:
    if call is None or any(isinstance(each, ast.Starred) for each in call.args):
        return None, ()
    return len(call.args), tuple(str(each.arg) for each in call.keywords)


def _overridden(
    node: ast.ClassDef, base: ast.expr, objects: Mapping[str, str], file: str
) -> Iterator[Use]:
    owner = _class(base, objects)
    for method in node.body:
        if owner and isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            count = len(method.args.args) - 1
            yield Use(owner, method.name, count, (), False, f"{file}:{method.lineno}")


# The first Python that a version has no wheel for.
_NO_WHEEL = {"10.3.0": (3, 13)}


def folder_of(version: str) -> Path:
    """Return where the Makefile has unpacked bindings.

    Where it could not, the test is skipped; under CI it fails, which must not pass by skipping.
    """
    folder = Path(sys.prefix) / f"tensorrt-{version}"
    if (folder / "tensorrt_bindings").is_dir():
        return folder
    if sys.version_info >= _NO_WHEEL.get(version, (99,)):
        pytest.skip(f"TensorRT {version} has no bindings for this Python")
    why = f"no bindings of TensorRT {version} in {folder}: `make test` unpacks them"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def empty_libraries(bindings: Path, folder: Path) -> None:
    """Compile what bindings link against, for LD_LIBRARY_PATH; skip where that cannot be done."""
    if not shutil.which("gcc") or not shutil.which("nm"):
        pytest.skip("gcc and nm are not installed, which make libraries to import bindings over")
    (module,) = (bindings / "tensorrt_bindings").glob("tensorrt.*so")
    command = ["nm", "--dynamic", "--undefined-only", module]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = re.findall(r" U (\w*(?:_INTERNAL|PluginRegistry|Plugins|Version))$", listed, re.M)
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in wanted))
    needed = subprocess.run(["readelf", "-d", module], capture_output=True, text=True, check=True)
    for name in re.findall(r"NEEDED.*\[(libnv\w+\.so\.\d+)\]", needed.stdout):
        options = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name]
        subprocess.run(["gcc", *options, source], check=True)


def lacking(module: str, used: list[Use], environment: Mapping[str, str]) -> list[str]:
    """Return the uses that a module, imported in a process of its own, has no such members for."""
    done = subprocess.run(
        [sys.executable, __file__, module],
        input=json.dumps([asdict(use) for use in used]),
        env=dict(environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def _fault(module: object, use: Use) -> str:
    name = f"{use.owner}.{use.member}".lstrip(".")
    owner = getattr(module, use.owner, None) if use.owner else module
    if not hasattr(owner, use.member):
        return f"{name} is not there"
    member = getattr(owner, use.member)
    if use.sets and not (isinstance(member, property) and member.fset):
        return f"{name} cannot be set"
    forms = _forms(member.__doc__ or "", use.member) if use.arguments is not None else []
    if forms and not any(_takes(form, use) for form in forms):
        return f"{name} takes {' or '.join(map(str, forms))}"
    return ""


def _forms(doc: str, name: str) -> list[list[str]]:
    """Return the arguments of each form of a method, as pybind11 documents them, without self."""
    forms = []
    for given in re.findall(rf"^(?:\d+\. )?{name}\((.*)\) ?(?:->.*|None)?$", doc, re.M):
        # Commas within brackets separate no arguments.
        flat = re.sub(r"\[[^\[\]]*\]|<[^<>]*>", "", re.sub(r"\[[^\[\]]*\]", "", given))
        arguments = [part.strip() for part in flat.split(",") if part.strip()]
        if arguments != ["*args", "**kwargs"]:
            forms.append(arguments[1:])
    return forms


def _takes(form: list[str], use: Use) -> bool:
    names = [part.split(":")[0] for part in form]
    needed = [part.split(":")[0] for part in form if "=" not in part]
    count = use.arguments or 0
    given = {*names[:count], *use.keywords}
    return count <= len(names) and set(needed) <= given <= set(names)


if __name__ == "__main__":
    imported = __import__(sys.argv[1])
    faults = [
        (fault, use["where"])
        for use in json.load(sys.stdin)
        if (fault := _fault(imported, Use(**use)))
    ]
    print(json.dumps([f"{where}: {fault}" for fault, where in faults]))
