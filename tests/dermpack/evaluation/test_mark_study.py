"""Marks change the answers of a model that looks at them, and leave those of another one alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dermpack.dataset.manifest import Dataset, Split
from dermpack.evaluation.evaluate import evaluate
from dermpack.evaluation.mark_study import mark_rows, study_marks
from dermpack.evaluation.report import evaluation_files
from dermpack.imaging.decoding import decode
from dermpack.imaging.preprocessing import Policy
from dermpack.progress import Track, silent
from dermpack.synthetic.marks import MarkKind, draw_mark, draw_marks, paint_mark
from tests.support.evaluation_dataset import make_dataset

SIDE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksAt:
    """Answers "mel" for a bright picture, judged by a quantile of its pixels: 1 is the brightest one."""

    quantile: float
    classes: tuple[str, ...] = ("akiec", "mel")
    input_format: tuple[int, Policy] = (SIDE, Policy.CENTRE_SQUARE)

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> npt.NDArray[np.float64]:
        del track
        levels = [np.quantile(decode(file).pixels, self.quantile) for file in files]
        is_bright = np.array(levels) > 128
        return np.stack([1.0 - is_bright, 0.0 + is_bright], axis=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("marks") / "set")


def test_a_model_that_looks_at_the_whole_picture_keeps_its_answers(dataset: Dataset) -> None:
    predictor = LooksAt(quantile=0.5)
    evaluation = evaluate(predictor, dataset, model={"name": "whole"})
    effects = study_marks(predictor, dataset, Split.TEST, evaluation.predictions, resamples=200, seed=0)
    assert [effect.kind for effect in effects] == list(MarkKind)
    assert [effect.changed_answers for effect in effects] == [0, 0, 0]


def test_a_model_that_looks_at_the_brightest_pixels_calls_marked_pictures_by_the_other_label(
    dataset: Dataset,
) -> None:
    predictor = LooksAt(quantile=1.0)
    evaluation = evaluate(predictor, dataset, model={"name": "brightest"})
    assert evaluation.scores.value("accuracy") == 1.0
    effects = study_marks(predictor, dataset, Split.TEST, evaluation.predictions, resamples=200, seed=0)
    for effect in effects:
        dark, bright = effect.labels
        assert dark.recall is not None and dark.recall.difference < -0.5
        assert dark.recall.ci95 is None  # it has fewer than ten groups
        assert dark.answers.ci95 is not None and dark.answers.ci95[1] < 0
        assert bright.recall is not None and bright.recall.difference == 0
        assert bright.answers.difference == pytest.approx(-dark.answers.difference)
    marked = replace(evaluation, marks=effects)
    record = marked.record()["marks"][0]
    assert record["figures"]["balanced_accuracy"]["unmarked"] == 1.0
    assert b"Generated marks" in evaluation_files(marked)["report.html"]
    assert len(mark_rows(effects)) == len(MarkKind) * 2


@pytest.mark.parametrize("kind", MarkKind)
def test_a_mark_is_at_the_border_and_depends_on_the_seed_alone(kind: MarkKind) -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    mark = draw_mark(kind, SIDE, seed=(3, 1))
    assert np.array_equal(mark, draw_mark(kind, SIDE, seed=(3, 1)))
    assert not np.array_equal(mark, draw_mark(kind, SIDE, seed=(3, 2)))
    painted = paint_mark(grey, mark)
    assert (painted != grey).any()
    middle = slice(SIDE // 3, 2 * SIDE // 3)
    assert np.array_equal(painted[middle, middle], grey[middle, middle])


def test_marks_of_all_kinds_come_in_turn() -> None:
    marks = draw_marks(SIDE, count=6, seed=1)
    assert marks.shape == (6, SIDE, SIDE, 2)
    assert (marks[..., 1].reshape(6, -1).max(axis=1) > 0).all()
