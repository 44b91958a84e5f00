"""Raw outputs → what is lost, and whether two places agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import AnsweredPictures
from benchmarks.report.schema import AccuracyDrop, ScoredAnswer
from benchmarks.statistics.outputs import collect_outputs, compare_accuracy, compare_places, score_outputs
from tests.support.measured_examples import (
    CLASSES,
    LITERT,
    LITERT_TWO,
    RUNTIME,
    TRUTH,
    a_model,
    a_plan,
    answered,
    measured,
    saying,
    scored,
)

ONE_LOST = (*TRUTH[:9], 1)  # the last nv is called mel


def the_answer(given: AnsweredPictures, plan: BenchmarkPlan | None = None) -> ScoredAnswer:
    collected = collect_outputs([measured(answered=(given,))], plan or a_plan())
    return score_outputs(collected[0], seed=0)


def the_drop(first: AnsweredPictures, here: AnsweredPictures) -> AccuracyDrop:
    return next(compare_accuracy(collect_outputs([measured(answered=(first, here))], a_plan()), seed=0))


def test_integers_are_scaled_before_they_are_scored() -> None:
    answer = the_answer(saying(TRUTH, sure=192))
    assert answer.accuracy is not None and answer.accuracy.value == 1.0
    assert answer.mean_confidence == pytest.approx(0.75)
    assert answer.predicted == TRUTH


def test_a_figure_has_an_interval_over_groups() -> None:
    pictures = tuple(replace(of, group=of.path) for of in scored().pictures)
    answer = the_answer(
        saying(ONE_LOST), BenchmarkPlan(models=[a_model()], scored=replace(scored(), pictures=pictures))
    )
    assert answer.accuracy is not None and answer.accuracy.ci95 is not None
    low, high = answer.accuracy.ci95
    assert low <= 0.9 <= high <= 1.0


def test_a_figure_of_five_groups_has_no_interval() -> None:
    answer = the_answer(saying(ONE_LOST))
    assert answer.accuracy is not None and answer.accuracy.ci95 is None


def test_a_single_output_is_the_probability_of_the_second_label() -> None:
    two = replace(scored(), dataset=replace(scored().dataset, classes=("bcc", "mel")))
    plan = BenchmarkPlan(
        models=[a_model(labels=("bcc", "mel"))], scored=replace(two, pictures=two.pictures[:6])
    )
    outputs = np.array([[0.1], [0.2], [0.6], [0.9], [0.8], [0.3]], dtype=np.float32)
    answer = the_answer(answered(outputs, scale=0.0), plan)
    assert answer.predicted == (0, 0, 1, 1, 1, 0)


def test_the_temperature_of_the_sidecar_softens_what_the_app_sees() -> None:
    plain, soft = (
        BenchmarkPlan(models=[a_model(temperature=temperature)], scored=scored())
        for temperature in (1.0, 2.0)
    )
    sure, softer = (the_answer(saying(TRUTH), plan).mean_confidence for plan in (plain, soft))
    assert sure is not None and softer is not None and softer < sure


def test_models_with_labels_in_another_order_are_compared_by_name() -> None:
    turned = CLASSES[::-1]
    plan = BenchmarkPlan(models=[a_model(), a_model("int8", labels=turned)], scored=scored())
    there = saying([2 - label for label in TRUTH], model="int8")
    collected = collect_outputs([measured(answered=(saying(TRUTH), there))], plan)
    drop = next(compare_accuracy(collected, seed=0))
    assert drop.top1_agreement == 1.0


def test_a_label_of_only_one_model_leaves_the_other_comparable() -> None:
    plan = BenchmarkPlan(models=[a_model(), a_model("int8", labels=(*CLASSES, "scc"))], scored=scored())
    outputs = np.zeros((10, 4), dtype=np.uint8)
    outputs[np.arange(10), TRUTH] = 255
    collected = collect_outputs([measured(answered=(saying(TRUTH), answered(outputs, model="int8")))], plan)
    assert next(compare_accuracy(collected, seed=0)).only_first == 0


@pytest.mark.parametrize(
    ("labels", "why"),
    [(None, "labels"), (("mel", "nv", "scc"), "'bcc'")],
)
def test_outputs_that_cannot_be_scored_have_a_reason(labels: tuple[str, ...] | None, why: str) -> None:
    answer = the_answer(saying(TRUTH), BenchmarkPlan(models=[a_model(labels=labels)], scored=scored()))
    assert answer.unscored is not None and why in answer.unscored
    assert answer.accuracy is None and answer.predicted is None


def test_outputs_that_are_no_probabilities_are_not_scored() -> None:
    spoilt = np.full((10, 3), np.nan, dtype=np.float32)
    answer = the_answer(answered(spoilt, scale=0.0))
    assert answer.unscored is not None and "bcc/000.png" in answer.unscored and "nan" in answer.unscored
    assert answer.accuracy is None


def test_settings_with_the_same_bytes_share_an_answer() -> None:
    both = (saying(TRUTH), saying(TRUTH, setting=LITERT_TWO))
    collected = collect_outputs([measured(answered=both)], a_plan())
    assert [place.setting for place in collected[0].where] == [LITERT, LITERT_TWO]
    assert len(collected) == 1


def test_a_drop_counts_what_was_lost_and_names_what_flipped() -> None:
    drop = the_drop(saying(TRUTH), saying(ONE_LOST, model="int8"))
    assert drop.accuracy.difference == pytest.approx(-0.1)
    assert drop.balanced_accuracy.difference == pytest.approx(-0.25 / 3)
    assert (drop.only_first, drop.only_here, drop.mcnemar_p) == (1, 0, 1.0)
    assert drop.top1_agreement == pytest.approx(0.9)
    assert [(flip.picture, flip.first, flip.here) for flip in drop.flips] == [("nv/009.png", "nv", "mel")]


def test_a_drop_has_the_change_of_confidence() -> None:
    drop = the_drop(saying(TRUTH, sure=192), saying(TRUTH, sure=128, model="int8"))
    assert drop.mean_confidence_drift == pytest.approx(0.25)
    assert drop.max_confidence_drift == pytest.approx(0.25)


def test_a_drop_names_the_label_that_lost() -> None:
    drop = the_drop(saying(TRUTH), saying(ONE_LOST, model="int8"))
    lost = {of.label: round(of.recall.difference, 6) for of in drop.per_class}
    assert lost == {"bcc": 0.0, "mel": 0.0, "nv": -0.25}
    assert [of.n for of in drop.per_class] == [3, 3, 4]


def test_no_difference_at_all_has_no_interval() -> None:
    assert the_drop(saying(TRUTH), saying(TRUTH, sure=128, model="int8")).accuracy.ci95 is None


def test_models_are_compared_only_where_both_answered() -> None:
    here = measured(answered=(saying(TRUTH), saying(ONE_LOST, model="int8", setting=RUNTIME)))
    assert list(compare_accuracy(collect_outputs([here], a_plan()), seed=0)) == []


def test_an_emulator_with_equal_outputs_has_no_differences() -> None:
    found = compare_places(
        collect_outputs(
            [measured(answered=(saying(TRUTH),)), measured("qemu:cortex-a72", answered=(saying(TRUTH),))],
            a_plan(),
        )
    )
    assert [(of.first.target, of.where[0].target) for of in found] == [("host", "qemu:cortex-a72")]
    assert (found[0].outputs, found[0].differing, found[0].steps) == (30, 0, {})


def test_steps_are_counted_by_their_distance() -> None:
    apart = saying(TRUTH, setting=RUNTIME)
    outputs = np.array(apart.outputs)
    outputs[0, 0], outputs[1, 1] = outputs[0, 0] - 2, outputs[1, 1] + 1
    found = compare_places(
        collect_outputs([measured(answered=(saying(TRUTH), answered(outputs, setting=RUNTIME)))], a_plan())
    )
    assert found[0].steps == {"1": 1, "2": 1}
    assert (found[0].differing, found[0].other_labels) == (2, 0)
    assert found[0].most == pytest.approx(2 / 256)


def test_floats_differ_without_steps() -> None:
    first = np.full((10, 3), 1 / 3, dtype=np.float32)
    second = first + np.float32(1e-5)
    both = [
        measured(of, answered=(answered(outputs, scale=0.0),))
        for of, outputs in (("host", first), ("ssh:pi@pi", second))
    ]
    found = compare_places(collect_outputs(both, a_plan()))
    assert found[0].steps is None and found[0].most == pytest.approx(1e-5, rel=0.01)


def test_another_target_is_held_against_the_same_runtime_at_home() -> None:
    home = measured(answered=(saying(TRUTH), saying(ONE_LOST, setting=RUNTIME)))
    away = measured("qemu:cortex-a72", answered=(saying(ONE_LOST, setting=RUNTIME),))
    found = compare_places(collect_outputs([home, away], a_plan()))
    across = [of for of in found if of.where[0].target != "host"]
    assert [of.first.setting for of in across] == [RUNTIME]
    assert across[0].differing == 0


def test_without_pictures_there_are_no_outputs() -> None:
    assert collect_outputs([measured()], BenchmarkPlan(models=[a_model()])) == ()
