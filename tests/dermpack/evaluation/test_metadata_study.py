"""What metadata adds: variants, paired differences, and the loss of each column."""

from __future__ import annotations

import numpy as np
import pytest

from dermpack.evaluation.metadata_section import terminal_rows
from dermpack.evaluation.metadata_study import BOTH, METADATA, PICTURE, REPEATS, make_variants, study_metadata
from dermpack.inference.metadata_rows import EncodedMetadata, MetadataVariant, blank_row, encode_cells
from dermpack.metrics.predictions import Floats, Predictions
from tests.support.known_patients import COLUMNS

N = 60
TRUTH = np.arange(N) % 2


def known(n: int = N) -> EncodedMetadata:
    """Sex is the label, age is not."""
    rng = np.random.default_rng(0)
    cells = {
        "age": [str(age) for age in rng.integers(0, 85, n)],
        "sex": ["male" if index % 2 else "female" for index in range(n)],
    }
    return encode_cells(COLUMNS, cells, n=n)


def answer(variant: MetadataVariant) -> Floats:
    """A model that believes the sex; without one, it answers the first label."""
    male = variant.rows[:, 3].astype(np.float64)
    second = 0.2 + 0.6 * male
    return np.stack([1 - second, second], axis=1)


def predictions(probabilities: Floats) -> Predictions:
    names = tuple(map(str, range(N)))
    return Predictions(
        classes=("a", "b"), pictures=names, groups=names, truth=TRUTH, probabilities=probabilities
    )


def test_variants_are_as_it_is_blank_without_picture_shuffled_and_each_column() -> None:
    metadata = known()
    both, blank, hidden, shuffled, *columns = make_variants(metadata, has_picture=True, seed=0)
    assert both.rows is metadata.rows and not both.hides_picture
    assert (blank.rows == blank_row(COLUMNS)).all()
    assert hidden.hides_picture and hidden.rows is metadata.rows
    assert sorted(map(tuple, shuffled.rows)) == sorted(map(tuple, metadata.rows))
    assert len(columns) == REPEATS * len(COLUMNS)
    first = columns[0].rows
    np.testing.assert_array_equal(first[:, 2:], metadata.rows[:, 2:])
    assert (first[:, :2] != metadata.rows[:, :2]).any()


def test_the_rows_and_losses_are_those_of_the_metadata_that_the_model_uses() -> None:
    metadata = known()
    probabilities = np.stack([answer(one) for one in make_variants(metadata, has_picture=True, seed=0)])
    scored = predictions(probabilities[0])
    other = predictions(np.tile([0.6, 0.4], (N, 1)))
    study = study_metadata(
        scored, probabilities, metadata, others=[(PICTURE, "run", other)], resamples=1000, seed=0
    )
    values = {(row.name, row.model): row.figures["balanced_accuracy"].value for row in study.rows}
    assert values[BOTH, ""] == values[METADATA, ""] == 1.0
    assert values[PICTURE, ""] == values[PICTURE, "run"] == 0.5
    gain = study.rows[1].gains["balanced_accuracy"]
    assert gain.difference == pytest.approx(0.5)
    assert gain.ci95 is not None and gain.ci95[0] > 0.3
    losses = {loss.column: loss for loss in study.columns}
    assert losses["sex"].mean == pytest.approx(0.5, abs=0.15)
    assert losses["age"].mean == losses["localization"].mean == 0
    assert [row[0] for row in terminal_rows(study)][-1].startswith("picture alone (run")


def test_a_model_without_a_picture_has_two_rows() -> None:
    metadata = known()
    variants = make_variants(metadata, has_picture=False, seed=0)
    probabilities = np.stack([answer(one) for one in variants])
    study = study_metadata(predictions(probabilities[0]), probabilities, metadata, resamples=1000, seed=0)
    assert [row.name for row in study.rows] == [BOTH, "metadata of other pictures"]
