"""Measure the cost of training: `python -m tests.perf.bench_train [--dataset DATASET --weights FILE.h5]`.

Without a dataset, it prints the cost of the input pipeline, the gain from cached activations, and the cost of
a head phase. With one, it prints the time, from a cold start, until MobileNetV2 by the default recipe reaches
the final figure of the plain recipe, and the time of the plain recipe in Keras alone
(`image_dataset_from_directory`, augmentation in the model, `fit`).
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIZE, BATCH, CLASSES, LAYERS = 160, 32, 7, 55
PICTURES = 256
ROUNDS, STEPS = 5, 6  # the cases take turns, so that a busy machine slows both sides of a ratio
RATE = 1e-9
HEAD_EPOCHS = 20
ROTATION_SHARE = 18 / 360  # of a full turn: up to 18 degrees in either direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A function to time, and the number of pictures that one call processes."""

    run: Callable[[], object]
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The cost per picture of one case divided by that of another."""

    above: str
    below: str


RATIOS = {
    "fine-tuning over bare step (0.95 or more)": Ratio(above="bare", below="fed"),
    "boundary over whole (1.5 or more)": Ratio(above="whole", below="boundary"),
    "forward passes a head phase costs (1.5 or less)": Ratio(above="head", below="forward"),
}


def main() -> None:
    """Print the ratios as JSON; their names contain the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    if arguments.dataset:
        found = compare_cold_starts(arguments.dataset, arguments.weights)
    else:
        found = measure_ratios()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measure_ratios() -> dict[str, float]:
    """Return the ratios of processor time per picture, which other work on the machine hardly changes.

    The ratios of wall time are added: on a quiet machine they are the same.
    """
    cases = _cases()
    for case in cases.values():
        case.run()  # the first call traces the functions
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            costs[name].append(_cost(case))
    found = {}
    for unit, index in (("", 0), (", by the clock", 1)):
        cost = {name: [pair[index] for pair in pairs] for name, pairs in costs.items()}
        for name, ratio in RATIOS.items():
            found[name + unit] = _ratio(cost[ratio.above], cost[ratio.below])
        for name, values in cost.items():
            found[f"{name}, ms a picture{unit}"] = min(values)
    return found


def _cost(case: Case) -> tuple[float, float]:
    """Return milliseconds per picture: processor time, and wall time."""
    wall_start, processor_start = time.perf_counter(), time.process_time()
    case.run()
    processor_s, wall_s = time.process_time() - processor_start, time.perf_counter() - wall_start
    return processor_s * 1e3 / case.pictures, wall_s * 1e3 / case.pictures


def _ratio(above: list[float], below: list[float]) -> float:
    """Return the median ratio of the rounds, each of which ran both cases."""
    return median(first / second for first, second in zip(above, below, strict=True))


def _cases() -> dict[str, Case]:
    from trainer.recipe.augmentation import AUGMENTATIONS
    from trainer.recipe.recipe import Precision
    from trainer.runs.train import configure_tensorflow

    configure_tensorflow(seed=0, threads=0, precision=Precision.FLOAT32)
    feed = replace(_feed(), augmentation=AUGMENTATIONS["strong"])
    return {**_tuning_cases(feed), **_head_cases(feed)}


def _feed() -> Any:
    from trainer.data.batches import Feed
    from trainer.data.examples import Examples

    draw = np.random.default_rng(0)
    rows = draw.integers(0, 256, (PICTURES, SIZE, SIZE, 3), np.uint8)
    names = tuple(map(str, range(PICTURES)))
    truth = draw.integers(0, CLASSES, PICTURES)
    examples = Examples(
        copies=rows[np.newaxis], truth=truth, classes=tuple("abcdefg"), names=names, groups=names
    )
    return Feed(train=examples, validation=examples, batch=BATCH, seed=0)


def _tuning_cases(feed: Any) -> dict[str, Case]:
    """Return the cases of fine-tuning.

    `bare` trains on one ready batch and `fed` on batches with every augmentation. `whole` trains the whole
    network and `boundary` only the layers above the frozen ones, on cached activations; both use mixup, the
    only augmentation that can be applied to activations.
    """
    from trainer.fitting.train_step import TrainStep
    from trainer.model.freezing import find_boundary, freeze_below, split_model
    from trainer.recipe.augmentation import Augmentation

    model = _model()
    freeze_below(model, LAYERS)
    trunk, rest = split_model(model, find_boundary(model))
    mixup = replace(feed, augmentation=Augmentation(mixup=feed.augmentation.mixup))
    whole, top = TrainStep(model, _plan()), TrainStep(rest, _plan())
    batches = {
        "bare": (whole, itertools.repeat(next(iter(feed.batches(0, 1))))),
        "fed": (whole, _endless(feed)),
        "whole": (whole, _endless(mixup)),
        "boundary": (top, _endless(replace(mixup, train=_cache_features(trunk, feed.train)))),
    }
    return {
        name: Case(run=partial(_train, train_step, endless, STEPS), pictures=STEPS * BATCH)
        for name, (train_step, endless) in batches.items()
    }


def _head_cases(feed: Any) -> dict[str, Case]:
    """Return the cases of a head phase: caching the features of all pictures, without and with training."""
    from trainer.fitting.train_step import TrainStep
    from trainer.model.freezing import POOL, find_boundary, freeze_below, split_model
    from trainer.recipe.augmentation import Augmentation

    model = _model()
    freeze_below(model, 0)
    _, head = split_model(model, find_boundary(model))
    cached = _cache_features(split_model(model, POOL)[0], feed.train)
    train_step = TrainStep(head, _plan())
    head_feed = replace(feed, train=cached, augmentation=Augmentation(mixup=feed.augmentation.mixup))

    def forward() -> None:
        with tempfile.TemporaryDirectory() as folder:
            replace(cached.copies, folder=Path(folder))[0]

    def phase() -> None:
        forward()
        last = HEAD_EPOCHS * head_feed.steps
        _train(train_step, head_feed.batches(0, last), last)

    return {
        "forward": Case(run=forward, pictures=PICTURES),
        "head": Case(run=phase, pictures=PICTURES),
    }


