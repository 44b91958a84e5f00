"""Interpret models, alone in a process: what kills it kills nothing else.

Stands alone, without the rest of the program. Frames on stdin and stdout are eight bytes of length and then
the bytes. A request is two frames: how to load, as JSON, and a model, answered by what its tensors are; or
the word RUN and pictures, answered by outputs of the model that was loaded last.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from typing import Any, BinaryIO

LENGTH = struct.Struct("<Q")
RUN = b"run"
RESOLVERS = {"xnnpack": "AUTO", "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
MEMORY_BYTES = 8 << 30  # of addresses: a model that asks for more is refused by the system
REFUSALS = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError, LookupError, SystemError)


def main() -> None:
    engine = sys.argv[1]
    requests, answers = sys.stdin.buffer, _private_stdout()
    _limit_memory()
    importlib.import_module(f"{engine}.interpreter")  # while the caller still reads the model
    interpreter = None
    while order := read_frame(requests):
        data = read_frame(requests)
        try:
            if order == RUN:
                _answer(answers, _run(interpreter, data))
                continue
            interpreter = None  # the old one is freed first
            interpreter = _interpreter(engine, data, **json.loads(order))
            _answer(answers, json.dumps(_described(interpreter, engine)).encode())
        except REFUSALS as error:
            _answer(answers, b"", problem=f"{type(error).__name__}: {error}")


def read_frame(stream: BinaryIO) -> bytes:
    """The next frame, or nothing at the end."""
    head = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _interpreter(engine: str, model: bytes, *, threads: int, kernels: str) -> Any:
    module = importlib.import_module(f"{engine}.interpreter")
    resolver = getattr(module.OpResolverType, RESOLVERS[kernels])
    interpreter = module.Interpreter(
        model_content=model, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _described(interpreter: Any, engine: str) -> dict[str, Any]:
    version = getattr(importlib.import_module(engine), "__version__", "")
    return {
        "engine": f"{engine} {version}".strip(),
        "delegated": _delegated(interpreter),
        "inputs": [_tensor(details) for details in interpreter.get_input_details()],
        "outputs": [_tensor(details) for details in interpreter.get_output_details()],
    }


def _delegated(interpreter: Any) -> int:
    """How many parts of the graph XNNPACK took; an interpreter that cannot say so counts as none."""
    listed: Any = getattr(interpreter, "_get_ops_details", list)()
    return sum(operator["op_name"] == "DELEGATE" for operator in listed)


def _tensor(details: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # not at the top: who talks to this process takes its words from here

    scale, zero_point = details["quantization"]
    return {
        "shape": [int(side) for side in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _run(interpreter: Any, pictures: bytes) -> bytes:
    """One picture at a time, as a phone does."""
    import numpy as np

    if interpreter is None:
        raise ValueError("no model is loaded")
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
