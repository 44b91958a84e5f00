"""Determine what computes a model's operators, and how long they take.

This file is copied next to worker.py. The interpreters have no profiler in Python; the C library in
the wheel of ai-edge-litert has one, which its litert/c/litert_profiler.h declares.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from statistics import median
from typing import Any

LIBRARY = "libLiteRt.so"
CPU = 1  # of the accelerators
KERNEL_MODES = {"xnnpack": 0, "none": 2}  # the delegate; the built-in kernels
WARM_UP_ROUNDS = 20
# The clock has whole microseconds, and other programs disturb some sessions.
SESSIONS, SESSION_ROUNDS = 10, 10
NO_TIME = "the profiler measured no time for any operator"  # the clock is too coarse for the smallest models
TITLE, DELEGATE = "Summary by node type", "Delegate/"
COLUMNS = 6  # after the name: count, mean ms, share, cumulated share, memory, times called
TENSOR_TYPE_WORDS = 64  # more than any version's description of a tensor takes
DELEGATED = "DELEGATE"  # the interpreter's name for the operator that replaces a part of the graph

Pointer = ctypes.c_void_p
Shares = dict[str, tuple[int, float]]  # by operator: how many, and their share of the time


def delegated(interpreter: Any) -> str:
    """Return how much of the graph a delegate, XNNPACK, took: "all", "64 of 67 operators", "none"."""
    listed: Any = getattr(interpreter, "_get_ops_details", list)()
    delegates = [operator for operator in listed if operator["op_name"] == DELEGATED]
    own = [operator for operator in listed if operator["op_name"] != DELEGATED]
    if not delegates:
        return "none"
    makers = {int(tensor): index for index, operator in enumerate(own) for tensor in operator["outputs"]}
    taken = 0
    for delegate in delegates:
        # Walk back from the delegate's outputs to its inputs: everything between is what it replaces.
        given, wanted = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"]))
        replaced: set[int] = set()
        while wanted:
            index = makers.get(wanted.pop())
            if index is not None and index not in replaced:
                replaced.add(index)
                wanted.extend(int(tensor) for tensor in own[index]["inputs"] if int(tensor) not in given)
        taken += len(replaced)
    return "all" if taken == len(own) else f"{taken} of {len(own)} operators"


def profile(file: str, *, threads: int, kernels: str) -> list[dict[str, Any]]:
    """Return the kinds of operators, the slowest first, each with its median share in some sessions."""
    model = _CompiledModel(file, threads=threads, kernel_mode=KERNEL_MODES[kernels])
    for _ in range(WARM_UP_ROUNDS):
        model.run()
    sessions = [shares for shares in (summary_shares(model.summary()) for _ in range(SESSIONS)) if shares]
    counts = {name: count for name, (count, _) in sessions[-1].items()} if sessions else {}
    typical = {name: median(shares.get(name, (0, 0.0))[1] for shares in sessions) for name in counts}
    total = sum(typical.values())
    if not total:
        raise RuntimeError(NO_TIME)
    operators = []
    for name in sorted(typical, key=lambda name: (-typical[name], name)):
        kind, share = name.removeprefix(DELEGATE), typical[name] / total
        operators.append({"name": kind, "count": counts[name], "share": share, "is_delegated": kind != name})
    return operators


def summary_shares(text: str) -> Shares:
    """Parse the table by kind: "CONV_2D 17 0.042 51.567% …" → {"CONV_2D": (17, 0.51567)}."""
    shares: Shares = {}
    for line in text.partition(TITLE)[2].splitlines()[2:]:
        cells = line.rsplit(None, COLUMNS)
        if len(cells) <= COLUMNS or not cells[3].endswith("%"):
            break
        shares[cells[0].strip()] = (int(cells[1]), float(cells[3][:-1]) / 100)
    return shares if 0 < sum(share for _, share in shares.values()) < 2 else {}  # else not a number


class _CompiledModel:
    """A model in the C library, with its profiler; nothing is freed, since the process ends soon."""

    def __init__(self, file: str, *, threads: int, kernel_mode: int) -> None:
        self.environment, self.model = Pointer(), Pointer()
        _call("LiteRtCreateEnvironment", 0, None, ctypes.byref(self.environment))
        _call("LiteRtCreateModelFromFile", self.environment, file.encode(), ctypes.byref(self.model))
        self.compiled, self.profiler = Pointer(), Pointer()
        options = _create_options(f"num_threads = {threads}\nkernel_mode = {kernel_mode}\n")
        _call("LiteRtCreateCompiledModel", self.environment, self.model, options, ctypes.byref(self.compiled))
        _call("LiteRtCompiledModelGetProfiler", self.compiled, ctypes.byref(self.profiler))
        self.inputs, self.outputs = self._create_buffer("Input"), self._create_buffer("Output")

    def run(self) -> None:
        one, first = ctypes.c_size_t(1), ctypes.c_size_t(0)
        _call("LiteRtRunCompiledModel", self.compiled, first, one, self.inputs, one, self.outputs)

    def summary(self) -> str:
        """Return the profiler's table for a session of some runs."""
        _call("LiteRtResetProfiler", self.profiler)
        _call("LiteRtStartProfiler", self.profiler)
        for _ in range(SESSION_ROUNDS):
            self.run()
        _call("LiteRtStopProfiler", self.profiler)
        text = ctypes.c_char_p()
        _call("LiteRtGetProfileSummary", self.profiler, self.compiled, ctypes.byref(text))
        return (text.value or b"").decode("utf-8", "replace")

    def _create_buffer(self, direction: str) -> Any:
        """Return an array of one buffer, for the model's only input or output."""
        graph, index, tensor, requirements = Pointer(), ctypes.c_size_t(), Pointer(), Pointer()
        tensor_type, buffers = (ctypes.c_uint32 * TENSOR_TYPE_WORDS)(), (Pointer * 1)()
        first = ctypes.c_size_t(0)
        _call("LiteRtGetMainModelSubgraphIndex", self.model, ctypes.byref(index))
        _call("LiteRtGetModelSubgraph", self.model, index, ctypes.byref(graph))
        _call(f"LiteRtGetSubgraph{direction}", graph, first, ctypes.byref(tensor))
        _call("LiteRtGetRankedTensorType", tensor, tensor_type)
        name = f"LiteRtGetCompiledModel{direction}BufferRequirements"
        _call(name, self.compiled, first, first, ctypes.byref(requirements))
        name = "LiteRtCreateManagedTensorBufferFromRequirements"
        _call(name, self.environment, tensor_type, requirements, buffers)
        return buffers


KEPT_TEXTS: list[Any] = []  # the texts of options live until this process ends, so nothing frees them
KEEP_TEXT = ctypes.CFUNCTYPE(None, Pointer)(lambda _: None)


def _create_options(cpu_options: str) -> Pointer:
    options = Pointer()
    _call("LiteRtCreateOptions", ctypes.byref(options))
    _call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
    texts = {"xnnpack": cpu_options, "runtime_options_string": "enable_profiling = true\n"}
    for name, toml in texts.items():
        text, opaque = ctypes.create_string_buffer(toml.encode()), Pointer()
        KEPT_TEXTS.append(text)
        _call("LiteRtCreateOpaqueOptions", name.encode(), text, KEEP_TEXT, ctypes.byref(opaque))
        _call("LiteRtAddOpaqueOptions", options, opaque)
    return options


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the library; AttributeError if this version has none of that name."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("ai-edge-litert is not installed")
    library = ctypes.CDLL(str(Path(next(iter(spec.submodule_search_locations))) / LIBRARY))
    status = getattr(library, name)(*arguments)
    if status:
        raise RuntimeError(f"{name} returned {status}")
