"""Give the batches of a training their metadata, from which fields are dropped at random.

An app may leave any field blank, or all of them: a network that has never seen a blank field would give
arbitrary answers then. So each field, and the whole row, is blanked with the same probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dermpack.inference.metadata_rows import EncodedMetadata, column_slices
from trainer.distributed.cluster import Shard

Tensor = Any  # TensorFlow ships no types


def make_dropper(
    metadata: EncodedMetadata, *, share: float, shard: Shard
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function (rows, seed) → rows with blanked fields; the seed is two integers."""
    slices = column_slices(metadata.columns)
    # The column of each slot, so that all slots of a field are blanked together.
    owners = np.concatenate([np.full(slots.stop - slots.start, i) for i, slots in enumerate(slices.values())])
    blank, fields = tf.constant(metadata.blank), len(slices)

    def drop(rows: Tensor, seed: Tensor) -> Tensor:
        # Numbers are drawn for the whole batch, so that a row gets the same ones on any number of workers.
        n = rows.shape[0] * shard.count
        draws = tf.random.stateless_uniform([n, fields + 1], seed)
        if shard.count > 1:
            draws = tf.gather(draws, shard.rows(n))
        is_dropped = (draws[:, :fields] < share) | (draws[:, fields:] < share)
        return tf.where(tf.gather(is_dropped, owners, axis=1), blank, rows)

    return drop
