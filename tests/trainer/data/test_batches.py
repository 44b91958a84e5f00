"""Feeds: every row has its turn, any step can be reached, classes get their say; the cache is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.errors import DatasetError, OutputError
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.storage.shared_folders import cache_folder
from tests.support.errors import raises_code
from trainer.data.examples import compute_class_weights, compute_logit_offsets, draw_epoch_rows
from trainer.data.prepared_cache import prepare_pictures
from trainer.recipe.augmentation import AUGMENTATIONS, Augmentation
from trainer.recipe.recipe import Balance

pytestmark = pytest.mark.tensorflow

TRUTH = np.repeat([0, 1, 2], [20, 8, 4]).astype(np.int64)


def feed(**options: Any) -> Any:
    from trainer.data.batches import Feed
    from trainer.data.examples import Examples

    rows = np.arange(len(TRUTH), dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    names = tuple(str(at) for at in range(len(TRUTH)))
    classes = ("a", "b", "c")
    examples = Examples(copies=rows[np.newaxis], truth=TRUTH, classes=classes, names=names, groups=names)
    return Feed(**{"train": examples, "validation": examples, "batch": 8, "seed": 1, **options})


def rows_of(batches: Any) -> list[int]:
    """The rows' numbers, read back from their pixels."""
    inputs = np.concatenate([batch[0].numpy()[:, 0, 0, 0] for batch in batches])
    return [int(value) for value in np.rint((inputs + 1) * 127.5)]


def test_an_epoch_has_every_row_once() -> None:
    assert sorted(rows_of(feed().batches(0, 4))) == list(range(len(TRUTH)))


def test_another_epoch_has_another_order() -> None:
    one = feed()
    assert rows_of(one.batches(0, 4)) != rows_of(one.batches(4, 8))


def test_any_step_is_reached_without_those_before_it() -> None:
    one = feed(augmentation=replace(AUGMENTATIONS["strong"], mixup=0.4))
    whole = [[part.numpy() for part in batch] for batch in one.batches(0, 8)]
    tail = [[part.numpy() for part in batch] for batch in one.batches(5, 8)]
    for found, wanted in zip(tail, whole[5:], strict=True):
        for part, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(part, other)


def test_weights_of_a_batch_are_those_of_its_classes() -> None:
    one = feed(balance=Balance.WEIGHTS)
    _, targets, weights = next(iter(one.batches(0, 1)))
    expected = np.array(one.class_weights)[targets.numpy().argmax(axis=1)]
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


class Twice:
    """Rows, and the same a hundred brighter."""

    def __init__(self, rows: Any) -> None:
        self.rows, self.shape, self.dtype = rows, (2, *rows.shape), rows.dtype

    def __getitem__(self, copy: int) -> Any:
        return self.rows + 100 * copy


def test_epochs_take_the_copies_in_turn() -> None:
    one = feed()
    doubled = replace(one, train=replace(one.train, copies=Twice(one.train.copies[0])))
    brighter = [min(rows_of(doubled.batches(4 * epoch, 4 * epoch + 4))) >= 100 for epoch in range(4)]
    assert brighter == [False, True, False, True]


def test_activations_are_not_scaled() -> None:
    one = feed()
    rows = replace(one.train, copies=np.full((1, len(TRUTH), 5), 3.5, np.float16))
    inputs = next(iter(replace(one, train=rows).batches(0, 1)))[0]
    assert (inputs.numpy() == 3.5).all()


def test_class_weights_have_mean_one_over_the_pictures() -> None:
    counts = np.array([30, 10])
    weights = compute_class_weights(Balance.WEIGHTS, counts, power=1.0)
    assert weights == pytest.approx((2 / 3, 2.0))
    assert np.dot(weights, counts) == pytest.approx(counts.sum())


def test_effective_weights_are_milder_than_inverse_ones() -> None:
    counts = np.array([3000, 40])
    inverse, effective = (
        compute_class_weights(kind, counts, power=1.0) for kind in (Balance.WEIGHTS, Balance.EFFECTIVE)
    )
    assert 1 < effective[1] / effective[0] < inverse[1] / inverse[0]


def test_only_the_prior_moves_logits_and_it_weighs_nothing() -> None:
    counts = np.array([30, 10])
    assert compute_logit_offsets(Balance.PRIOR, counts, power=1.0) == pytest.approx(
        (np.log(0.75), np.log(0.25))
    )
    assert compute_class_weights(Balance.PRIOR, counts, power=1.0) == (1.0, 1.0)
    assert compute_logit_offsets(Balance.WEIGHTS, counts, power=1.0) == (0.0, 0.0)


