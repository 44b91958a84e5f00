"""The loop: it learns, repeats itself, goes on after any stop, and says clearly what went wrong."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.errors import InputError, OutputError
from tests.support.errors import raises_code
from trainer.fitting.plan import FitPlan
from trainer.recipe.augmentation import AUGMENTATIONS
from trainer.recipe.recipe import Balance, Goal, Schedule

pytestmark = pytest.mark.tensorflow

CLASSES = ("a", "b", "c")
PLAN = FitPlan(name="all", epochs=4, rate=5e-3, seed=4, warm_up=1, ema=0.9, label_smoothing=0.1)


def examples(count: int, *, seed: int) -> Any:
    from trainer.data.examples import Examples

    draw = np.random.default_rng(seed)
    truth = np.arange(count, dtype=np.int64) % len(CLASSES)
    rows = draw.integers(0, 60, (count, 12, 12, 3)) + truth[:, None, None, None] * 90
    names = tuple(f"{seed}/{at}" for at in range(count))
    return Examples(
        copies=rows.astype(np.uint8)[np.newaxis], truth=truth, classes=CLASSES, names=names, groups=names
    )


def feed() -> Any:
    from trainer.data.batches import Feed

    return Feed(
        train=examples(48, seed=0),
        validation=examples(18, seed=1),
        batch=8,
        seed=3,
        augmentation=replace(AUGMENTATIONS["strong"], mixup=0.2),
        balance=Balance.WEIGHTS,
    )


def model(*, units: int = len(CLASSES), seed: int = 0) -> Any:
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(seed)
    pixels = tf_keras.Input((12, 12, 3))
    tensor = layers.Conv2D(6, 3, strides=2, use_bias=False)(pixels)
    tensor = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(tensor))
    tensor = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(tensor))
    activation = "softmax" if units > 1 else "sigmoid"
    return tf_keras.Model(pixels, layers.Dense(units, activation=activation)(tensor))


class Interruption(Exception):  # noqa: N818 - stands for a kill, not for an error
    """Raised within an epoch."""


def interrupting(epoch: int, step: int) -> Any:
    def on_progress(moment: Any) -> None:
        if (moment.epoch, moment.step, moment.ended) == (epoch, step, None):
            raise Interruption

    return on_progress


def fitted(folder: Path, plan: FitPlan = PLAN, **options: Any) -> tuple[Any, Any]:
    from trainer.fitting.loop import fit

    trained = model()
    done = fit(trained, feed(), plan, folder, **options)
    return done, trained.get_weights()


def same(first: list[Any], second: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_fit_learns(tmp_path: Path) -> None:
    done, _ = fitted(tmp_path, replace(PLAN, epochs=12))
    assert max(epoch.validation["balanced_accuracy"] for epoch in done.history) > 0.9


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, weights = fitted(tmp_path / "a")
    second, others = fitted(tmp_path / "b")
    assert first == second
    assert same(weights, others)


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (3, 1), (4, 6)])
def test_a_fit_stopped_within_an_epoch_ends_like_an_undisturbed_one(
    tmp_path: Path, epoch: int, step: int
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    done, weights = fitted(tmp_path / "whole")
    with pytest.raises(Interruption):
        fitted(tmp_path / "broken", on_progress=interrupting(epoch, step))
    again, others = fitted(tmp_path / "broken")
    assert again == done
    assert same(weights, others)


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    done, weights = fitted(tmp_path)
    again, others = fitted(tmp_path, on_progress=interrupting(1, 1))
    assert again == done
    assert same(weights, others)


def test_the_model_ends_with_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    from trainer.fitting.loop import fit, predict

    trained, data = model(), feed()
    done = fit(trained, data, PLAN, tmp_path)
    best = done.history[done.best_epoch - 1].validation["balanced_accuracy"]
    assert Goal.BALANCED_ACCURACY.score(predict(trained, data.validation)) == best


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path)
    with raises_code("checkpoint-mismatch", tmp_path / "checkpoint.npz") as raised:
        fitted(tmp_path, replace(PLAN, rate=1e-3))
    assert isinstance(raised.value, InputError)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-300])
    with raises_code("invalid-format", path) as raised:
        fitted(tmp_path)
    assert isinstance(raised.value, InputError)


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    from trainer.fitting.loop import fit

    with pytest.raises(Interruption):
        fitted(tmp_path, on_progress=interrupting(3, 1))
    before = (tmp_path / "checkpoint.npz").read_bytes()
    broken = feed()
    rows = np.full((48, 12, 12, 3), np.nan, np.float16)
    poisoned = replace(broken, train=replace(broken.train, copies=rows[np.newaxis]))
    with raises_code("loss-not-finite", "epoch 1", "step 1 of 6", "--rate") as raised:
        fit(model(), poisoned, replace(PLAN, ema=0.0), tmp_path / "other")
    assert isinstance(raised.value, InputError)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


class Turning:
    """Copies that are good in the first two epochs, and no numbers in the third."""

    def __init__(self, rows: Any) -> None:
        self.rows, self.shape, self.dtype = rows, (3, *rows.shape), np.dtype(np.float16)

    def __getitem__(self, copy: int) -> Any:
        return (
            self.rows.astype(np.float16) / 255 if copy < 2 else np.full(self.rows.shape, np.nan, np.float16)
        )


def test_a_loss_that_is_no_number_after_good_epochs_keeps_their_checkpoint(tmp_path: Path) -> None:
    from trainer.fitting.loop import fit

    good = feed()
    turning = replace(good, train=replace(good.train, copies=Turning(good.train.copies[0])))
    with raises_code("loss-not-finite", "epoch 3", "epoch 2"):
        fit(model(), turning, PLAN, tmp_path)
    assert finished_epochs(tmp_path) == 2


def finished_epochs(folder: Path) -> int:
    from trainer.fitting.checkpoint import CHECKPOINT_FILE, read_history

    return len(read_history(folder / CHECKPOINT_FILE))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_goes_on_when_it_is_free(
    small_disk: Path, tmp_path: Path
) -> None:
    filler = small_disk / "filler"

    def filling(moment: Any) -> None:
        if (moment.epoch, moment.step) == (3, 1):
            fill(filler)

    with raises_code("cannot-write", small_disk, "No space left on device") as raised:
        fitted(small_disk, on_progress=filling)
    assert isinstance(raised.value, OutputError)
    assert "\n" not in str(raised.value)
    assert finished_epochs(small_disk) == 2
    filler.unlink()
    again, weights = fitted(small_disk)
    (tmp_path / "whole").mkdir()
    done, others = fitted(tmp_path / "whole")
    assert again == done
    assert same(weights, others)


def fill(path: Path) -> None:
    """Write until nothing more goes in."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with raises_code("cannot-write", tmp_path / "nowhere") as raised:
        fitted(tmp_path / "nowhere")
    assert isinstance(raised.value, OutputError)


