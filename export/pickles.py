"""Pickles of strangers: what is in them and how much, known before any is loaded."""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import IO

_MOST_BYTES = 2**20  # a state dict of RRIN takes 20 kB, with an optimizer 90
_MOST_A_BYTE = 64  # of nested objects; what torch.save writes has one or two
_FREE_BYTES = 1024
# What state dicts and trainers' notes are made by. PyTorch takes more: one number makes a bytearray
# of any size, and moving a view of one stored number to another dtype makes as much as it pleases.
_CALLED = re.compile(
    r"collections\.OrderedDict|builtins\.complex|_codecs\.encode|torch\.device"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state"
    r"|meta_tensor_no_storage|sparse_tensor|nested_tensor)"
    r"|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
)
# These go through what they are given, which may be such a view.
_ITERATING = ("collections.Counter", "builtins.set", "torch.Size")
_CALLS = ("REDUCE", "NEWOBJ", "BINPERSID")
_FILLS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")


@dataclass
class _Object:
    """What stands on the stack.

    Attributes:
        size: how many objects it unfolds to.
        held: whether another holds it.
        kind: of a class or function, its name.
        made: whether a function's result is in it.
    """

    size: int = 1
    held: bool = False
    kind: str = ""
    made: bool = False


def is_bounded(file: IO[bytes]) -> bool:
    """Say whether a pickle's objects can be looked at in a time that its length bounds.

    Hashing and printing take an object anew wherever it is held: thirty tuples, each holding the
    one before twice, are a billion objects in 200 bytes. And what is filled once another holds it
    may hold itself. The file is read up to the end of the pickle.

    Raises:
        UnpicklingError: it calls what no state dict needs; worded as PyTorch's own.
        Exception: of any kind; it is no pickle, or a damaged one.
    """
    begin = file.tell()
    stack: list[_Object] = []
    marks: list[int] = []
    memo: dict[object, _Object] = {}
    seen = 0
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name == "MARK":
            marks.append(len(stack))
        elif name.endswith("PUT") or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name.endswith("GET"):
            stack.append(memo[argument])
        else:
            taken = _taken(opcode, stack, marks)
            filled = taken.pop(0) if name in _FILLS else None
            if filled is not None and filled.held:
                return False
            if name in ("REDUCE", "NEWOBJ"):
                _check_call(taken[0].kind, taken[1].made)
            for each in taken:
                each.held = True
            size = sum(each.size for each in taken)
            made = name in _CALLS or any(each.made for each in taken)
            seen += size
            if filled is not None:
                filled.size += size
                filled.made |= made
                stack.append(filled)
            else:
                kind = _normal(str(argument)) if name == "GLOBAL" else ""
                stack.extend(_Object(1 + size, kind=kind, made=made) for _ in opcode.stack_after)
        read = file.tell() - begin
        if read > _MOST_BYTES or seen > _MOST_A_BYTE * (read + _FREE_BYTES):
            return False
    return True


def _check_call(kind: str, takes_made: bool) -> None:
    if not (_CALLED.fullmatch(kind) or (kind in _ITERATING and not takes_made)):
        raise UnpicklingError(f"GLOBAL {kind or 'unnamed'} is called")


def _normal(name: str) -> str:
    """Return 'module name' as Python 3 has it."""
    module, _, rest = name.partition(" ")
    return f"{'builtins' if module == '__builtin__' else module}.{rest}"


def _taken(opcode: pickletools.OpcodeInfo, stack: list[_Object], marks: list[int]) -> list[_Object]:
    """Take from the stack what an opcode takes, down to its mark where it has one."""
    before = opcode.stack_before
    if pickletools.markobject in before:
        start = marks.pop() - before.index(pickletools.markobject)
    else:
        start = len(stack) - len(before)
    if start < 0:
        raise ValueError(f"{opcode.name} takes more than there is")
    taken = stack[start:]
    del stack[start:]
    return taken
