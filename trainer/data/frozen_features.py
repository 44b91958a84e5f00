"""Run the frozen part of a network once, and keep what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.augment import augmented, to_inputs
from trainer.data.examples import Examples, Rows
from trainer.data.prepared_cache import whole_rows, write_rows
from trainer.recipe.augmentation import Augmentation

Keras = Any  # TensorFlow ships no types
BATCH = 64
LARGEST = float(np.finfo(np.float16).max)  # half a float is enough: activations are small, and noise is kind
SALT = 5  # the seeds of these copies are not those of the feed


def recorded(
    trunk: Keras,
    examples: Examples,
    *,
    augmentation: Augmentation,
    copies: int,
    seed: int,
    folder: Path,
) -> Examples:
    """The examples as the trunk's outputs, float16; each copy is made in the epoch that first asks for it.

    Where the augmentation changes pixels each copy is changed anew; otherwise one copy says all.
    """
    changes = augmentation.changes_pixels
    activations = FrozenFeatures(
        run=_runner(trunk, augmentation),
        shape=tuple(trunk.output_shape[1:]),
        pictures=examples,
        count=copies if changes else 1,
        seed=seed,
        folder=folder,
    )
    return examples.with_copies(activations)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenFeatures:
    """What a trunk makes of pictures: a file a copy."""

    run: Callable[[Any, Any], Any]
    shape: tuple[int, ...]
    pictures: Examples
    count: int
    seed: int
    folder: Path

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float16)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, copy: int) -> Rows:
        path = self.folder / f"{copy:03}.npy"
        shape = (len(self.pictures), *self.shape)
        found = whole_rows(path, shape=shape, dtype=self.dtype)
        if found is not None:
            return found
        return write_rows(path, self._batches(copy), shape=shape, dtype=self.dtype)

    def _batches(self, copy: int) -> Iterator[tuple[int, Rows]]:
        n, pictures = len(self.pictures), self.pictures.copies[0]
        for start in range(0, n, BATCH):
            rows = tf.constant(np.ascontiguousarray(pictures[start : start + BATCH]))
            seed = tf.constant([copy * n + start, 8 * self.seed + SALT], tf.int64)
            yield start, self.run(rows, seed).numpy()


def _runner(trunk: Keras, augmentation: Augmentation) -> Callable[[Any, Any], Any]:
    changes = augmentation.changes_pixels

    def run(rows: Any, seed: Any) -> Any:
        inputs = augmented(rows, augmentation, seed=seed) if changes else to_inputs(rows)
        outputs = tf.cast(trunk(inputs, training=False), tf.float32)
        return tf.cast(tf.clip_by_value(outputs, -LARGEST, LARGEST), tf.float16)

    compiled: Callable[[Any, Any], Any] = tf.function(run, reduce_retracing=True)
    return compiled
