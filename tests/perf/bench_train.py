"""Ratios of training: `python -m tests.perf.bench_train [--dataset DATASET --weights FILE.h5]`.

Without a dataset: what the pipeline costs, what activations kept at the boundary gain, what a head phase
costs. With one: how soon, from a cold start, the default recipe reaches the plain recipe's final figure,
where that one runs the usual way (`image_dataset_from_directory`, augmentation in the model, Keras's fit).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIZE, BATCH, CLASSES, LAYERS = 160, 32, 7, 55
PICTURES = 512
ROUNDS, STEPS = 5, 6  # interleaved, so that a busy machine slows every part of a ratio
HEAD_EPOCHS = 20
PLAIN_SHARE = 18 / 360  # RandomRotation's argument for 18 degrees either way


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time, and how many pictures a call of it sees."""

    run: Callable[[], object]
    pictures: int


def main() -> None:
    """Print the ratios as JSON, with what they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    found = cold_start(arguments.dataset, arguments.weights) if arguments.dataset else warm()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def warm() -> dict[str, float]:
    """Ratios of rates, as medians over interleaved rounds."""
    cases = _cases()
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case.run()  # traces
    for _ in range(ROUNDS):
        for name, case in cases.items():
            began = time.perf_counter()
            case.run()
            rates[name].append(case.pictures / (time.perf_counter() - began))
    ratio = {
        "fine-tuning over bare step (0.95 or more)": ("fed", "bare"),
        "boundary over whole (1.5 or more)": ("boundary", "fed"),
        "forward passes a head phase costs (1.5 or less)": ("forward", "head"),
    }
    found = {
        name: median(a / b for a, b in zip(rates[one], rates[other], strict=True))
        for name, (one, other) in ratio.items()
    }
    return {**found, **{f"{name}, pictures/s": median(values) for name, values in rates.items()}}


def _cases() -> dict[str, Case]:
    from trainer.activations import recorded
    from trainer.augmentation import NAMED, Augmentation
    from trainer.cut import boundary, features, freeze_below, split_at
    from trainer.feed import Examples, Feed, Once
    from trainer.learner import Learner
    from trainer.machine import set_up
    from trainer.network import NetworkSpec, Weights, build
    from trainer.plan import Plan
    from trainer.recipe import Precision

    set_up(seed=0, threads=0, precision=Precision.FLOAT32)
    folder = Path(tempfile.mkdtemp())
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 256, (PICTURES, SIZE, SIZE, 3), np.uint8)
    names = tuple(map(str, range(PICTURES)))
    truth = draw.integers(0, CLASSES, PICTURES)
    classes = tuple("abcdefg")
    pictures = Examples(copies=Once(rows=rows), truth=truth, classes=classes, names=names, groups=names)
    feed = Feed(train=pictures, validation=pictures, batch=BATCH, seed=0, augmentation=NAMED["strong"])
    model = build(NetworkSpec(size=SIZE, classes=CLASSES), weights=Weights.NONE, seed=0)
    freeze_below(model, LAYERS)
    plan = Plan(name="bench", epochs=1, rate=1e-9, seed=0)
    trunk, rest = split_at(model, boundary(model))
    plain = Augmentation()
    kept = recorded(trunk, pictures, augmentation=plain, copies=1, seed=0, folder=folder / "boundary")
    whole, top = Learner(model, plan), Learner(rest, plan)
    held = next(iter(feed.batches(0, 1)))
    fed, cached = _endless(feed), _endless(replace(feed, train=kept))

    def train(learner: Any, batches: Any) -> Callable[[], object]:
        return lambda: [learner.step(*batch, rate=1e-9) for batch in itertools.islice(batches, STEPS)]

    numbers = itertools.count()

    freeze_below(model, 0)
    _, head = split_at(model, boundary(model))
    pooled = recorded(features(model), pictures, augmentation=plain, copies=1, seed=0, folder=folder / "pool")
    head_learner, head_feed = Learner(head, plan), replace(feed, train=pooled)

    def forward() -> object:
        kept: Any = pooled.copies
        return replace(kept, folder=folder / str(next(numbers)))[0]  # traced already

    def head_phase() -> object:
        last = HEAD_EPOCHS * head_feed.steps
        return [head_learner.step(*batch, rate=1e-9) for batch in head_feed.batches(0, last)]

    seen = STEPS * BATCH
    return {
        "bare": Case(run=train(whole, itertools.repeat(held)), pictures=seen),
        "fed": Case(run=train(whole, fed), pictures=seen),
        "boundary": Case(run=train(top, cached), pictures=seen),
        "forward": Case(run=forward, pictures=PICTURES),
        "head": Case(run=lambda: (forward(), head_phase()), pictures=PICTURES),
    }


def _endless(feed: Any) -> Any:
    return iter(feed.batches(0, feed.steps * 1000))


def cold_start(folder: Path, weights: Path) -> dict[str, float]:
    """Seconds to the plain recipe's final validation figure, usual way and ours."""
    from dermpack.manifest import read_dataset

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

    from dermpack.manifest import Split
    from trainer.balance import Balance, class_weights

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
    weighted = dict(enumerate(class_weights(Balance.WEIGHTS, counts, power=0.5)))
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
    from trainer.recipe import Recipe
    from trainer.train import train

    folder = Path(tempfile.mkdtemp())
    os.environ["DERMPACK_CACHE"] = str(folder / "cache")  # a cold start

    def watch(moment: Any) -> None:
        if moment.ended:
            sys.stderr.write(moment.line() + "\n")
            if moment.ended.validation["balanced_accuracy"] >= figure:
                raise Reached

    began = time.perf_counter()
    try:
        train(dataset, folder / "run", replace(Recipe(), weights=weights), watch=watch)
    except Reached:
        return time.perf_counter() - began
    return float("inf")


if __name__ == "__main__":
    main()
