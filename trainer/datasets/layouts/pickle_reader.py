"""Read the plain values of a pickle without executing it.

A pickle is a program for a stack machine. Python's machine calls whatever the program names; this one
calls nothing: it builds numbers, texts, lists, tuples and dictionaries, and where the program calls one of
the few names that numpy arrays are made of, it writes down the call. Every other name or instruction is
refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.errors import TableError
from dermpack.storage.files import read_bytes

MAX_PICKLE_BYTES = 64 << 20  # a published CIFAR-10 batch has 31 MB
MAX_INSTRUCTIONS = 500_000  # a published batch has about 40,000; each may cost a hundred bytes
ADMITTED = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),  # numpy 1
        ("numpy._core.multiarray", "_reconstruct"),  # numpy 2
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "encode"),  # bytes, as Python 3 writes them for Python 2
    }
)
VALUES = frozenset(
    (
        *("INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PASSED_OVER = frozenset({"PROTO", "FRAME", "STOP"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name that the pickle would have imported."""

    module: str
    name: str


@dataclass(slots=True, kw_only=True)
class Call:
    """A call that the pickle would have made; `state` is what it would have set on the answer."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


Plain = Any  # what a stranger's pickle says, narrowed by whoever uses it


class ForbiddenPickleError(Exception):
    """The program asks for what is not admitted."""


MARK = object()


def read_pickle(path: Path) -> Plain:
    """The value that the pickle describes, with each call written down instead of made."""
    data = read_bytes(path, most=MAX_PICKLE_BYTES, hint="Use the published batches.")
    try:
        return _run(data)
    except ForbiddenPickleError as error:
        what = f"unsafe pickle ({error})"
        raise TableError(path, what, "Use the published batches.", code="hostile-file") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        hint = "Download the file again."
        raise TableError(path, "not a valid pickle", hint, code="invalid-batch") from error


def is_pixels(value: Plain, shape: tuple[int, int]) -> bool:
    """Whether a pickled value is an array of bytes, in rows, of just this shape."""
    declared = _declared(value)
    if declared is None:
        return False
    found, kind, raw = declared
    return found == shape and kind in ("u1", "|u1", "uint8") and len(raw) == shape[0] * shape[1]


def pixels_of(value: Plain, shape: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The array that `is_pixels` found sound."""
    declared = _declared(value)
    assert declared is not None
    return np.frombuffer(declared[2], dtype=np.uint8).reshape(shape)


def _declared(value: Plain) -> tuple[object, object, bytes] | None:
    """Shape, kind and bytes of an array, from the call that would have made it."""
    match value:
        case Call(
            name="_reconstruct", state=(_, shape, Call(name="dtype", arguments=(kind, *_)), False, raw)
        ):
            raw = _bytes(raw)
        case Call(name="_frombuffer", arguments=(raw, Call(name="dtype", arguments=(kind, *_)), shape, "C")):
            raw = _bytes(raw)
        case _:
            return None
    return None if raw is None else (shape, kind, raw)


def _bytes(value: Plain) -> bytes | None:
    """Bytes as any Python writes them: as they are, as Python 2's text, or as a call of encode."""
    match value:
        case bytes() | bytearray():
            return bytes(value)
        case Call(name="encode", arguments=(str() as text, "latin1" | "latin-1")):
            return _latin1(text)
        case str():
            return _latin1(value)
    return None


def _latin1(text: str) -> bytes | None:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _run(data: bytes) -> Plain:
    machine = Machine()
    for count, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if count > MAX_INSTRUCTIONS:
            raise ForbiddenPickleError(f"more than {MAX_INSTRUCTIONS:,} instructions")
        machine.step(instruction.name, argument)
    (value,) = machine.stack
    return value


@dataclass(slots=True, kw_only=True)
class Machine:
    """A stack and a memory of what was on it."""

    stack: list[Plain] = field(default_factory=list)
    memory: dict[int, Plain] = field(default_factory=dict)

    def step(self, name: str, argument: Any) -> None:
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in TUPLES:
            self.stack.append(tuple(self.take(TUPLES[name])))
        elif name in INSTRUCTIONS:
            INSTRUCTIONS[name](self, argument)
        elif name not in PASSED_OVER:
            raise ForbiddenPickleError(f"instruction {name}")

    def take(self, count: int) -> list[Plain]:
        at = len(self.stack) - count
        if at < 0:
            raise IndexError(count)
        taken, self.stack[at:] = self.stack[at:], []
        return taken

    def to_mark(self) -> list[Plain]:
        """Everything above the last mark, taken from the stack with it."""
        taken = []
        while (value := self.stack.pop()) is not MARK:
            taken.append(value)
        return taken[::-1]

    def extend(self, values: list[Plain]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("not a list")
        target.extend(values)

    def new_dictionary(self) -> None:
        flat = self.to_mark()
        self.stack.append({})
        self.set_items(flat)

    def set_items(self, flat: list[Plain]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError("not a dictionary")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[_key(key)] = value

    def admit(self, module: Plain, name: Plain) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ForbiddenPickleError("import of a value that is not a name")
        if (module, name) not in ADMITTED:
            raise ForbiddenPickleError(f"import of {module[:80]}.{name[:80]}")
        self.stack.append(Name(module=module, name=name))

    def call(self) -> None:
        named, arguments = self.take(2)
        if not isinstance(named, Name) or not isinstance(arguments, tuple):
            raise ForbiddenPickleError("call of a value that is not a name")
        self.stack.append(Call(name=named.name, arguments=arguments))

    def set_state(self) -> None:
        (state,) = self.take(1)
        if not isinstance(self.stack[-1], Call):
            raise ForbiddenPickleError("state of an object that the pickle did not create")
        self.stack[-1].state = state


def _key(key: Plain) -> str:
    """Keys are words: anything deeper would have to be hashed, and hashing a deep tuple can kill."""
    word = _bytes(key)
    if word is None:
        raise ForbiddenPickleError("dictionary key that is not a string")
    return word.decode("latin-1")


def _remember(machine: Machine, index: int) -> None:
    machine.memory[index] = machine.stack[-1]


def _recall(machine: Machine, index: int) -> None:
    machine.stack.append(machine.memory[index])


INSTRUCTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(MARK),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "LIST": lambda machine, _: machine.stack.append(machine.to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "DICT": lambda machine, _: machine.new_dictionary(),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memory)),
    "GET": _recall,
    "BINGET": _recall,
    "LONG_BINGET": _recall,
    "GLOBAL": lambda machine, names: machine.admit(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.admit(*machine.take(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.set_state(),
}
