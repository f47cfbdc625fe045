"""Pickles of strangers: how much there is to look at in them, known before any is loaded."""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO

_MOST_BYTES = 2**20  # a state dict of RRIN takes 20 kB, with an optimizer 90
_MOST_A_BYTE = 64  # of nested objects; what torch.save writes has one or two
_FREE_BYTES = 1024
_FILLS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")


@dataclass
class _Object:
    """What stands on the stack: how many objects it unfolds to, and whether another holds it."""

    size: int = 1
    held: bool = False


def is_bounded(file: IO[bytes]) -> bool:
    """Say whether a pickle's objects can be looked at in a time that its length bounds.

    Hashing and printing take an object anew wherever it is held: thirty tuples, each holding the
    one before twice, are a billion objects in 200 bytes. And what is filled once another holds it
    may hold itself. The file is read up to the end of the pickle.

    Raises:
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
            for each in taken:
                each.held = True
            size = sum(each.size for each in taken)
            seen += size
            if filled is not None:
                filled.size += size
                stack.append(filled)
            else:
                stack.extend(_Object(1 + size) for _ in opcode.stack_after)
        read = file.tell() - begin
        if read > _MOST_BYTES or seen > _MOST_A_BYTE * (read + _FREE_BYTES):
            return False
    return True


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
