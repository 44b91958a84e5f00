"""Run the frozen part of a network once per picture, and cache its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.augment import augment_batch, to_inputs
from trainer.data.examples import Examples, Rows
from trainer.data.prepared_cache import read_rows, write_rows
from trainer.recipe.augmentation import Augmentation

Keras = Any  # TensorFlow ships no types
BATCH = 64
MAX_FLOAT16 = float(np.finfo(np.float16).max)  # float16 is precise enough for features
SALT = 5  # keeps the seeds of the copies apart from those of the feed


def cache_features(
    trunk: Keras, examples: Examples, *, augmentation: Augmentation, copies: int, seed: int, folder: Path
) -> Examples:
    """Return the examples as float16 outputs of the trunk; a copy is computed when it is first read.

    Each copy is augmented with other random values; without augmentation one copy is enough.
    """
    changes = augmentation.changes_pixels

    def run(rows: Any, seed: Any) -> Any:
        inputs = augment_batch(rows, augmentation, seed=seed) if changes else to_inputs(rows)
        outputs = tf.cast(trunk(inputs, training=False), tf.float32)
        # A value beyond the range of float16 would become infinite, and the loss not finite.
        return tf.cast(tf.clip_by_value(outputs, -MAX_FLOAT16, MAX_FLOAT16), tf.float16)

    features = FrozenFeatures(
        run=tf.function(run, reduce_retracing=True, autograph=False),
        shape=(copies if changes else 1, len(examples), *trunk.output_shape[1:]),
        pictures=examples.copies[0],
        seed=seed,
        folder=folder,
        dtype=np.dtype(np.float16),
    )
    return replace(examples, copies=features)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenFeatures:
    """The output of a trunk for the pictures, one file per copy."""

    run: Callable[[Any, Any], Any]
    shape: tuple[int, ...]  # [copies, n, …]
    pictures: Rows
    seed: int
    folder: Path
    dtype: np.dtype[Any]

    def __getitem__(self, copy: int) -> Rows:
        path = self.folder / f"{copy:03}.npy"
        cached = read_rows(path, shape=self.shape[1:], dtype=self.dtype)
        if cached is not None:
            return cached
        return write_rows(path, self._batches(copy), shape=self.shape[1:], dtype=self.dtype)

    def _batches(self, copy: int) -> Iterator[tuple[int, Rows]]:
        n = len(self.pictures)
        for start in range(0, n, BATCH):
            rows = tf.constant(np.ascontiguousarray(self.pictures[start : start + BATCH]))
            # The seed is unique for each batch of each copy.
            seed = tf.constant([copy * n + start, 8 * self.seed + SALT], tf.int64)
            yield start, self.run(rows, seed).numpy()