def _model() -> Any:
    from trainer.model.network import build_network
    from trainer.recipe.network_spec import NetworkSpec, Weights

    return build_network(NetworkSpec(size=SIZE, classes=CLASSES), weights=Weights.NONE, seed=0)


def _plan() -> Any:
    from trainer.fitting.plan import FitPlan

    return FitPlan(name="bench", epochs=1, rate=RATE, seed=0)


def _cache_features(trunk: Any, examples: Any) -> Any:
    """Return the examples as outputs of the trunk, in a folder that is removed when the process ends."""
    from trainer.data.frozen_features import cache_features
    from trainer.recipe.augmentation import Augmentation

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return cache_features(trunk, examples, augmentation=Augmentation(), copies=1, seed=0, folder=folder)


def _train(train_step: Any, batches: Any, steps: int) -> None:
    for batch in itertools.islice(batches, steps):
        train_step.step(*batch, rate=RATE)


def _endless(feed: Any) -> Any:
    return iter(feed.batches(0, feed.steps * 1000))


def compare_cold_starts(folder: Path, weights: Path) -> dict[str, float]:
    """Return the seconds to the final figure of the plain recipe, with Keras alone and with the default."""
    from dermpack.dataset.manifest import read_dataset

    dataset = read_dataset(folder)
    start = time.perf_counter()
    figure = _train_with_keras(dataset, weights)
    usual_s = time.perf_counter() - start
    ours_s = _train_until(dataset, weights, figure)
    return {
        "plain recipe's balanced accuracy on validation": figure,
        "the usual way, s": usual_s,
        "default recipe to that figure, s": ours_s,
        "share (a third or less)": ours_s / usual_s,
    }


def _train_with_keras(dataset: Any, weights: Path) -> float:
    """Train the plain recipe as tutorials do; return the balanced accuracy on the validation split."""
    import tf_keras

    from dermpack.dataset.manifest import Split
    from trainer.data.examples import compute_class_weights
    from trainer.recipe.recipe import Balance

    layers = tf_keras.layers
    train, validation = (_from_directory(dataset, split) for split in (Split.TRAIN, Split.VALIDATION))
    base = tf_keras.applications.MobileNetV2(
        include_top=False, weights=str(weights), input_shape=(SIZE, SIZE, 3)
    )
    base.trainable = False
    pixels = tf_keras.Input((SIZE, SIZE, 3))
    tensor = layers.RandomRotation(ROTATION_SHARE)(layers.RandomFlip("horizontal")(pixels))
    tensor = base(layers.Rescaling(1 / 127.5, -1)(tensor), training=False)
    tensor = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(tensor))
    outputs = layers.Dense(len(dataset.classes), activation="softmax")(tensor)
    model = tf_keras.Model(pixels, outputs)
    counts = np.array([dataset.counts()["train"][name] for name in dataset.classes])
    weighted = dict(enumerate(compute_class_weights(Balance.WEIGHTS, counts, power=0.5)))
    for layer_count, epochs, rate in ((0, 4, 1e-3), (LAYERS, 8, 1e-4)):
        base.trainable = layer_count > 0
        for layer in base.layers[: len(base.layers) - layer_count]:
            layer.trainable = False
        model.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(train, validation_data=validation, epochs=epochs, class_weight=weighted, verbose=2)
    return _balanced_accuracy(model, validation, len(dataset.classes))


def _from_directory(dataset: Any, split: Any) -> Any:
    import tf_keras

    root = Path(tempfile.mkdtemp())
    for name in dataset.classes:
        (root / name).mkdir()
    for picture in dataset.manifest.of(split):
        (root / picture.label / Path(picture.path).name).symlink_to(dataset.file(picture).resolve())
    shuffle = split.value == "train"
    return tf_keras.utils.image_dataset_from_directory(
        root, image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=shuffle, seed=0, follow_links=True
    )


def _balanced_accuracy(model: Any, data: Any, classes: int) -> float:
    truth = np.concatenate([labels.numpy() for _, labels in data])
    predicted = model.predict(data, verbose=0).argmax(axis=1)
    return float(np.mean([(predicted[truth == label] == label).mean() for label in range(classes)]))


class FigureReached(Exception):  # noqa: N818 - a goal, not an error
    """The training has reached the figure, and stops."""


def _train_until(dataset: Any, weights: Path, figure: float) -> float:
    """Return the seconds of the default recipe until it reaches the figure; infinity if it does not."""
    from trainer.recipe.network_spec import Arch
    from trainer.recipe.recipe import Recipe
    from trainer.runs.train import train

    folder = Path(tempfile.mkdtemp())
    os.environ["DERMPACK_CACHE"] = str(folder / "cache")  # a cold start

    def on_progress(progress: Any) -> None:
        if progress.ended:
            sys.stderr.write(progress.line() + "\n")
            if progress.ended.validation["balanced_accuracy"] >= figure:
                raise FigureReached

    start = time.perf_counter()
    try:
        train(
            dataset, folder / "run", Recipe(arch=Arch.MOBILENET_V2, weights=weights), on_progress=on_progress
        )
    except FigureReached:
        return time.perf_counter() - start
    return float("inf")


if __name__ == "__main__":
    main()
