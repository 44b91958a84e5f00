"""Ratios of training: `python -m tests.perf.bench_train [--dataset DATASET --weights FILE.h5]`.

Without a dataset: what the pipeline costs, what activations kept at the boundary gain, what a head phase
costs. With one: how soon, from a cold start, MobileNetV2 by the default recipe reaches the plain recipe's
final figure, where that one runs the usual way (`image_dataset_from_directory`, augmentation in the model,
Keras's fit).
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
ROUNDS, STEPS = 5, 6  # interleaved, so that a busy machine slows every part of a ratio
RATE = 1e-9
HEAD_EPOCHS = 20
PLAIN_SHARE = 18 / 360  # RandomRotation's argument for 18 degrees either way


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time, and how many pictures a call of it sees."""

    run: Callable[[], object]
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Of two cases' costs a picture: `above` over `below`."""

    above: str
    below: str


RATIOS = {
    "fine-tuning over bare step (0.95 or more)": Ratio(above="bare", below="fed"),
    "boundary over whole (1.5 or more)": Ratio(above="whole", below="boundary"),
    "forward passes a head phase costs (1.5 or less)": Ratio(above="head", below="forward"),
}


def main() -> None:
    """Print the ratios as JSON, with what they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    found = cold_start(arguments.dataset, arguments.weights) if arguments.dataset else warm()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def warm() -> dict[str, float]:
    """Ratios of what a picture costs in processor time, which other work on the machine hardly moves.

    The time on the clock stands beside: on a quiet machine its ratios are the same.
    """
    cases = _cases()
    for case in cases.values():
        case.run()  # traces
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            costs[name].append(_cost(case))
    found = {}
    for unit, at in (("", 0), (", by the clock", 1)):
        cost = {name: [pair[at] for pair in pairs] for name, pairs in costs.items()}
        for name, ratio in RATIOS.items():
            found[name + unit] = _ratio(cost[ratio.above], cost[ratio.below])
        for name, values in cost.items():
            found[f"{name}, ms a picture{unit}"] = min(values)
    return found


def _cost(case: Case) -> tuple[float, float]:
    """Milliseconds a picture: of all processors, and by the clock."""
    began, used = time.perf_counter(), time.process_time()
    case.run()
    used, lasted = time.process_time() - used, time.perf_counter() - began
    return used * 1e3 / case.pictures, lasted * 1e3 / case.pictures


def _ratio(above: list[float], below: list[float]) -> float:
    """The median over rounds, in which both ran side by side."""
    return median(one / other for one, other in zip(above, below, strict=True))


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
    """A step on one batch that is there, on batches with every change, and on either side of the cut.

    `whole` and `boundary` get the same change, mixup: it is the one that activations can have.
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
        "boundary": (top, _endless(replace(mixup, train=_kept(trunk, feed.train)))),
    }
    return {
        name: Case(run=partial(_train, learner, eaten, STEPS), pictures=STEPS * BATCH)
        for name, (learner, eaten) in batches.items()
    }


def _head_cases(feed: Any) -> dict[str, Case]:
    """A forward pass over all pictures that keeps the features, and the same with the head phase after it."""
    from trainer.fitting.train_step import TrainStep
    from trainer.model.freezing import POOL, find_boundary, freeze_below, split_model
    from trainer.recipe.augmentation import Augmentation

    model = _model()
    freeze_below(model, 0)
    _, head = split_model(model, find_boundary(model))
    kept = _kept(split_model(model, POOL)[0], feed.train)
    learner = TrainStep(head, _plan())
    eaten = replace(feed, train=kept, augmentation=Augmentation(mixup=feed.augmentation.mixup))

    def forward() -> None:
        with tempfile.TemporaryDirectory() as folder:
            replace(kept.copies, folder=Path(folder))[0]

    def phase() -> None:
        forward()
        last = HEAD_EPOCHS * eaten.steps
        _train(learner, eaten.batches(0, last), last)

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


def _kept(trunk: Any, examples: Any) -> Any:
    """The examples as the trunk's outputs, for as long as the process lives."""
    from trainer.data.frozen_features import cache_features
    from trainer.recipe.augmentation import Augmentation

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return cache_features(trunk, examples, augmentation=Augmentation(), copies=1, seed=0, folder=folder)


def _train(learner: Any, batches: Any, steps: int) -> None:
    for batch in itertools.islice(batches, steps):
        learner.step(*batch, rate=RATE)


def _endless(feed: Any) -> Any:
    return iter(feed.batches(0, feed.steps * 1000))


def cold_start(folder: Path, weights: Path) -> dict[str, float]:
    """Seconds to the plain recipe's final validation figure, usual way and ours."""
    from dermpack.dataset.manifest import read_dataset

    dataset = read_dataset(folder)
    began = time.perf_counter()
    figure = _usual_way(dataset, weights)
    usual_s = time.perf_counter() - began
    ours_s = _until(dataset, weights, figure)
    return {
        "plain recipe's balanced accuracy on validation": figure,
        "the usual way, s": usual_s,
        "default recipe to that figure, s": ours_s,
        "share (a third or less)": ours_s / usual_s,
    }


def _usual_way(dataset: Any, weights: Path) -> float:
    """The plain recipe as tutorials write it."""
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
    tensor = layers.RandomRotation(PLAIN_SHARE)(layers.RandomFlip("horizontal")(pixels))
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
    found = model.predict(data, verbose=0).argmax(axis=1)
    return float(np.mean([(found[truth == at] == at).mean() for at in range(classes)]))


class Reached(Exception):  # noqa: N818 - a goal, not an error
    """The figure is there."""


def _until(dataset: Any, weights: Path, figure: float) -> float:
    from trainer.recipe.network_spec import Arch
    from trainer.recipe.recipe import Recipe
    from trainer.runs.train import train

    folder = Path(tempfile.mkdtemp())
    os.environ["DERMPACK_CACHE"] = str(folder / "cache")  # a cold start

    def watch(moment: Any) -> None:
        if moment.ended:
            sys.stderr.write(moment.line() + "\n")
            if moment.ended.validation["balanced_accuracy"] >= figure:
                raise Reached

    began = time.perf_counter()
    try:
        train(dataset, folder / "run", Recipe(arch=Arch.MOBILENET_V2, weights=weights), watch=watch)
    except Reached:
        return time.perf_counter() - began
    return float("inf")


if __name__ == "__main__":
    main()