def test_time_that_has_run_out_leaves_one_judged_epoch(tmp_path: Path) -> None:
    from trainer.fitting.checkpoint import Stop

    done, _ = fitted(tmp_path, deadline=-math.inf)
    assert done.stop is Stop.TIME_LIMIT
    assert len(done.history) == 1


def test_patience_stops_a_fit_that_gets_no_better(tmp_path: Path) -> None:
    from trainer.fitting.checkpoint import Stop

    done, _ = fitted(tmp_path, replace(PLAN, epochs=9, rate=1e-9, ema=0.0, patience=2, warm_up=0))
    assert done.stop is Stop.PATIENCE
    assert len(done.history) < 9
    assert len(done.history) == done.best_epoch + 2


def test_one_output_is_the_second_of_two_classes(tmp_path: Path) -> None:
    from trainer.fitting.loop import fit, predict

    both = feed()
    two = [
        replace(part, truth=np.minimum(part.truth, 1), classes=("a", "b"))
        for part in (both.train, both.validation)
    ]
    trained = model(units=1)
    fit(trained, replace(both, train=two[0], validation=two[1]), replace(PLAN, epochs=8), tmp_path)
    found = predict(trained, two[1])
    assert found.probabilities.shape == (18, 2)
    assert Goal.AUROC.score(found) > 0.9


def test_frozen_weights_stay_as_they_are(tmp_path: Path) -> None:
    from trainer.fitting.loop import fit

    trained = model()
    trained.layers[1].trainable = False
    before = trained.layers[1].get_weights()
    fit(trained, feed(), PLAN, tmp_path)
    assert same(before, trained.layers[1].get_weights())


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    plan = replace(PLAN, epochs=10, rate=1.0, warm_up=2)
    rates = [plan.rate_at(step, steps=10) for step in range(100)]
    assert rates[:20] == sorted(rates[:20])
    assert rates[20] == max(rates) == 1.0
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.01


def test_a_constant_schedule_keeps_the_rate() -> None:
    plan = replace(PLAN, schedule=Schedule.CONSTANT, warm_up=0, rate=0.25)
    assert {plan.rate_at(step, steps=10) for step in range(40)} == {0.25}


def test_logs_are_the_same_bytes_and_tensorboard_can_read_them(tmp_path: Path) -> None:
    import tensorflow as tf

    from trainer.fitting.events import Epoch
    from trainer.fitting.phases import EVENTS_FILE, write_logs

    figures = {"auroc": 0.75}
    history = [Epoch(number=at, loss=1 / at, rate=0.1, validation=figures) for at in (1, 2)]
    for folder in ("a", "b"):
        write_logs(history, tmp_path / folder)
    first, second = (tmp_path / folder / EVENTS_FILE for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    events = list(tf.compat.v1.train.summary_iterator(str(first)))
    assert [event.step for event in events] == [0, 1, 2]
    assert {value.tag for value in events[1].summary.value} == {"loss", "rate", "validation/auroc"}
