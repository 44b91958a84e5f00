"""Read the pickle of a CIFAR-10 batch in a child process that can do nothing else.

A pickle is a program: unpickling calls the functions that it names. Three measures make that safe here.
`find_class` allows the few names that a batch needs, and maps each to a stand-in from this module, which
stores its arguments; no function of numpy or Python is reachable. The child process has limits for memory
and time. The parent, `cifar10.py`, takes plain values from it, and checks them again.
"""

from __future__ import annotations

import io
import json
import pickle
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

if TYPE_CHECKING:
    from dermpack.processes.child_process import Channel

MALFORMED = (
    *(pickle.UnpicklingError, EOFError, ArithmeticError, AttributeError),
    *(LookupError, TypeError, ValueError),
)


class ForbiddenPickleError(Exception):
    """The pickle names something that a batch does not need."""


def main(channel: Channel) -> None:
    """Receive one pickle; send its record as JSON, and its pixels."""
    pixels = b""
    try:
        record, pixels = read_batch(channel.receive() or b"")
        answer = json.dumps(record)
    except ForbiddenPickleError as error:
        answer = json.dumps({"refusal": str(error)})
    except MemoryError:
        answer = json.dumps({"refusal": "not enough memory"})
    except MALFORMED:
        answer = json.dumps({"malformed": True})
    channel.send(answer.encode(), pixels)


def read_batch(data: bytes) -> tuple[dict[str, object], bytes]:
    """Return the record as JSON values, and the pixels.

    The record has `label_names` and `labels` where the pickle has lists of these names with plain elements,
    and `shape` where `data` is an array of bytes, in rows.
    """
    # encoding="bytes": the published files are of Python 2, whose text and pixels are both byte strings.
    record = _BatchUnpickler(io.BytesIO(data), encoding="bytes").load()
    if not isinstance(record, dict):
        raise ValueError("not a dictionary")
    values = {_as_text(key): value for key, value in record.items()}
    answer: dict[str, object] = {}
    names, labels, array = values.get("label_names"), values.get("labels"), values.get("data")
    if isinstance(names, list):
        answer["label_names"] = [_as_text(name) for name in names]
    if isinstance(labels, list) and all(type(label) is int for label in labels):
        answer["labels"] = labels
    if isinstance(array, _Array) and isinstance(array.element, _ElementType):
        raw, shape = array.raw, array.shape
        if isinstance(raw, str):  # another program wrote the bytes of Python 2 as text
            raw = raw.encode("latin-1")
        is_matrix = isinstance(shape, tuple) and len(shape) == 2 and all(type(side) is int for side in shape)
        is_uint8 = array.element.name in ("u1", "|u1", "uint8")
        if is_matrix and is_uint8 and isinstance(raw, bytes | bytearray):
            answer["shape"] = shape
            return answer, bytes(raw)
    return answer, b""


def _as_text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None


class _StandIn:
    """A class that a pickle may name in place of another one; this one must not be called itself."""

    __slots__ = ()

    def __init__(self, *_arguments: object) -> None:
        raise ForbiddenPickleError("call of numpy.ndarray")

    def __setstate__(self, state: object) -> None:
        raise ForbiddenPickleError("state of an object that has none")


class _ElementType(_StandIn):
    """In place of numpy.dtype: stores the name of the type."""

    __slots__ = ("name",)

    def __init__(self, name: object, _align: object = False, _copy: object = True) -> None:
        self.name = _as_text(name)

    def __setstate__(self, state: object) -> None:
        pass  # byte order and alignment: irrelevant for single bytes


class _Array(_StandIn):
    """In place of an array that is created empty and gets its content as state."""

    __slots__ = ("element", "raw", "shape")
    element: object
    raw: object
    shape: object

    def __init__(self, _array_type: object, _shape: object, _typecode: object) -> None:
        self.shape, self.element, self.raw = (), None, None

    def __setstate__(self, state: Any) -> None:
        _version, shape, element, is_column_order, raw = state
        if not is_column_order:
            self.shape, self.element, self.raw = shape, element, raw


class _BufferArray(_Array):
    """In place of numpy's _frombuffer, which newer versions pickle arrays with."""

    __slots__ = ()

    def __init__(self, raw: object, element: object, shape: object, order: object) -> None:
        self.shape, self.element, self.raw = (shape, element, raw) if order == "C" else ((), None, None)


class _EncodedBytes(_StandIn):
    """In place of _codecs.encode, which Python 3 writes bytes for Python 2 with."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding not in ("latin1", "latin-1"):
            raise ForbiddenPickleError("an encoding other than latin1")
        return text.encode("latin-1")


class _BatchUnpickler(pickle.Unpickler):
    """An unpickler that resolves names to the stand-ins, and refuses every other name."""

    ADMITTED: ClassVar[dict[tuple[str, str], type]] = {
        ("numpy", "ndarray"): _StandIn,  # only passed on to _reconstruct
        ("numpy", "dtype"): _ElementType,
        ("numpy.core.multiarray", "_reconstruct"): _Array,  # numpy 1
        ("numpy._core.multiarray", "_reconstruct"): _Array,  # numpy 2
        ("numpy.core.numeric", "_frombuffer"): _BufferArray,
        ("numpy._core.numeric", "_frombuffer"): _BufferArray,
        ("_codecs", "encode"): _EncodedBytes,
    }

    def find_class(self, module: str, name: str, /) -> type:
        if (module, name) not in self.ADMITTED:
            raise ForbiddenPickleError(f"import of {module[:80]}.{name[:80]}")
        return self.ADMITTED[module, name]

    def persistent_load(self, _identifier: object) -> NoReturn:
        raise ForbiddenPickleError("persistent object")
