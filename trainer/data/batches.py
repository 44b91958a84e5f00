"""Batches for training, in an order that seed and epoch decide; examples for validation.

Any step can be reached without the steps before it, so that an interrupted fit goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging import Policy
from dermpack.metrics.predictions import as_truth
from dermpack.progress import Track, silent
from dermpack.storage.cache_folders import cache_bound_bytes, cache_folder
from dermpack.storage.files import json_text, sha256_of
from trainer.data.augment import augmented, mixed, to_inputs
from trainer.data.class_balance import Balance, class_weights, epoch_rows, logit_offsets
from trainer.data.examples import Examples, Once, Rows
from trainer.data.prepared_cache import cached_pictures
from trainer.distributed.shard import WHOLE, Shard
from trainer.fitting.tensorflow_setup import processors
from trainer.model.distillation import Teacher
from trainer.recipe.augmentation import Augmentation

Batches = Any  # TensorFlow ships no types
Tensor = Any
AHEAD = 2  # batches made ready while one trains
PREDICT_BATCH = 64
ORDER, CHANGE, MIX = range(3)  # independent draws of one seed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feed:
    """What fit eats: `batches` to train on, `validation` to judge by."""

    train: Examples
    validation: Examples
    batch: int
    seed: int
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 - frozen
    balance: Balance = Balance.NONE
    balance_power: float = 1.0
    teacher: Teacher | None = None
    part: Shard = WHOLE  # of every batch, where workers share it

    @property
    def classes(self) -> int:
        return len(self.train.classes)

    @property
    def class_weights(self) -> tuple[float, ...]:
        return class_weights(self.balance, self.train.counts, power=self.balance_power)

    @property
    def logit_offsets(self) -> tuple[float, ...]:
        return logit_offsets(self.balance, self.train.counts, power=self.balance_power)

    @property
    def steps(self) -> int:
        """In an epoch; what does not fill a batch waits for another epoch's order."""
        return max(1, len(self.order(0)) // self.batch)

    @property
    def size(self) -> int:
        """Of every batch."""
        return min(self.batch, len(self.order(0)))

    def order(self, epoch: int) -> Any:
        seed = (self.seed, epoch, ORDER)
        return epoch_rows(self.balance, self.train.truth, power=self.balance_power, seed=seed)

    def fingerprint(self) -> str:
        """Names what decides the batches, for a checkpoint to compare."""
        return sha256_of(
            json_text(
                {
                    "pictures": [*self.train.names, *self.validation.names],
                    "rows": [len(self.train.copies), *self.train.copies.shape],
                    "batch": self.batch,
                    "seed": self.seed,
                    "augmentation": self.augmentation.record(),
                    "balance": [self.balance.value, self.balance_power],
                    **({"teacher": self.teacher.fingerprint()} if self.teacher else {}),
                }
            ).encode()
        )

    def batches(self, first: int, last: int) -> Batches:
        """(inputs, targets [n, k], weights [n]) of the steps first to last - 1, counted over all epochs."""
        steps = tf.data.Dataset.range(first, last)
        finish = _finisher(self)
        gather = _gatherer(self)
        return steps.map(gather).map(finish).prefetch(AHEAD).with_options(_options())

    def validation_batches(self) -> Batches:
        """Of the part's span of them, in their order."""
        return plain_batches(self.validation, part=self.part)


def read_examples(
    dataset: Dataset, split: Split, *, size: int, policy: Policy, threads: int, track: Track = silent
) -> Examples:
    """The pictures of a split, prepared once and mapped from the user's cache afterwards."""
    pictures = dataset.manifest.of(split)
    rows = cached_pictures(
        dataset,
        pictures,
        size=size,
        policy=policy,
        folder=cache_folder(),
        processes=processors(threads),
        bound_bytes=cache_bound_bytes(),
        track=track,
    )
    return Examples(
        copies=Once(rows=rows),
        truth=as_truth([dataset.classes.index(picture.label) for picture in pictures]),
        classes=dataset.classes,
        names=tuple(picture.path for picture in pictures),
        groups=tuple(picture.group for picture in pictures),
    )


def plain_batches(examples: Examples, *, part: Shard = WHOLE) -> Batches:
    """The inputs of all examples in their order, unchanged; or of a part's span."""
    first, end = part.span(len(examples))
    copies, held = examples.copies, examples.copies[0]

    def chunk(start: int) -> Rows:
        return np.ascontiguousarray(held[start : min(start + PREDICT_BATCH, end)])

    def read(start: Tensor) -> Tensor:
        rows = tf.numpy_function(chunk, [start], copies.dtype)
        rows.set_shape([None, *copies.shape])
        return to_inputs(rows)

    return tf.data.Dataset.range(first, end, PREDICT_BATCH).map(read).prefetch(AHEAD)


def _options() -> Any:
    """One thread: what is made ready must not take processors from the step that it is made for."""
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    return options


def _gatherer(feed: Feed) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """step → (step, rows, targets), read from the mapped file."""
    copies = feed.train.copies
    epoch_order = lru_cache(maxsize=2)(feed.order)
    copy_of = lru_cache(maxsize=2)(copies.__getitem__)
    steps, size = feed.steps, feed.size
    own = feed.part.rows(size)
    one_hot = np.eye(feed.classes, dtype=np.float32)

    def read(step: int) -> tuple[Rows, Rows]:
        epoch, place = divmod(int(step), steps)
        chosen = epoch_order(epoch)[place * size : (place + 1) * size][own]
        return copy_of(epoch % len(copies))[chosen], one_hot[feed.train.truth[chosen]]

    def gather(step: Tensor) -> tuple[Tensor, ...]:
        rows, targets = tf.numpy_function(read, [step], [copies.dtype, tf.float32])
        rows.set_shape([len(own), *copies.shape])
        targets.set_shape([len(own), feed.classes])
        return step, rows, targets

    return gather


def _finisher(feed: Feed) -> Callable[..., tuple[Tensor, ...]]:
    """(step, rows, targets) → (inputs, targets, weights), changed as the augmentation says."""
    weights = tf.constant(feed.class_weights, tf.float32)
    values, part, teacher, offsets = feed.augmentation, feed.part, feed.teacher, feed.logit_offsets
    is_picture = feed.train.copies.dtype == np.uint8

    def finish(step: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        change, mix = (tf.stack([step, tf.constant(4 * feed.seed + use, tf.int64)]) for use in (CHANGE, MIX))
        changed = is_picture and values.changes_pixels
        inputs = augmented(rows, values, seed=change, part=part) if changed else to_inputs(rows)
        if values.mixup:
            inputs, targets = mixed(inputs, targets, values.mixup, seed=mix, part=part)
        counted = tf.linalg.matvec(targets, weights)  # a teacher does not say how much a label weighs
        return inputs, teacher.beside(targets, inputs, offsets=offsets) if teacher else targets, counted

    return finish
