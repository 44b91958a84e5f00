"""The child process that interprets models: a crash of the interpreter ends this process alone.

A request is two frames: the word "run" and pictures, answered by the outputs of the model that was loaded
last; or JSON with the options of the interpreter and a model, answered by JSON that describes its tensors.
An answer is two frames: the text of an error, which is empty for success, and the data.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dermpack.processes.limits import allow_cpu_seconds

if TYPE_CHECKING:
    from dermpack.processes.child_process import Channel

RUN = b"run"
CPU_MARGIN_SECONDS = 5.0  # so that the parent, which can name the reason, is first
RESOLVERS = {"xnnpack": "AUTO", "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
# What the interpreters raise for a model that they reject.
REJECTIONS = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError, LookupError, SystemError)


def main(channel: Channel, runtime: str, patience_seconds: str) -> None:
    """Answer requests until the parent closes the channel; `runtime` is the package of the interpreter.

    The parent kills this process after `patience_seconds`; if it cannot, the processor time ends it.
    """
    import_module(f"{runtime}.interpreter")  # now, while the parent still reads the model
    interpreter, threads = None, 1
    while order := channel.receive():
        data = channel.receive() or b""
        options = {} if order == RUN else json.loads(order)
        threads = options.get("threads", threads)
        allow_cpu_seconds(threads * (float(patience_seconds) + CPU_MARGIN_SECONDS))
        try:
            if order == RUN:
                channel.send(b"", _run(interpreter, data))
                continue
            interpreter = None  # free the memory of the previous model first
            interpreter = _load(runtime, data, **options)
            version = getattr(import_module(runtime), "__version__", "")
            # A private method, but the only way to see delegates; without it their number is 0.
            operators: Any = getattr(interpreter, "_get_ops_details", list)()
            description = {
                "engine": f"{runtime} {version}".strip(),
                "delegated": sum(operator["op_name"] == "DELEGATE" for operator in operators),
                "inputs": [_describe_tensor(details) for details in interpreter.get_input_details()],
                "outputs": [_describe_tensor(details) for details in interpreter.get_output_details()],
            }
            channel.send(b"", json.dumps(description).encode())
        except REJECTIONS as error:
            channel.send(f"{type(error).__name__}: {error}".encode("utf-8", "replace"), b"")


def _load(runtime: str, model: bytes, *, threads: int, kernels: str) -> Any:
    module = import_module(f"{runtime}.interpreter")
    resolver = getattr(module.OpResolverType, RESOLVERS[kernels])
    interpreter = module.Interpreter(
        model_content=model, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _describe_tensor(details: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # not at the top: the parent imports this module before it imports numpy

    scale, zero_point = details["quantization"]
    return {
        "shape": [int(side) for side in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _run(interpreter: Any, pictures: bytes) -> bytes:
    """Return the outputs of the pictures, interpreted one at a time, as on a phone."""
    import numpy as np

    if interpreter is None:
        raise ValueError("no model is loaded")
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for picture in np.frombuffer(pictures, dtype=source["dtype"]).reshape(-1, *source["shape"]):
        interpreter.set_tensor(source["index"], picture)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"]).tobytes())
    return b"".join(outputs)
