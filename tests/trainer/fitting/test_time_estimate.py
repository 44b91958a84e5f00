"""What a fit says of its pace, and of the time that is left."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.fitting.events import (
    Epoch,
    FitProgress,
    remaining_after_epoch_s,
    remaining_in_fit_s,
    seconds_per_step,
)


def test_the_first_step_which_builds_the_graph_counts_for_nothing() -> None:
    assert seconds_per_step([40.0]) is None
    assert seconds_per_step([40.0, 41.0, 42.0]) == 1.0


@pytest.mark.parametrize("ends", [[], [40.0], [40.0, 41.0, 42.0], [40.0, 40.1, 40.2, 40.3]])
def test_no_time_is_estimated_before_some_steps_and_seconds_have_passed(ends: list[float]) -> None:
    assert remaining_in_fit_s(ends, steps=100) is None


def test_what_is_left_is_what_later_steps_take() -> None:
    assert remaining_in_fit_s([40.0, 41.0, 42.0, 43.0], steps=60) == 60.0


def test_a_slow_start_is_not_expected_of_the_epochs_to_come() -> None:
    ends = [40.0, 41.0, 42.0]
    assert remaining_after_epoch_s(ends, began=0.0, now=44.0, epochs=10) == pytest.approx(50.0)
    assert remaining_after_epoch_s(ends, began=0.0, now=44.0, epochs=0) == 0
    assert remaining_after_epoch_s([3.0], began=0.0, now=4.0, epochs=10) == pytest.approx(40.0)


def moment(*, pictures_per_s: float | None, remaining_s: float | None, **more: Any) -> FitProgress:
    asked: dict[str, Any] = {"name": "head", "epoch": 1, "epochs": 9, "step": 1, "steps": 60, **more}
    return FitProgress(**asked, pictures_per_s=pictures_per_s, remaining_s=remaining_s)


@pytest.mark.parametrize(
    ("pictures_per_s", "remaining_s", "line"),
    [
        (None, None, "head 1/9 · step 1/60"),
        (81.6, None, "head 1/9 · step 1/60 · 82 pictures/s"),
        (81.6, 24.4, "head 1/9 · step 1/60 · 82 pictures/s · 0:24 left"),
        (81.6, 3599.6, "head 1/9 · step 1/60 · 82 pictures/s · 1:00:00 left"),
        (81.6, 5231.0, "head 1/9 · step 1/60 · 82 pictures/s · 1:27:11 left"),
    ],
)
def test_an_unknown_estimate_is_not_shown(
    pictures_per_s: float | None, remaining_s: float | None, line: str
) -> None:
    assert moment(pictures_per_s=pictures_per_s, remaining_s=remaining_s).line() == line


def test_the_end_of_an_epoch_shows_its_figures() -> None:
    figures = {"balanced_accuracy": 0.5, "auroc": 0.75, "accuracy": 0.5, "loss": 1.0}
    ended = Epoch(number=1, loss=0.9, rate=0.1, validation=figures)
    progress = moment(step=60, pictures_per_s=80.0, remaining_s=90.0, ended=ended, is_best=True)
    assert progress.line() == (
        "head 1/9 · loss 0.900 · balanced accuracy 0.500 · auroc 0.750 · 80 pictures/s · 1:30 left · best"
    )
