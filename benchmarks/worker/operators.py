"""Say what computes a model's operators, and how long they take.

Stands alone beside worker.py. Interpreters have no profiler to ask in Python; the C library in the wheel of
ai-edge-litert has, as its litert/c/litert_profiler.h declares it.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RUNTIMES = ("ai-edge-litert",)
LIBRARY = "libLiteRt.so"
CPU = 1  # of the accelerators
KERNEL_MODES = {"xnnpack": 0, "none": 2}  # the delegate; the built-in kernels
WARM_UP_ROUNDS = 20
NO_TIME = "the profiler saw no operator take any time"  # its clock is too coarse for the smallest models
SESSIONS, SESSION_ROUNDS = 10, 10  # a session's clock has whole microseconds; a neighbour spoils one or two
TITLE, DELEGATE = "Summary by node type", "Delegate/"
COLUMNS = 6  # after the name: count, mean ms, share, cumulated share, memory, times called
TENSOR_TYPE_WORDS = 64  # more than any version's description of a tensor takes

DELEGATED = "DELEGATE"  # what the interpreter names the operator that stands for a part of the graph

Pointer = ctypes.c_void_p
Shares = dict[str, tuple[int, float]]  # by operator: how many, and their part of the time


def delegated(interpreter: Any) -> str:
    """How much of the graph a delegate, XNNPACK, took: "all", "64 of 67 operators", "none"."""
    listed: Any = getattr(interpreter, "_get_ops_details", list)()
    delegates = [operator for operator in listed if operator["op_name"] == DELEGATED]
    own = [operator for operator in listed if operator["op_name"] != DELEGATED]
    taken = sum(len(_within(delegate, own)) for delegate in delegates)
    if not delegates:
        return "none"
    return "all" if taken == len(own) else f"{taken} of {len(own)} operators"


def _within(delegate: dict[str, Any], own: list[dict[str, Any]]) -> set[int]:
    """The operators between the delegate's inputs and its outputs."""
    makers = {int(tensor): at for at, operator in enumerate(own) for tensor in operator["outputs"]}
    given, wanted = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"]))
    found: set[int] = set()
    while wanted:
        at = makers.get(wanted.pop())
        if at is not None and at not in found:
            found.add(at)
            wanted.extend(int(tensor) for tensor in own[at]["inputs"] if int(tensor) not in given)
    return found


def profile(file: str, *, threads: int, kernels: str) -> list[dict[str, Any]]:
    """The kinds of operators, the longest first; each share is the median of some sessions."""
    model = _Compiled(file, threads=threads, kernel_mode=KERNEL_MODES[kernels])
    for _ in range(WARM_UP_ROUNDS):
        model.run()
    sessions = [shares for shares in (summary_shares(model.summary()) for _ in range(SESSIONS)) if shares]
    counts = {name: of[0] for name, of in sessions[-1].items()} if sessions else {}
    typical = {name: median(of.get(name, (0, 0.0))[1] for of in sessions) for name in counts}
    total = sum(typical.values())
    if not total:
        raise RuntimeError(NO_TIME)
    ranked = sorted(typical, key=lambda name: (-typical[name], name))
    return [_operator(name, counts[name], typical[name] / total) for name in ranked]


def summary_shares(text: str) -> Shares:
    """The table by kinds: "DEPTHWISE_CONV_2D 17 0.042 51.567% …" → {"DEPTHWISE_CONV_2D": (17, 0.51567)}."""
    shares: Shares = {}
    for line in text.partition(TITLE)[2].splitlines()[2:]:
        cells = line.rsplit(None, COLUMNS)
        if len(cells) <= COLUMNS or not cells[3].endswith("%"):
            break
        shares[cells[0].strip()] = (int(cells[1]), float(cells[3][:-1]) / 100)
    return shares if 0 < sum(share for _, share in shares.values()) < 2 else {}  # else they are no numbers


def _operator(name: str, count: int, share: float) -> dict[str, Any]:
    is_delegated = name.startswith(DELEGATE)
    plain = name[len(DELEGATE) :] if is_delegated else name
    return {"name": plain, "count": count, "share": share, "is_delegated": is_delegated}