def test_oversampling_gives_every_class_as_many_turns() -> None:
    rows = draw_epoch_rows(Balance.OVERSAMPLE, TRUTH, power=1.0, seed=(0,))
    counts = np.bincount(TRUTH[rows])
    assert np.ptp(counts) <= 1
    assert set(rows[TRUTH[rows] == 2]) == set(np.flatnonzero(TRUTH == 2))


def test_undersampling_takes_no_row_twice() -> None:
    rows = draw_epoch_rows(Balance.UNDERSAMPLE, TRUTH, power=1.0, seed=(0,))
    assert np.bincount(TRUTH[rows]).tolist() == [4, 4, 4]
    assert len(set(rows.tolist())) == len(rows)


def cached(dataset: Dataset, folder: Path) -> Any:
    pictures = dataset.manifest.of(Split.TRAIN)
    policy = Policy.CENTRE_SQUARE
    return prepare_pictures(dataset, pictures, size=20, policy=policy, folder=folder, processes=1)


def test_the_cache_holds_what_preparing_gives(coloured: Path, tmp_path: Path) -> None:
    dataset = read_dataset(coloured)
    rows = cached(dataset, tmp_path)
    first = dataset.manifest.of(Split.TRAIN)[0]
    np.testing.assert_array_equal(rows[0], prepare(dataset.file(first), 20))


def test_several_processes_prepare_what_one_does(coloured: Path, tmp_path: Path) -> None:
    dataset = read_dataset(coloured)
    pictures = dataset.manifest.of(Split.TRAIN) * 8  # enough for processes
    one, two = (
        prepare_pictures(
            dataset,
            pictures,
            size=20,
            policy=Policy.CENTRE_SQUARE,
            folder=tmp_path / str(processes),
            processes=processes,
        )
        for processes in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_the_cache_is_made_once(coloured: Path, tmp_path: Path) -> None:
    dataset = read_dataset(coloured)
    cached(dataset, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    cached(dataset, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before


def test_a_damaged_cache_is_made_anew(coloured: Path, tmp_path: Path) -> None:
    dataset = read_dataset(coloured)
    good = np.array(cached(dataset, tmp_path))
    (path,) = tmp_path.rglob("*.npy")
    data = bytearray(path.read_bytes())
    data[-1] ^= 255
    path.write_bytes(bytes(data))
    np.testing.assert_array_equal(cached(dataset, tmp_path), good)


def test_a_picture_that_changed_after_the_import_is_named(coloured: Path, tmp_path: Path) -> None:
    dataset = read_dataset(coloured)
    first = replace(dataset.manifest.of(Split.TRAIN)[0], sha256="0" * 64)
    other = replace(dataset, manifest=replace(dataset.manifest, pictures=(first,)))
    with raises_code("picture-changed", dataset.file(first)) as raised:
        cached(other, tmp_path)
    assert isinstance(raised.value, DatasetError)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_cache_folder_that_is_a_file_is_a_clear_error(coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("in the way")
    with raises_code("cannot-write", tmp_path / "pictures", "DERMPACK_CACHE") as raised:
        cached(read_dataset(coloured), tmp_path)
    assert isinstance(raised.value, OutputError)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_activations_are_what_the_trunk_gives(tmp_path: Path) -> None:
    found = flattened(tmp_path, Augmentation()).copies
    assert found.shape[0] == 1  # nothing changes pixels: one copy says all
    np.testing.assert_allclose(found[0][:, 0], np.arange(len(TRUTH)) / 127.5 - 1, atol=1e-3)


def test_a_copy_is_made_when_it_is_asked_for_and_kept(tmp_path: Path) -> None:
    copies = flattened(tmp_path, Augmentation(brightness=0.5)).copies
    assert not list(tmp_path.iterdir())
    first, second = np.array(copies[0]), np.array(copies[1])
    assert not np.array_equal(first, second)
    assert {path.name for path in tmp_path.glob("*.npy")} == {"000.npy", "001.npy"}
    np.testing.assert_array_equal(flattened(tmp_path, Augmentation(brightness=0.5)).copies[1], second)


def flattened(folder: Path, augmentation: Augmentation) -> Any:
    """Three copies by a trunk that only flattens."""
    import tf_keras

    from trainer.data.frozen_features import cache_features

    pixels = tf_keras.Input((1, 1, 3))
    trunk = tf_keras.Model(pixels, tf_keras.layers.Flatten()(pixels))
    return cache_features(trunk, feed().train, augmentation=augmentation, copies=3, seed=0, folder=folder)
