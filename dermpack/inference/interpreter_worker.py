"""The child process that interprets models: a crash of the interpreter ends this process alone.

A request is two frames: the word "run" and the bytes of each input, one input after the other, answered by
the bytes of each output of the model that was loaded last; or JSON with the options of the interpreter and a
model, answered by JSON that describes its tensors in this order. An answer is two frames: the text of an
error, which is empty for success, and the data.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

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
    loaded: BoundModel | None = None
    threads = 1
    while order := channel.receive():
        data = channel.receive() or b""
        options = {} if order == RUN else json.loads(order)
        threads = options.get("threads", threads)
        allow_cpu_seconds(threads * (float(patience_seconds) + CPU_MARGIN_SECONDS))
        try:
            if order == RUN:
                channel.send(b"", _run(loaded, data))
                continue
            loaded = None  # free the memory of the previous model first
            loaded = _load(runtime, data, options)
            version = getattr(import_module(runtime), "__version__", "")
            # A private method, but the only way to see delegates; without it their number is 0.
            operators: Any = getattr(loaded.interpreter, "_get_ops_details", list)()
            description = {
                "engine": f"{runtime} {version}".strip(),
                "delegated": sum(operator["op_name"] == "DELEGATE" for operator in operators),
                "problem": loaded.problem,
                "inputs": [_describe_tensor(name, details) for name, details in loaded.inputs.items()],
                "outputs": [_describe_tensor(name, details) for name, details in loaded.outputs.items()],
            }
            channel.send(b"", json.dumps(description).encode())
        except REJECTIONS as error:
            channel.send(f"{type(error).__name__}: {error}".encode("utf-8", "replace"), b"")


class BoundModel(NamedTuple):
    """An interpreter with a model, and the details of its tensors by name."""

    interpreter: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    problem: str  # why these are not the requested names; empty if they are


def _load(runtime: str, model: bytes, options: dict[str, Any]) -> BoundModel:
    module = import_module(f"{runtime}.interpreter")
    resolver = getattr(module.OpResolverType, RESOLVERS[options["kernels"]])
    interpreter = module.Interpreter(
        model_content=model, num_threads=options["threads"], experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    key, names = options["signature"], (options["inputs"], options["outputs"])
    if key is None:
        ends = interpreter.get_input_details(), interpreter.get_output_details()
        problem = ""
        if [len(end) for end in ends] != [1, 1]:
            problem = f"the model has {len(ends[0])} inputs and {len(ends[1])} outputs"
        # A file with one input and one output needs no names.
        inputs, outputs = (dict(zip(*pair, strict=False)) for pair in zip(names, ends, strict=True))
        return BoundModel(interpreter, inputs, outputs, problem or _find_empty(inputs | outputs))
    if key not in interpreter.get_signature_list():
        return BoundModel(interpreter, {}, {}, f"the model has no signature {key!r}")
    # The runner only translates the names to tensors: it would run the model without reusing its memory.
    runner = interpreter.get_signature_runner(key)
    found = runner.get_input_details(), runner.get_output_details()
    for kind, wanted, present in zip(("inputs", "outputs"), names, found, strict=True):
        if sorted(wanted) != sorted(present):
            problem = f"the {kind} of the signature are {', '.join(sorted(present))}"
            return BoundModel(interpreter, {}, {}, f"{problem}; expected {', '.join(sorted(wanted))}")
    inputs, outputs = ({name: end[name] for name in wanted} for wanted, end in zip(names, found, strict=True))
    return BoundModel(interpreter, inputs, outputs, _find_empty(inputs | outputs))


def _find_empty(tensors: dict[str, Any]) -> str:
    """Return the problem that a tensor has no numbers."""
    empty = [name for name, details in tensors.items() if 0 in details["shape"]]
    return f"the tensor {empty[0]!r} has no numbers" if empty else ""


def _describe_tensor(name: str, details: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # not at the top: the parent imports this module before it imports numpy

    (scale, zero_point), dtype = details["quantization"], np.dtype(details["dtype"])
    return {
        "name": name,
        "shape": [int(side) for side in details["shape"]],
        "dtype": dtype.name,
        "size_bytes": int(np.prod(details["shape"], dtype=np.int64)) * dtype.itemsize,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _run(loaded: BoundModel | None, data: bytes) -> bytes:
    """Return the outputs of the rows of the inputs, interpreted one at a time, as on a phone."""
    import numpy as np

    if loaded is None:
        raise ValueError("no model is loaded")
    interpreter = loaded.interpreter
    sizes = [_describe_tensor(name, details)["size_bytes"] for name, details in loaded.inputs.items()]
    count, remaining = divmod(len(data), sum(sizes))
    if remaining:
        raise ValueError(f"{len(data)} bytes are not a whole number of rows of {sum(sizes)}")
    fed, start = [], 0
    for details, size in zip(loaded.inputs.values(), sizes, strict=True):
        numbers = np.frombuffer(
            data, details["dtype"], count * size // np.dtype(details["dtype"]).itemsize, start
        )
        fed.append((details["index"], numbers.reshape(count, *details["shape"])))
        start += count * size
    rows: list[list[bytes]] = [[] for _ in loaded.outputs]
    for row in range(count):
        for index, numbers in fed:
            interpreter.set_tensor(index, numbers[row])
        interpreter.invoke()
        for answered, details in zip(rows, loaded.outputs.values(), strict=True):
            answered.append(interpreter.get_tensor(details["index"]).tobytes())
    return b"".join(b"".join(answered) for answered in rows)
