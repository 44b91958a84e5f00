"""Batches with metadata: fields are dropped together and at random, and new rows stay valid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dermpack.inference.metadata_rows import blank_row, column_slices, encode_cells
from tests.support.known_patients import COLUMNS
from trainer.recipe.recipe import Balance

pytestmark = pytest.mark.tensorflow

N = 64
TRUTH = np.repeat([0, 1], [48, 16]).astype(np.int64)


def examples() -> Any:
    from trainer.data.examples import Examples

    rng = np.random.default_rng(0)
    cells = {
        "age": [str(age) for age in rng.integers(0, 85, N)],
        "sex": list(rng.choice(["female", "male"], N)),
        "localization": list(rng.choice(["back", "face", "foot", ""], N)),
    }
    names = tuple(map(str, range(N)))
    return Examples(
        copies=rng.normal(size=(1, N, 5)).astype(np.float16),
        truth=TRUTH,
        classes=("a", "b"),
        names=names,
        groups=names,
        metadata=encode_cells(COLUMNS, cells, n=N),
    )


def feed(**options: Any) -> Any:
    from trainer.data.batches import Feed

    whole = examples()
    return Feed(**{"train": whole, "validation": whole, "batch": 16, "seed": 1, **options})


def rows_of(batches: Any) -> Any:
    return np.concatenate([inputs[1].numpy() for inputs, _, _ in batches])


def test_each_picture_keeps_its_metadata() -> None:
    one = feed()
    features = np.concatenate([inputs[0].numpy() for inputs, _, _ in one.batches(0, 4)])
    order = one.order(0)
    np.testing.assert_array_equal(features, np.float32(one.train.copies[0][order]))
    np.testing.assert_array_equal(rows_of(one.batches(0, 4)), one.train.metadata.rows[order])


def test_all_slots_of_a_field_are_dropped_together_and_about_as_often_as_asked() -> None:
    one = feed(metadata_drop=0.25)
    seen = rows_of(one.batches(0, 64))
    kept = one.train.metadata.rows[np.concatenate([one.order(epoch) for epoch in range(16)])]
    blank = blank_row(COLUMNS)
    for slots in column_slices(COLUMNS).values():
        is_blank = (seen[:, slots] == blank[slots]).all(axis=1)
        is_kept = (seen[:, slots] == kept[:, slots]).all(axis=1)
        assert (is_blank | is_kept).all()
        was_blank = (kept[:, slots] == blank[slots]).all(axis=1)
        # A field is dropped alone, or with the whole row: 1 - 0.75 · 0.75.
        assert is_blank[~was_blank].mean() == pytest.approx(0.4375, abs=0.06)


def test_any_step_drops_the_same_fields_without_the_steps_before_it() -> None:
    one = feed(metadata_drop=0.5)
    np.testing.assert_array_equal(rows_of(one.batches(0, 8))[80:], rows_of(one.batches(5, 8)))


def test_workers_drop_the_fields_that_one_process_would() -> None:
    from trainer.distributed.cluster import Shard

    whole = rows_of(feed(metadata_drop=0.5).batches(0, 1))
    for index in range(2):
        shard = Shard(index=index, count=2)
        own = rows_of(feed(metadata_drop=0.5, shard=shard).batches(0, 1))
        np.testing.assert_array_equal(own, whole[shard.rows(16)])


def test_metadata_and_its_dropping_belong_to_the_identity_of_a_fit() -> None:
    one = feed(metadata_drop=0.2)
    other = replace(one.train.metadata, rows=one.train.metadata.rows[::-1].copy())
    changed = replace(one, train=replace(one.train, metadata=other))
    assert len({one.fingerprint(), changed.fingerprint(), feed(metadata_drop=0.3).fingerprint()}) == 3


@pytest.mark.parametrize("balance", [Balance.SMOTE, Balance.SMOTENC])
def test_new_rows_balance_the_classes_and_keep_the_old_ones(balance: Balance) -> None:
    from trainer.data.resampling import resample

    whole = examples()
    more: Any = resample(whole, balance, power=1.0, seed=3)
    assert more.counts.tolist() == [48, 48]
    assert more.copies.dtype == np.float16 and len(more.names) == len(more.groups) == 96
    np.testing.assert_array_equal(more.copies[0][:N], whole.copies[0])
    np.testing.assert_array_equal(more.metadata.rows[:N], whole.metadata.rows)
    again: Any = resample(whole, balance, power=1.0, seed=3)
    np.testing.assert_array_equal(more.copies, again.copies)
    if balance is Balance.SMOTENC:
        slices = column_slices(COLUMNS)
        # Exactly one category of a new row is 1.
        for name in ("sex", "localization"):
            np.testing.assert_array_equal(np.sort(more.metadata.rows[:, slices[name]])[:, -1], 1)
            np.testing.assert_array_equal(more.metadata.rows[:, slices[name]].sum(axis=1), 1)


def test_the_power_of_a_balance_decides_how_far_classes_are_filled() -> None:
    from trainer.data.resampling import count_wanted

    counts = np.array([30, 10, 0])
    assert count_wanted(counts, power=1.0) == {0: 30, 1: 30}
    assert count_wanted(counts, power=0.5) == {0: 30, 1: 17}
    assert count_wanted(counts, power=0.0) == {0: 30, 1: 10}
