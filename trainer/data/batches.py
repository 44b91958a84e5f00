"""Provide batches for training, in an order that seed and epoch decide, and examples for validation.

Any step can be computed without the steps before it, so an interrupted fit resumes exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from dermpack.storage.codec import encode
from dermpack.storage.files import format_json, sha256_of
from trainer.data.augment import augment_batch, cut_mix, make_dropper, mix_up, to_inputs
from trainer.data.examples import (
    Examples,
    Rows,
    compute_class_weights,
    compute_logit_offsets,
    draw_epoch_rows,
)
from trainer.distributed.cluster import WHOLE, Shard
from trainer.recipe.augmentation import Augmentation
from trainer.recipe.recipe import Balance

Batches = Any  # TensorFlow ships no types
Keras = Any
Tensor = Any
PREFETCH = 2  # batches prepared during a step
PREDICT_BATCH = 64
ORDER, CHANGE, MIX, DROP = range(4)  # independent random streams of one seed
MIN_PROBABILITY = 1e-7  # below it a logarithm would dominate the loss
Function = TypeVar("Function", bound=Callable[..., Any])


def without_autograph(function: Function) -> Function:
    """Return the function without AutoGraph, which would write its code to TMPDIR."""
    kept: Function = tf.autograph.experimental.do_not_convert(function)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """Trained networks that get the same augmented pictures as the network that is trained."""

    networks: tuple[Keras, ...]
    weights_sha256: tuple[str, ...]
    share: float  # of each target; the label has the rest

    def fingerprint(self) -> list[Any]:
        """Return what decides the predictions, for a checkpoint to compare."""
        return [*self.weights_sha256, self.share]

    def blend_targets(self, targets: Tensor, inputs: Tensor, *, offsets: Sequence[float]) -> Tensor:
        """Return targets [n, k], partly the mean of the predictions for the inputs: [n, s, s, 3], metadata.

        The loss adds `offsets` to the logits of the trained network, so they are added to this mean too.
        """
        pixels, *others = tf.nest.flatten(inputs)
        answers = [_predict(network, pixels, others) for network in self.networks]
        logits = tf.math.log(tf.maximum(tf.add_n(answers) / len(answers), MIN_PROBABILITY))
        predictions = tf.nn.softmax(logits + tf.constant(offsets, tf.float32))
        return (1 - self.share) * targets + self.share * predictions


def _predict(network: Keras, pixels: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return the probabilities of a teacher, which may have another size, and no metadata."""
    shape = network.input_shape
    takes_metadata = isinstance(shape, list)
    side = shape[0][1] if takes_metadata else shape[1]
    if pixels.shape[1] != side:
        # A teacher takes the same augmented picture; only the size of its input may differ.
        pixels = tf.image.resize(pixels, [side, side], antialias=True)
    # A teacher without metadata sees the picture only.
    inputs = [pixels, *others] if takes_metadata else pixels
    return tf.cast(network(inputs, training=False), tf.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feed:
    """The data of a fit: batches to train on, and the validation examples."""

    train: Examples
    validation: Examples
    batch: int
    seed: int
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 - frozen
    balance: Balance = Balance.NONE
    balance_power: float = 1.0
    teacher: Teacher | None = None
    metadata_drop: float = 0.0  # probability that a field, and that a whole row, is blanked
    shard: Shard = WHOLE  # of every batch, where workers share it

    @property
    def class_weights(self) -> tuple[float, ...]:
        return compute_class_weights(self.balance, self.train.counts, power=self.balance_power)

    @property
    def logit_offsets(self) -> tuple[float, ...]:
        return compute_logit_offsets(self.balance, self.train.counts, power=self.balance_power)

    @property
    def steps(self) -> int:
        """The number of steps in an epoch; pictures that do not fill a batch are left out of it."""
        return max(1, len(self.order(0)) // self.batch)

    @property
    def batch_size(self) -> int:
        """The number of pictures in a batch: fewer than requested if an epoch has fewer."""
        return min(self.batch, len(self.order(0)))

    def order(self, epoch: int) -> Any:
        """Return the rows of the epoch in their order."""
        seed = (self.seed, epoch, ORDER)
        return draw_epoch_rows(self.balance, self.train.truth, power=self.balance_power, seed=seed)

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the batches, so that a checkpoint can be compared."""
        copies, _, *row_shape = self.train.copies.shape
        record = {
            "pictures": [*self.train.names, *self.validation.names],
            "rows": [copies, *row_shape],
            "batch": self.batch,
            "seed": self.seed,
            "augmentation": encode(self.augmentation),
            "balance": [self.balance.value, self.balance_power],
        }
        if self.teacher:
            record["teacher"] = self.teacher.fingerprint()
        if self.train.metadata and self.validation.metadata:
            rows = (part.rows.tobytes() for part in (self.train.metadata, self.validation.metadata))
            record["metadata"] = [sha256_of(b"".join(rows)), self.metadata_drop]
        return sha256_of(format_json(record).encode())

    def batches(self, first: int, last: int) -> Batches:
        """Return (inputs, targets [n, k], weights [n]) of the steps first to last - 1, over all epochs."""
        options = tf.data.Options()
        options.deterministic = True
        # One thread: preparing batches must not take processors from the training step.
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        steps = tf.data.Dataset.range(first, last)
        return steps.map(_read_step(self)).map(_finish_step(self)).prefetch(PREFETCH).with_options(options)


def batch_examples(examples: Examples, *, shard: Shard = WHOLE) -> Batches:
    """Return the inputs of all examples in their order, unchanged; or of the shard's span of them."""
    first, end = shard.span(len(examples))
    copies, rows_of_copy, metadata = examples.copies, examples.copies[0], examples.metadata

    def read_rows(start: int) -> Rows:
        return np.ascontiguousarray(rows_of_copy[start : min(start + PREDICT_BATCH, end)])

    # TensorFlow cannot infer the shape of what Python returns, so the shape is set here.
    @without_autograph
    def read_inputs(start: Tensor) -> Tensor:
        rows = tf.numpy_function(read_rows, [start], copies.dtype)
        rows.set_shape([None, *copies.shape[2:]])
        if metadata is None:
            return to_inputs(rows)
        known = tf.constant(metadata.rows)[start : tf.minimum(start + PREDICT_BATCH, end)]
        return _join_inputs(to_inputs(rows), known)

    return tf.data.Dataset.range(first, end, PREDICT_BATCH).map(read_inputs).prefetch(PREFETCH)


def _join_inputs(rows: Tensor, known: Tensor) -> Any:
    """Return the inputs of a network with metadata; rows without numbers belong to one without pictures."""
    return known if rows.shape[-1] == 0 else (rows, known)


def _read_step(feed: Feed) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return a function step → (step, rows, metadata, targets) that reads from the mapped file."""
    copies = feed.train.copies
    # Two epochs are in memory at a time: prefetching crosses from one to the next.
    epoch_order = lru_cache(maxsize=2)(feed.order)
    read_copy = lru_cache(maxsize=2)(copies.__getitem__)
    steps, size = feed.steps, feed.batch_size
    shard_rows = feed.shard.rows(size)
    one_hot = np.eye(len(feed.train.classes), dtype=np.float32)

    metadata = feed.train.metadata
    known = np.zeros((len(feed.train), 0), np.float32) if metadata is None else metadata.rows

    # The step alone decides epoch and position, so any step can be read first when a fit resumes.
    def read_numpy(step: int) -> tuple[Rows, Rows, Rows]:
        epoch, position = divmod(int(step), steps)
        chosen = epoch_order(epoch)[position * size : (position + 1) * size][shard_rows]
        return read_copy(epoch % copies.shape[0])[chosen], known[chosen], one_hot[feed.train.truth[chosen]]

    @without_autograph
    def read_step(step: Tensor) -> tuple[Tensor, ...]:
        types = [copies.dtype, tf.float32, tf.float32]
        rows, own, targets = tf.numpy_function(read_numpy, [step], types)
        rows.set_shape([len(shard_rows), *copies.shape[2:]])
        own.set_shape([len(shard_rows), known.shape[1]])
        targets.set_shape([len(shard_rows), len(one_hot)])
        return step, rows, own, targets

    return read_step


def _finish_step(feed: Feed) -> Callable[..., tuple[Tensor, ...]]:
    """Return a function that augments rows: (step, rows, metadata, targets) → (inputs, targets, weights)."""
    class_weights = tf.constant(feed.class_weights, tf.float32)
    values, shard, teacher, offsets = feed.augmentation, feed.shard, feed.teacher, feed.logit_offsets
    augments = feed.train.copies.dtype == np.uint8 and values.changes_pixels

    metadata = feed.train.metadata
    drop = metadata and make_dropper(metadata, share=feed.metadata_drop, shard=shard)

    @without_autograph
    def finish_step(step: Tensor, rows: Tensor, known: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        # Four numbers per seed keep the streams of different seeds apart.
        change, mix, fields = (
            tf.stack([step, tf.constant(4 * feed.seed + use, tf.int64)]) for use in (CHANGE, MIX, DROP)
        )
        inputs = augment_batch(rows, values, seed=change, shard=shard) if augments else to_inputs(rows)
        if drop:
            inputs = _join_inputs(inputs, drop(known, fields))
        if values.mixup:
            inputs, targets = mix_up(inputs, targets, values.mixup, seed=mix, shard=shard)
        if values.cutmix and augments:
            inputs, targets = cut_mix(inputs, targets, values.cutmix, seed=mix, shard=shard)
        # The label decides the weight of an example, whatever the teacher predicts.
        weights = tf.linalg.matvec(targets, class_weights)
        if teacher:
            targets = teacher.blend_targets(targets, inputs, offsets=offsets)
        return inputs, targets, weights

    return finish_step