class _Compiled:
    """A model in the C library, with its profiler; the process ends soon, so nothing is given back."""

    def __init__(self, file: str, *, threads: int, kernel_mode: int) -> None:
        self.environment, self.model = Pointer(), Pointer()
        _call("LiteRtCreateEnvironment", 0, None, ctypes.byref(self.environment))
        _call("LiteRtCreateModelFromFile", self.environment, file.encode(), ctypes.byref(self.model))
        self.compiled, self.profiler = Pointer(), Pointer()
        options = _options(f"num_threads = {threads}\nkernel_mode = {kernel_mode}\n")
        _call("LiteRtCreateCompiledModel", self.environment, self.model, options, ctypes.byref(self.compiled))
        _call("LiteRtCompiledModelGetProfiler", self.compiled, ctypes.byref(self.profiler))
        self.inputs, self.outputs = self._buffer("Input"), self._buffer("Output")

    def run(self) -> None:
        one, first = ctypes.c_size_t(1), ctypes.c_size_t(0)
        _call("LiteRtRunCompiledModel", self.compiled, first, one, self.inputs, one, self.outputs)

    def summary(self) -> str:
        """What the profiler says of some runs."""
        _call("LiteRtResetProfiler", self.profiler)
        _call("LiteRtStartProfiler", self.profiler)
        for _ in range(SESSION_ROUNDS):
            self.run()
        _call("LiteRtStopProfiler", self.profiler)
        text = ctypes.c_char_p()
        _call("LiteRtGetProfileSummary", self.profiler, self.compiled, ctypes.byref(text))
        return (text.value or b"").decode("utf-8", "replace")

    def _buffer(self, way: str) -> Any:
        """An array of one buffer, for the model's only input or output."""
        graph, at, tensor, wanted = Pointer(), ctypes.c_size_t(), Pointer(), Pointer()
        described, buffers = (ctypes.c_uint32 * TENSOR_TYPE_WORDS)(), (Pointer * 1)()
        first = ctypes.c_size_t(0)
        _call("LiteRtGetMainModelSubgraphIndex", self.model, ctypes.byref(at))
        _call("LiteRtGetModelSubgraph", self.model, at, ctypes.byref(graph))
        _call(f"LiteRtGetSubgraph{way}", graph, first, ctypes.byref(tensor))
        _call("LiteRtGetRankedTensorType", tensor, described)
        _call(
            f"LiteRtGetCompiledModel{way}BufferRequirements",
            *(self.compiled, first, first, ctypes.byref(wanted)),
        )
        made = "LiteRtCreateManagedTensorBufferFromRequirements"
        _call(made, self.environment, described, wanted, buffers)
        return buffers


def _options(processor: str) -> Pointer:
    options = Pointer()
    _call("LiteRtCreateOptions", ctypes.byref(options))
    _call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
    for name, toml in {"xnnpack": processor, "runtime_options_string": "enable_profiling = true\n"}.items():
        kept, opaque = ctypes.create_string_buffer(toml.encode()), Pointer()
        KEPT.append(kept)
        _call("LiteRtCreateOpaqueOptions", name.encode(), kept, DONE, ctypes.byref(opaque))
        _call("LiteRtAddOpaqueOptions", options, opaque)
    return options


def _nothing(_: int | None) -> None:
    """The texts of options belong to this process until it ends."""


KEPT: list[Any] = []
DONE = ctypes.CFUNCTYPE(None, Pointer)(_nothing)


def _call(name: str, *arguments: Any) -> None:
    status = _function(name)(*arguments)
    if status:
        raise RuntimeError(f"{name} returned {status}")


def _function(name: str) -> Callable[..., int]:
    """A function of the library; AttributeError where this version has none of that name."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("ai-edge-litert is not installed")
    library = ctypes.CDLL(str(Path(next(iter(spec.submodule_search_locations))) / LIBRARY))
    function: Callable[..., int] = getattr(library, name)
    return function
