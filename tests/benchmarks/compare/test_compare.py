"""The comparison of two reports: changes, significance and regressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.compare.compare import RegressionLimits, ReportComparison, compare_reports
from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.report.build_record import build_record
from benchmarks.report.schema import Record
from tests.support.errors import raises_code
from tests.support.measured_examples import (
    CLASSES,
    LITERT_TWO,
    TRUTH,
    a_model,
    a_plan,
    answered,
    counted,
    measured,
    refused,
    saying,
    scored,
    summarized,
    timed,
)

ONE_LOST = (*TRUTH[:9], 1)
OTHER_WRONG = (1, *TRUTH[1:])


def report(*targets: TargetMeasurement, plan: BenchmarkPlan | None = None) -> Record:
    return build_record(targets, plan or BenchmarkPlan(models=[a_model(), a_model("int8")]))


def changed(old: TargetMeasurement, new: TargetMeasurement, **limits: float) -> ReportComparison:
    return compare_reports(report(old), report(new), limits=RegressionLimits(**limits))


def rounds(around_ms: float, *, seed: int = 0) -> TargetMeasurement:
    return measured(timed=(timed(around_ms=around_ms, rounds=200, seed=seed),))


def labels(old: Sequence[int], new: Sequence[int], **limits: float) -> ReportComparison:
    before, now = (measured(answered=(saying(of),)) for of in (old, new))
    return compare_reports(
        report(before, plan=a_plan()), report(now, plan=a_plan()), limits=RegressionLimits(**limits)
    )


def test_a_significantly_slower_model_is_a_regression() -> None:
    found = changed(rounds(10.0), rounds(11.0, seed=1))
    (finding,) = found.findings
    assert finding.is_regression and finding.change == pytest.approx(0.1, abs=0.01)
    assert "10" in finding.sentence and "slower" in finding.sentence and found.is_regression


def test_a_significant_slowdown_within_the_limit_is_not_a_regression() -> None:
    found = changed(rounds(10.0), rounds(10.3, seed=1))
    assert found.findings[0].is_told and not found.is_regression
    assert changed(rounds(10.0), rounds(10.3, seed=1), max_slowdown=0.02).is_regression


def test_a_faster_model_is_not_a_regression() -> None:
    found = changed(rounds(10.0), rounds(8.0, seed=1))
    assert "faster" in found.sentences[0] and not found.is_regression


def test_noise_is_not_significant() -> None:
    found = changed(rounds(10.0), rounds(10.0, seed=1))
    assert not found.findings[0].is_told
    assert "no significant difference" in found.sentences[0]


def test_too_few_rounds_are_never_a_regression() -> None:
    old, new = (measured(timed=(timed(around_ms=ms, rounds=5),)) for ms in (10.0, 20.0))
    assert not changed(old, new).is_regression
    assert "without raw rounds" in changed(old, new).sentences[0]


def test_figures_without_rounds_are_shown_but_no_regression() -> None:
    old, new = (measured("adb:1", summarized=(summarized(around_ms=ms),)) for ms in (8.0, 12.0))
    found = changed(old, new)
    assert "50" in found.sentences[0] and not found.is_regression


@pytest.mark.parametrize(
    ("new", "is_told", "is_regression"),
    [
        (100_000_000, False, False),
        (100_050_000, False, False),
        (100_200_000, True, True),
        (99_000_000, True, False),
    ],
)
def test_instructions_are_compared_to_the_thousandth(new: int, is_told: bool, is_regression: bool) -> None:
    old, now = (measured("qemu:cortex-a72", counted=(counted(instructions=of),)) for of in (100_000_000, new))
    (finding,) = changed(old, now).findings
    assert (finding.is_told, finding.is_regression) == (is_told, is_regression)


def test_a_lost_picture_is_a_regression_beyond_the_limit_alone() -> None:
    assert labels(TRUTH, ONE_LOST).is_regression
    assert not labels(TRUTH, ONE_LOST, max_drop=10.0).is_regression
    assert "loses 8.3 points" in labels(TRUTH, ONE_LOST).sentences[0]


def test_a_drop_of_exactly_the_limit_is_not_a_regression() -> None:
    assert not labels(TRUTH, ONE_LOST, max_drop=25 / 3).is_regression


def test_a_drop_that_is_not_significant_is_marked() -> None:
    sentence = labels(ONE_LOST, OTHER_WRONG, max_drop=0).sentences[0]
    assert "2 of 10 pictures get another label" in sentence and "not significant" in sentence


def test_equal_labels_have_a_sentence() -> None:
    found = labels(TRUTH, TRUTH)
    assert found.sentences == (
        "float32 on host, ai-edge-litert, default kernels, 1 thread gives all 10 pictures the same labels",
    )


def test_a_model_that_does_not_run_any_more_is_a_regression() -> None:
    old = measured(timed=(timed(setting=LITERT_TWO),))
    new = measured(refused=(refused(model="float32", setting=LITERT_TWO),), timed=(timed(model="int8"),))
    found = changed(old, new)
    assert found.is_regression and "does not run any more" in found.sentences[0]


def test_outputs_that_became_invalid_are_a_regression() -> None:
    spoilt = answered(saying(TRUTH).outputs.astype("float32") * 0, scale=0.0)
    old, new = (measured(answered=(of,)) for of in (saying(TRUTH), spoilt))
    found = compare_reports(report(old, plan=a_plan()), report(new, plan=a_plan()), limits=RegressionLimits())
    assert found.is_regression and "bcc/000.png" in found.sentences[0]


def test_labels_are_compared_by_name_if_a_model_has_more() -> None:
    more = BenchmarkPlan(models=[a_model(labels=("aaa", *CLASSES))], scored=scored())
    outputs = np.zeros((len(TRUTH), 4), dtype=np.uint8)
    for at, label in enumerate(TRUTH):
        outputs[at, label + 1] = 255
    new = report(measured(answered=(answered(outputs),)), plan=more)
    old = report(measured(answered=(saying(TRUTH),)), plan=a_plan())
    assert "same labels" in compare_reports(old, new, limits=RegressionLimits()).sentences[0]


def test_another_device_is_refused_in_one_line() -> None:
    other = replace(rounds(10.0), environment={"processor": "Another CPU"})
    with raises_code("reports-not-comparable", "host", "Workbench 3000") as caught:
        changed(rounds(10.0), other)
    assert "\n" not in str(caught.value)


def test_emulated_processors_are_the_same_on_any_machine() -> None:
    old = measured("qemu:cortex-a72", counted=(counted(),))
    new = replace(old, environment={"processor": "Cortex-A72", "cores": "64"})
    assert not changed(old, new).is_regression


def test_reports_without_a_common_target_are_refused() -> None:
    with raises_code("reports-not-comparable", "host", "ssh:pi@pi"):
        changed(rounds(10.0), replace(rounds(10.0), target="ssh:pi@pi"))


def test_other_pictures_are_refused() -> None:
    here = measured(answered=(saying(TRUTH),))
    fewer = measured(answered=(saying(TRUTH[:8]),))
    plans = a_plan(), a_plan(truth=TRUTH[:8])
    with raises_code("reports-not-comparable", "10 of test", "8 of test", "--pictures"):
        compare_reports(report(here, plan=plans[0]), report(fewer, plan=plans[1]), limits=RegressionLimits())


def test_another_dataset_is_refused() -> None:
    there = scored()
    plan = BenchmarkPlan(
        models=[a_model()], scored=replace(there, dataset=replace(there.dataset, sha256="e" * 64))
    )
    here = measured(answered=(saying(TRUTH),))
    with raises_code("reports-not-comparable", "demo dddd", "demo eeee", "--data"):
        compare_reports(report(here, plan=a_plan()), report(here, plan=plan), limits=RegressionLimits())


def test_changed_conditions_are_notes() -> None:
    newer = replace(rounds(10.0), environment={**rounds(10.0).environment, "ai-edge-litert": "2.4.0"})
    notes = changed(rounds(10.0), newer).notes
    assert "host: ai-edge-litert '2.3.0', now '2.4.0'" in notes


def test_results_in_one_report_only_are_notes() -> None:
    both = measured(timed=(timed(), timed(model="int8")))
    assert "only in the old report: 1 result of int8" in changed(both, measured(timed=(timed(),))).notes


def test_regressions_come_first_and_the_record_has_them_all() -> None:
    old = measured(timed=(timed(rounds=200), timed(model="int8", rounds=200)))
    new = measured(timed=(timed(rounds=200), timed(model="int8", around_ms=20.0, rounds=200)))
    found = changed(old, new)
    assert found.sentences[0].startswith("regression: int8")
    record = found.record()
    assert record["is_regression"] and [of["model"] for of in record["findings"]] == ["float32", "int8"]
