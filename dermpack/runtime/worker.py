"""Interpret one model, alone in a process: what kills it kills nothing else.

Stands alone, without the rest of the program. Frames on stdin and stdout are eight bytes of length and then
the bytes. First comes the model, answered by what its tensors are; then come pictures, answered by outputs.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

LENGTH = struct.Struct("<Q")
MEMORY_BYTES = 8 << 30  # of addresses: a model that asks for more is refused by the system
REFUSALS = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError, LookupError, SystemError)


def main() -> None:
    engine, threads = sys.argv[1], int(sys.argv[2])
    requests, answers = sys.stdin.buffer, _private_stdout()
    _limit_memory()
    model = read_frame(requests)
    try:
        interpreter = _interpreter(engine, model, threads)
        _answer(answers, json.dumps(_described(interpreter, engine)).encode())
        while pictures := read_frame(requests):
            _answer(answers, _run(interpreter, pictures))
    except REFUSALS as error:
        _answer(answers, b"", problem=f"{type(error).__name__}: {error}")


def read_frame(stream: BinaryIO) -> bytes:
    """The next frame, or nothing at the end."""
    head = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _interpreter(engine: str, model: bytes, threads: int) -> Any:
    made = importlib.import_module(f"{engine}.interpreter").Interpreter
    interpreter = made(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _described(interpreter: Any, engine: str) -> dict[str, Any]:
    version = getattr(importlib.import_module(engine), "__version__", "")
    return {
        "engine": f"{engine} {version}".strip(),
        "inputs": [_tensor(details) for details in interpreter.get_input_details()],
        "outputs": [_tensor(details) for details in interpreter.get_output_details()],
    }


def _tensor(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    return {
        "shape": [int(side) for side in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _run(interpreter: Any, pictures: bytes) -> bytes:
    """One picture at a time, as a phone does."""
    of, to = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    batch = np.frombuffer(pictures, dtype=of["dtype"]).reshape(-1, *of["shape"])
    outputs = []
    for picture in batch:
        interpreter.set_tensor(of["index"], picture)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(to["index"]).tobytes())
    return b"".join(outputs)


def _answer(stream: BinaryIO, data: bytes, *, problem: str = "") -> None:
    """A frame that says what went wrong, and a frame of data."""
    for frame in (problem.encode("utf-8", "replace"), data):
        stream.write(LENGTH.pack(len(frame)) + frame)
    stream.flush()


def _private_stdout() -> BinaryIO:
    """Whatever a library prints goes to stderr, and never between two frames."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def _limit_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    for limit, value in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))


if __name__ == "__main__":
    main()
