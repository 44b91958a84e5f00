"""Augmentation: what it may do to a picture, and that a seed decides it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.errors import TableError
from tests.support.colour_patches import patch
from tests.support.errors import raises_code
from trainer.recipe.augmentation import AUGMENTATIONS, Augmentation, parse_augmentation

pytestmark = pytest.mark.tensorflow

SEED = (3, 5)


def pictures(*, count: int = 4, side: int = 16) -> Any:
    import tensorflow as tf

    return tf.constant(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8))


def changed(values: Augmentation, *, seed: tuple[int, int] = SEED) -> Any:
    from trainer.data.augment import augment_batch

    return augment_batch(pictures(), values, seed=seed).numpy()


def plain() -> Any:
    from trainer.data.augment import to_inputs

    return to_inputs(pictures()).numpy()


def test_no_augmentation_changes_no_pixel() -> None:
    np.testing.assert_allclose(changed(Augmentation()), plain(), atol=1e-6)


def test_a_flip_mirrors_the_whole_picture_or_leaves_it() -> None:
    found, before = changed(Augmentation(flips=True)), plain()
    flipped = [np.allclose(row, own[:, ::-1], atol=1e-4) for row, own in zip(found, before, strict=True)]
    left = [np.allclose(row, own, atol=1e-4) for row, own in zip(found, before, strict=True)]
    assert all(a != b for a, b in zip(flipped, left, strict=True))
    assert any(flipped)


def test_a_rotation_keeps_the_middle_in_the_middle() -> None:
    from trainer.data.augment import augment_batch

    spot = np.zeros((4, 17, 17, 3), np.uint8)
    spot[:, 8, 8] = 255
    found = augment_batch(pictures_of(spot), Augmentation(rotation_degrees=180), seed=SEED).numpy()
    assert (found[:, 8, 8] > 0.99).all()


def pictures_of(rows: Any) -> Any:
    import tensorflow as tf

    return tf.constant(rows)


def test_a_moved_picture_is_what_exact_interpolation_gives() -> None:
    import tensorflow as tf

    from trainer.data.augment import DRAWS, _transforms, augment_batch

    smooth = np.stack([patch(seed, size=40) for seed in range(4)])
    moves = replace(AUGMENTATIONS["strong"], brightness=0.0, contrast=0.0, zoom_out=0.4)
    drawn = tf.random.stateless_uniform([4, DRAWS], SEED)
    exact = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(smooth, tf.float32),
        transforms=tf.pad(tf.transpose(_transforms(drawn, moves, 40)), [[0, 0], [0, 2]]),
        output_shape=[40, 40],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    found = (augment_batch(pictures_of(smooth), moves, seed=SEED).numpy() + 1) * 127.5
    assert np.abs(found - exact.numpy()).mean() < 0.5  # of 255: positions are sixteenths of a pixel


def test_a_batch_of_another_length_is_changed_alike() -> None:
    from trainer.data.augment import augment_batch

    few = augment_batch(pictures()[:3], AUGMENTATIONS["strong"], seed=SEED).numpy()
    assert few.shape == (3, 16, 16, 3)
    np.testing.assert_allclose(few, changed(AUGMENTATIONS["strong"])[:3], atol=1e-6)


def test_brightness_moves_every_pixel_alike() -> None:
    from trainer.data.augment import augment_batch

    grey = pictures_of(np.full((4, 8, 8, 3), 128, np.uint8))
    found = augment_batch(grey, Augmentation(brightness=0.2), seed=SEED).numpy()
    assert np.ptp(found, axis=(1, 2, 3)) == pytest.approx(0, abs=1e-6)
    assert np.ptp(found[:, 0, 0, 0]) > 0.01


def test_values_stay_what_a_network_takes() -> None:
    found = changed(replace(AUGMENTATIONS["strong"], brightness=1.0, contrast=1.0))
    assert found.min() >= -1
    assert found.max() <= 1


def test_a_seed_decides_the_change() -> None:
    first, again, other = (changed(AUGMENTATIONS["strong"], seed=seed) for seed in (SEED, SEED, (3, 6)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_mixup_mixes_inputs_and_targets_by_the_same_share() -> None:
    import tensorflow as tf

    from trainer.data.augment import mix_up

    inputs = tf.constant([[0.0], [1.0]])
    targets = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    values, shares = mix_up(inputs, targets, 1.0, seed=SEED)
    np.testing.assert_allclose(values.numpy()[:, 0], shares.numpy()[:, 1], atol=1e-6)
    np.testing.assert_allclose(shares.numpy().sum(axis=1), 1, atol=1e-6)


def test_an_unknown_value_in_a_file_is_refused() -> None:
    with raises_code("invalid-option", "a.toml", "'rotation'", "rotation_degrees") as raised:
        parse_augmentation({"rotation": 20}, where=Path("a.toml"))
    assert isinstance(raised.value, TableError)


@pytest.mark.parametrize("values", [{"flips": 1}, {"zoom_in": True}, {"zoom_in": "0.1"}])
def test_a_value_of_the_wrong_type_is_refused(values: dict[str, Any]) -> None:
    [(name, value)] = values.items()
    with raises_code("invalid-option", "a.toml", f"{name} = {value!r}") as raised:
        parse_augmentation(values, where=Path("a.toml"))
    assert isinstance(raised.value, TableError)


def test_a_value_out_of_range_is_refused() -> None:
    with raises_code("invalid-option", "rotation_degrees = 200", "180") as raised:
        parse_augmentation({"rotation_degrees": 200}, where=Path("a.toml"))
    assert isinstance(raised.value, TableError)


def inputs_of(values: Any) -> Any:
    import tensorflow as tf

    return tf.constant(values, tf.float32)


def test_a_share_of_the_pictures_gets_a_mark_and_the_others_stay() -> None:
    from trainer.data.augment import augment_batch

    grey = np.full((64, 48, 48, 3), 128, np.uint8)
    marked = Augmentation(marks=0.5)
    found = augment_batch(pictures_of(grey), marked, seed=SEED).numpy()
    again = augment_batch(pictures_of(grey), marked, seed=SEED).numpy()
    is_changed = np.abs(found - found[:, 24:25, 24:25]).reshape(64, -1).max(axis=1) > 0.1
    assert 16 < is_changed.sum() < 48
    np.testing.assert_array_equal(found, again)
    assert np.abs(found).max() <= 1


def test_marks_do_not_change_the_draws_of_the_other_changes() -> None:
    strong, marked = AUGMENTATIONS["strong"], AUGMENTATIONS["marked"]
    assert replace(marked, marks=0.0) == strong
    before, after = changed(strong), changed(marked)
    assert np.isclose(before, after, atol=1e-6).mean() > 0.7


def test_random_operations_change_colours_within_the_range_and_depend_on_the_seed_alone() -> None:
    values = Augmentation(operations=2, magnitude=1.0)
    found = changed(values)
    np.testing.assert_array_equal(found, changed(values))
    assert not np.array_equal(found, changed(values, seed=(4, 5)))
    assert np.abs(found).max() <= 1
    is_changed = [not np.allclose(row, own, atol=1e-4) for row, own in zip(found, plain(), strict=True)]
    assert any(is_changed)


@pytest.mark.parametrize("operation", range(6))
def test_each_operation_without_strength_changes_little_and_the_last_nothing(operation: int) -> None:
    from trainer.data.augment import OPERATIONS, apply_operations

    draws = inputs_of([[(operation + 0.5) / OPERATIONS, 0.5]] * 4)
    found = apply_operations(inputs_of(plain()), draws, magnitude=1.0).numpy()
    np.testing.assert_allclose(found, plain(), atol=1 / 64)
    strong = inputs_of([[(operation + 0.5) / OPERATIONS, 0.95]] * 4)
    moved = np.abs(apply_operations(inputs_of(plain()), strong, magnitude=1.0).numpy() - plain()).max()
    assert (moved > 0.05) == (operation < OPERATIONS - 1)


def test_cutmix_gives_each_target_the_share_of_its_pixels() -> None:
    from trainer.data.augment import cut_mix

    rows = np.stack([np.full((32, 32, 3), value, np.float32) for value in (-1, -0.5, 0.5, 1)])
    mixed, targets = cut_mix(inputs_of(rows), inputs_of(np.eye(4)), 1.0, seed=SEED)
    for index, (picture, target) in enumerate(zip(mixed.numpy(), targets.numpy(), strict=True)):
        own = (picture == rows[index]).all(axis=2).mean()
        assert target[index] == pytest.approx(own, abs=1e-6)
        assert target[3 - index] == pytest.approx(1 - own, abs=1e-6)
        assert own >= 0.5
    assert (mixed.numpy() != rows).any()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"mixup": 0.2, "cutmix": 0.2}, "conflicting-options"),
        ({"operations": 2}, "conflicting-options"),
        ({"operations": 1.5, "magnitude": 0.5}, "invalid-option"),
        ({"marks": 1.5}, "invalid-option"),
    ],
)
def test_values_that_exclude_or_need_each_other_are_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(TableError) as error:
        parse_augmentation(values, where="augment")
    assert error.value.code == code
