"""The reasons why a model is slower than the first one."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.protocol.plan import Setting
from benchmarks.protocol.results import (
    CountedModel,
    OperatorTime,
    ProfiledModel,
    TargetMeasurement,
    TimedModel,
)
from benchmarks.statistics.slow_operators import explain_slow_models
from dermpack.inference.interpreter_host import Kernels
from tests.support.measured_examples import a_plan

OLD = Setting(runtime="tflite-runtime", kernels=Kernels.XNNPACK, threads=1)
NEW = replace(OLD, runtime="ai-edge-litert")
PLAN = a_plan("float32", "int8")


def timed(model: str, setting: Setting, ms: float, delegated: str = "all") -> TimedModel:
    rounds = tuple(ms * (1 + at % 5 / 1000) for at in range(100))
    return TimedModel(
        model=model,
        setting=setting,
        load_ms=1.0,
        first_ms=ms,
        warm_up_rounds=10,
        rounds_ms=rounds,
        turns=25,
        peak_bytes=None,
        delegated=delegated,
    )


def here(
    *of: TimedModel, features: str = "asimddp", profiled: tuple[ProfiledModel, ...] = ()
) -> TargetMeasurement:
    return TargetMeasurement(
        target="host", is_emulated=False, environment={"features": features}, timed=of, profiled=profiled
    )


def test_a_runtime_without_xnnpack_for_integers_is_compared_with_its_successor() -> None:
    slow = [timed("float32", OLD, 2.0), timed("int8", OLD, 5.0, "none")]
    quick = [timed("float32", NEW, 2.0), timed("int8", NEW, 1.0)]
    assert list(explain_slow_models(here(*slow, *quick), PLAN)) == [
        "int8 takes 2.5 times as long as float32 with tflite-runtime, default kernels, 1 thread: "
        "this runtime runs such a file on its own older kernels, but float32 through XNNPACK; "
        "its successor ai-edge-litert was 5.0 times as fast with the same file"
    ]


def test_models_of_one_reason_share_a_sentence() -> None:
    slow = [timed("float32", OLD, 2.0), timed("ptq", OLD, 5.0, "none"), timed("qat", OLD, 6.0, "none")]
    quick = [timed("float32", NEW, 2.0), timed("ptq", NEW, 1.0), timed("qat", NEW, 1.0)]
    (sentence,) = explain_slow_models(here(*slow, *quick), a_plan("float32", "ptq", "qat"))
    assert sentence.startswith("ptq takes 2.5, qat 3.0 times as long as float32 with tflite-runtime")
    assert sentence.endswith("its successor ai-edge-litert was 5.0, 6.0 times as fast with the same files")


def test_a_successor_that_was_not_measured_is_named() -> None:
    slow = [timed("float32", OLD, 2.0), timed("int8", OLD, 5.0, "none")]
    assert "its successor ai-edge-litert was not measured" in next(explain_slow_models(here(*slow), PLAN))


def test_the_operators_that_xnnpack_does_not_run_are_named() -> None:
    operators = (
        OperatorTime(name="MEAN", count=1, share=0.7, is_delegated=False),
        OperatorTime(name="Convolution", count=9, share=0.3, is_delegated=True),
    )
    profiled = (ProfiledModel(model="int8", setting=NEW, operators=operators),)
    two = replace(NEW, threads=2)
    slow = [timed("float32", two, 2.0), timed("int8", two, 3.0, "64 of 67 operators")]
    sentence = next(explain_slow_models(here(*slow, profiled=profiled), PLAN))
    assert "64 of 67 operators" in sentence and "(70 % of the time in MEAN)" in sentence


def test_a_processor_without_dot_products_is_a_reason() -> None:
    slow = [timed("float32", NEW, 2.0), timed("int8", NEW, 3.0)]
    assert "no int8 dot-product" in next(explain_slow_models(here(*slow, features="fp asimd"), PLAN))
    assert "dot-product" not in next(explain_slow_models(here(*slow), PLAN))
    partly = [slow[0], timed("int8", NEW, 3.0, "64 of 67 operators")]
    assert "no int8 dot-product" in next(explain_slow_models(here(*partly, features="fp asimd"), PLAN))


def test_a_model_that_is_not_slower_has_no_reason() -> None:
    assert not list(explain_slow_models(here(timed("float32", NEW, 2.0), timed("int8", NEW, 1.0)), PLAN))
    assert not list(explain_slow_models(here(timed("float32", NEW, 2.0), timed("int8", NEW, 2.02)), PLAN))
    assert not list(explain_slow_models(here(timed("int8", NEW, 2.0)), PLAN))


def test_counts_under_emulation_have_reasons() -> None:
    counts = {("float32", OLD): 6_900, ("int8", OLD): 16_600, ("float32", NEW): 6_300, ("int8", NEW): 3_400}
    measured = TargetMeasurement(
        target="qemu:cortex-a76",
        is_emulated=True,
        environment={},
        counted=tuple(
            CountedModel(
                model=model,
                setting=setting,
                instructions=(of, of, of),
                delegated="none" if (model, setting) == ("int8", OLD) else "all",
            )
            for (model, setting), of in counts.items()
        ),
    )
    assert list(explain_slow_models(measured, PLAN)) == [
        "int8 takes 2.4 times the instructions of float32 with tflite-runtime, default kernels, 1 thread: "
        "this runtime runs such a file on its own older kernels, but float32 through XNNPACK; "
        "its successor ai-edge-litert took 0.20 times the instructions with the same file"
    ]
