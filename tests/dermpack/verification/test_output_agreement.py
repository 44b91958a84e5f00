"""Outputs may differ between interpreters only as far as their kernels explain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dermpack.contract import (
    Contract,
    FamiliarityKind,
    FamiliarityOutput,
    QuantizationRecord,
    RequiredOperator,
    RuntimeResult,
    TensorType,
    summarize_runtimes,
)
from dermpack.inference.interpreter_host import Kernels, Runtime
from dermpack.metrics.predictions import Floats
from dermpack.verification.check_result import Check, CheckOutcome
from dermpack.verification.familiarity import check_distances
from dermpack.verification.interpreter_runs import InterpreterRun
from dermpack.verification.output_agreement import check_outputs, check_runs
from tests.support.contracts import contract_for

STEP = 1 / 256
BASE = np.tile([0.5, 0.25, 0.25], (4, 1))
INTEGERS = contract_for()


def ran(
    outputs: Floats | None,
    *,
    engine: Runtime = Runtime.LITERT,
    kernels: Kernels = Kernels.BUILTIN,
    is_delegated: bool = False,
    problem: str = "",
) -> InterpreterRun:
    return InterpreterRun(
        engine=engine,
        kernels=kernels,
        version="9.9",
        outputs=outputs,
        is_delegated=is_delegated,
        problem=problem,
    )


def moved(by: float) -> Floats:
    """Return the outputs with a shift between the first two labels of one picture."""
    found = BASE.copy()
    found[0] += (by, -by, 0)
    return found


def of_recipe(name: str) -> Contract:
    return replace(INTEGERS, recipe=QuantizationRecord(name=name, method="none"))


def compared(second: InterpreterRun, contract: Contract = INTEGERS) -> Check:
    (check,) = check_outputs((ran(BASE), second), contract)
    return check


def test_integers_may_be_one_step_apart() -> None:
    other = ran(moved(STEP), engine=Runtime.TFLITE_RUNTIME)
    assert compared(other).outcome is CheckOutcome.HOLDS


def test_integers_two_steps_apart_on_the_same_kernels_fail() -> None:
    other = ran(moved(2 * STEP), engine=Runtime.TFLITE_RUNTIME)
    assert compared(other).outcome is CheckOutcome.FAILS


@pytest.mark.parametrize(("version", "outcome"), [(1, CheckOutcome.FAILS), (2, CheckOutcome.NOTED)])
def test_interpreters_round_the_sums_of_int8_layers_in_their_own_way(
    version: int, outcome: CheckOutcome
) -> None:
    contract = replace(INTEGERS, operators=(RequiredOperator(name="ADD", version=version),))
    check = compared(ran(moved(2 * STEP), engine=Runtime.TFLITE_RUNTIME), contract)
    assert check.outcome is outcome
    assert ("round the additions" in check.detail) is (outcome is CheckOutcome.NOTED)
    assert compared(ran(moved(2 * STEP)), contract).outcome is CheckOutcome.FAILS


def test_many_steps_behind_a_softmax_are_noted_where_xnnpack_rounded() -> None:
    check = compared(ran(moved(20 * STEP), kernels=Kernels.XNNPACK, is_delegated=True))
    assert check.outcome is CheckOutcome.NOTED
    assert "20 steps" in check.detail
    assert "XNNPACK rounds" in check.detail


def test_xnnpack_without_a_part_of_the_graph_is_not_a_reason() -> None:
    other = ran(moved(20 * STEP), kernels=Kernels.XNNPACK)
    assert compared(other).outcome is CheckOutcome.FAILS


def test_outputs_far_apart_fail_on_any_kernels() -> None:
    other = ran(np.roll(BASE, 1, axis=1), kernels=Kernels.XNNPACK, is_delegated=True)
    assert compared(other).outcome is CheckOutcome.FAILS


@pytest.mark.parametrize(("by", "outcome"), [(9e-5, CheckOutcome.HOLDS), (2e-4, CheckOutcome.FAILS)])
def test_floats_may_be_a_ten_thousandth_apart(by: float, outcome: CheckOutcome) -> None:
    other = ran(moved(by), kernels=Kernels.XNNPACK, is_delegated=True)
    assert compared(other, of_recipe("float32")).outcome is outcome


def test_dynamic_ranges_are_rounded_by_each_interpreter_in_its_own_way() -> None:
    other = ran(moved(0.01), engine=Runtime.TFLITE_RUNTIME)
    assert compared(other, of_recipe("dynamic")).outcome is CheckOutcome.NOTED


def test_nan_fails() -> None:
    outputs = np.full_like(BASE, np.nan)
    assert compared(ran(outputs)).outcome is CheckOutcome.FAILS
    (check, *_) = check_runs((ran(outputs),), INTEGERS)
    assert check.outcome is CheckOutcome.FAILS
    assert check.record()["figures"] == {}


def test_nan_is_null_in_json() -> None:
    assert compared(ran(np.full_like(BASE, np.nan))).record()["figures"]["max"] is None


def stating(**works: bool) -> Contract:
    """Return a contract that states on which kernels of the newer interpreter the file works."""
    tried = [
        RuntimeResult(
            runtime="ai-edge-litert", version="9.9", delegate=name, works=is_right, result="16 pictures"
        )
        for name, is_right in works.items()
    ]
    return replace(INTEGERS, runtimes=summarize_runtimes(tuple(tried)))


def test_the_reference_is_a_run_that_the_contract_states_to_work() -> None:
    wrong, right = ran(np.roll(BASE, 1, axis=1)), ran(BASE, kernels=Kernels.XNNPACK, is_delegated=True)
    (check,) = check_outputs((wrong, right), stating(none=False, xnnpack=True))
    assert check.figures["against"] == str(right)
    assert (check.name, check.outcome) == (f"outputs on {wrong}", CheckOutcome.NOTED)
    (check,) = check_outputs((wrong, right), stating(none=True, xnnpack=True))
    assert (check.name, check.outcome) == (f"outputs on {right}", CheckOutcome.FAILS)


def test_kernels_that_the_contract_excludes_need_not_give_probabilities() -> None:
    wrong = ran(np.full_like(BASE, np.nan))
    (check,) = check_runs((wrong,), stating(none=False))
    assert check.outcome is CheckOutcome.NOTED


@pytest.mark.parametrize(("by", "limit"), [(20 * STEP, "more than 0.0039"), (0.26, "more than 0.25")])
def test_a_failed_comparison_states_the_limit_that_applied(by: float, limit: str) -> None:
    has_reason = limit.endswith("0.25")
    check = compared(ran(moved(by), kernels=Kernels.XNNPACK, is_delegated=has_reason))
    assert check.outcome is CheckOutcome.FAILS
    assert check.detail.endswith(limit)
    assert "--float16" in check.hint


def test_a_failed_comparison_by_the_mean_states_the_limit_of_the_mean() -> None:
    shift = np.array([0.2, -0.1, -0.1])
    check = compared(ran(BASE + shift, kernels=Kernels.XNNPACK, is_delegated=True))
    assert check.outcome is CheckOutcome.FAILS
    assert check.detail.endswith("more than 0.05 on average")


def test_the_hint_for_a_float_file_names_no_method() -> None:
    check = compared(ran(moved(0.1), engine=Runtime.TFLITE_RUNTIME), of_recipe("float32"))
    assert check.outcome is CheckOutcome.FAILS
    assert check.hint and "--method" not in check.hint


@pytest.mark.parametrize(("works", "outcome"), [(False, CheckOutcome.NOTED), (True, CheckOutcome.FAILS)])
def test_a_refusal_that_the_contract_states_is_noted(works: bool, outcome: CheckOutcome) -> None:
    stated = RuntimeResult(
        runtime="ai-edge-litert", version="9.9", delegate="xnnpack", works=works, result="FULLY_CONNECTED 12"
    )
    contract = replace(INTEGERS, runtimes=summarize_runtimes((stated,)))
    (check,) = check_runs((ran(None, problem="refused"),), contract)
    assert check.outcome is outcome


def test_a_refusal_that_the_contract_does_not_state_fails() -> None:
    (check, *_) = check_runs((ran(None, problem="refused"),), INTEGERS)
    assert check.outcome is CheckOutcome.FAILS


@pytest.mark.parametrize("number", [-0.001, np.nan, np.inf])
def test_a_number_that_is_not_a_distance_fails(number: float) -> None:
    output = FamiliarityOutput(
        shape=(1, 1),
        dtype=TensorType.FLOAT32,
        scale=None,
        zero_point=None,
        kind=FamiliarityKind.MAHALANOBIS,
        threshold=2.5,
        accepted=0.95,
        n=100,
        split="validation",
    )
    contract = replace(INTEGERS, signature="main", outputs={**INTEGERS.outputs, "familiarity": output})
    (check,) = check_distances([replace(ran(BASE), distances=np.array([1.0, number]))], contract)
    assert check.outcome is CheckOutcome.FAILS
