"""Interpreters on which a file works are listed without a contradiction."""

from __future__ import annotations

from dermpack.contract import RuntimeResult
from dermpack.verification.runtime_trials import describe_runtime, list_working


def result(runtime: str, delegate: str, *, works: bool) -> RuntimeResult:
    return RuntimeResult(runtime=runtime, version="9.9", delegate=delegate, works=works, result="")


def test_kernels_are_named_where_only_some_of_them_work() -> None:
    tried = (
        result("ai-edge-litert", "xnnpack", works=True),
        result("ai-edge-litert", "none", works=False),
        result("tflite-runtime", "xnnpack", works=True),
        result("tflite-runtime", "none", works=True),
    )
    assert list_working(tried) == ["ai-edge-litert 9.9 (XNNPACK)", "tflite-runtime 9.9"]
    assert describe_runtime(tried[1]) == "ai-edge-litert 9.9 (own kernels)"


def test_an_interpreter_on_which_nothing_works_is_not_listed() -> None:
    assert list_working((result("ai-edge-litert", "none", works=False),)) == []
