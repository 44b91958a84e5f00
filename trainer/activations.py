"""Run the frozen part of a network once, and keep what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dermpack.progress import Track, silent
from trainer.augment import augmented, to_inputs
from trainer.augmentation import Augmentation
from trainer.cache import is_whole, map_rows, write_rows
from trainer.examples import Examples, Rows

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
    path: Path,
    track: Track = silent,
) -> Examples:
    """The examples with the trunk's outputs, float16 [copies, n, …], kept at `path` and taken from there.

    Where the augmentation changes pixels each copy is changed anew; otherwise one copy says all.
    """
    copies = copies if augmentation.changes_pixels else 1
    shape = (copies, len(examples), *trunk.output_shape[1:])
    if not is_whole(path, shape):
        total = copies * -(-len(examples) // BATCH)
        batches = _batches(trunk, examples, augmentation, copies, seed)
        write_rows(
            path, track(batches, total=total, what="Running the frozen layers"), shape=shape, dtype=np.float16
        )
    return examples.with_rows(map_rows(path))


def _batches(
    trunk: Keras, examples: Examples, augmentation: Augmentation, copies: int, seed: int
) -> Iterator[Rows]:
    changes = augmentation.changes_pixels

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def run(rows: Any, seeds: Any) -> Any:
        inputs = augmented(rows, augmentation, seed=seeds) if changes else to_inputs(rows)
        outputs = tf.cast(trunk(inputs, training=False), tf.float32)
        return tf.cast(tf.clip_by_value(outputs, -LARGEST, LARGEST), tf.float16)

    for copy in range(copies):
        for start in range(0, len(examples), BATCH):
            rows = tf.constant(np.ascontiguousarray(examples.rows[0, start : start + BATCH]))
            yield run(rows, tf.constant([copy * len(examples) + start, 8 * seed + SALT], tf.int64)).numpy()
