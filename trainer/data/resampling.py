"""Balance the classes of cached features with new rows between neighbours of a class (SMOTE).

A new row lies on the line from a row to one of its nearest neighbours of the same class. Features of a
network can be blended in this way, pictures cannot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTENC
from numpy.typing import NDArray

from dermpack.contract import CategoricalColumn
from dermpack.inference.metadata_rows import EncodedMetadata, column_slices
from dermpack.metrics.predictions import Integers
from trainer.data.examples import Examples
from trainer.recipe.recipe import Balance

Array = NDArray[Any]
NEIGHBOURS = 5  # of Chawla et al. 2002


def resample(examples: Examples, balance: Balance, *, power: float, seed: int) -> Examples:
    """Return the examples with new ones of the smaller classes; features are [1, n, f] or [1, n, …].

    Power 1 makes all classes as large as the largest, power 0 changes nothing.
    """
    features = np.asarray(examples.copies[0])
    n, shape, dtype = len(examples), features.shape[1:], features.dtype
    table = [features.reshape(n, -1).astype(np.float32)]
    metadata = examples.metadata
    if metadata is not None:
        table.append(_to_table(metadata) if balance is Balance.SMOTENC else metadata.rows)
    width = table[0].shape[1]
    rows, truth = _sampler(examples, balance, metadata, width, power=power, seed=seed).fit_resample(
        np.concatenate(table, axis=1), examples.truth
    )
    # The first n rows are the old ones: their metadata stays as it was, to the last bit.
    added = len(truth) - n
    joined = None
    if metadata is not None:
        new = rows[n:, width:].astype(np.float32)
        new = _to_rows(metadata, new) if balance is Balance.SMOTENC else new
        joined = replace(metadata, rows=np.concatenate([metadata.rows, new]))
    blended = rows[n:, :width].astype(dtype).reshape(added, *shape)
    return replace(
        examples,
        copies=np.concatenate([features, blended])[np.newaxis],
        truth=np.asarray(truth, np.int64),
        names=(*examples.names, *(f"synthetic {number}" for number in range(added))),
        groups=(*examples.groups, *("" for _ in range(added))),
        metadata=joined,
    )


def count_wanted(counts: Integers, *, power: float) -> dict[int, int]:
    """Return how many rows each class is to have: (30, 10) and power 0.5 → (30, 17)."""
    present = np.flatnonzero(counts)
    largest = counts.max()
    wanted = np.rint(counts[present] * (largest / counts[present]) ** min(power, 1.0)).astype(int)
    return {int(label): int(count) for label, count in zip(present, wanted, strict=True)}


def _sampler(
    examples: Examples,
    balance: Balance,
    metadata: EncodedMetadata | None,
    width: int,
    *,
    power: float,
    seed: int,
) -> Any:
    counts = examples.counts
    options = {
        "sampling_strategy": count_wanted(counts, power=power),
        "k_neighbors": min(NEIGHBOURS, int(counts[counts > 0].min()) - 1),
        "random_state": seed,
    }
    if balance is Balance.SMOTE:
        return SMOTE(**options)
    assert metadata is not None  # checked by the preflight check
    # A numeric column has a number and a flag, a categorical one the number of its category.
    categorical, column = [], width
    for described in metadata.columns:
        if isinstance(described, CategoricalColumn):
            categorical.append(column)
            column += 1
        else:
            categorical.append(column + 1)
            column += 2
    return SMOTENC(categorical_features=categorical, **options)


def _to_table(metadata: EncodedMetadata) -> Array:
    """Return the rows with one column for each category instead of one slot for each of its values."""
    slices = column_slices(metadata.columns).values()
    parts = [
        metadata.rows[:, slots].argmax(axis=1)[:, None]
        if isinstance(column, CategoricalColumn)
        else metadata.rows[:, slots]
        for column, slots in zip(metadata.columns, slices, strict=True)
    ]
    return np.asarray(np.concatenate(parts, axis=1), np.float32)


def _to_rows(metadata: EncodedMetadata, table: Array) -> Array:
    """Return rows of slots, the inverse of `_to_table`."""
    parts, start = [], 0
    for column in metadata.columns:
        if isinstance(column, CategoricalColumn):
            parts.append(np.eye(column.slots, dtype=np.float32)[np.rint(table[:, start]).astype(int)])
            start += 1
        else:
            parts.append(table[:, start : start + 2])
            start += 2
    return np.asarray(np.concatenate(parts, axis=1), np.float32)
