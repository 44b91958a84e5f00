"""Provide labelled examples: pictures or features of them, and the balance of their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import MetadataColumn
from dermpack.dataset.manifest import Dataset, Split
from dermpack.dataset.views import name_joined_groups
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.metadata_rows import EncodedMetadata, encode_split
from dermpack.metrics.predictions import Floats, Integers, Predictions, as_truth
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.shared_folders import cache_bound_bytes, cache_folder
from trainer.data.prepared_cache import prepare_pictures
from trainer.recipe.recipe import Balance

Rows = NDArray[Any]
EFFECTIVE_BETA = 0.999  # of Cui et al. 2019: beyond about a thousand pictures a class gains little


class Copies(Protocol):
    """The same examples in several augmented copies: bytes [0, 255] for pictures, float16 for features.

    An array of this shape is one, too.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all copies: [copies, n, …]."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, copy: int, /) -> Rows:
        """Return [n, …], mapped from the disk or in memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Rows, each with its class, name and group."""

    copies: Copies
    truth: Integers  # [n], positions in classes
    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    metadata: EncodedMetadata | None = None  # a row for each of them; None for a network without metadata

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def counts(self) -> Integers:
        """The number of examples of each class."""
        return np.bincount(self.truth, minlength=len(self.classes)).astype(np.int64)

    def predictions(self, probabilities: Floats) -> Predictions:
        """Return the probabilities [n, k] of these examples together with their labels."""
        return Predictions(
            classes=self.classes,
            pictures=self.names,
            groups=self.groups,
            truth=self.truth,
            probabilities=probabilities,
        )


def read_examples(
    dataset: Dataset,
    split: Split,
    *,
    size: int,
    policy: Policy,
    threads: int,
    columns: tuple[MetadataColumn, ...] = (),
    has_pictures: bool = True,
    track: Track = silent,
) -> Examples:
    """Return the pictures of a split, prepared once and mapped from the user's cache afterwards.

    With columns, each has its row of metadata; without pictures, the examples are the rows alone.
    """
    pictures = dataset.manifest.of(split)
    metadata = encode_split(dataset, split, columns) if columns else None
    if has_pictures:
        rows = prepare_pictures(
            dataset,
            pictures,
            size=size,
            policy=policy,
            folder=cache_folder(),
            processes=threads or available_jobs(),
            bound_bytes=cache_bound_bytes(),
            track=track,
        )
    else:
        rows = np.zeros((len(pictures), 0), np.float32)
    return Examples(
        copies=rows[np.newaxis],
        truth=as_truth([dataset.classes.index(picture.label) for picture in pictures]),
        classes=dataset.classes,
        names=tuple(picture.path for picture in pictures),
        groups=name_joined_groups(pictures),
        metadata=metadata,
    )


def compute_class_weights(balance: Balance, counts: Integers, *, power: float) -> tuple[float, ...]:
    """Return a weight for each class, with mean 1 over the pictures.

    Balance.WEIGHTS with counts (30, 10) and power 1 → (0.667, 2.0).
    """
    present = np.maximum(counts, 1).astype(np.float64)
    match balance:
        case Balance.WEIGHTS:
            raw = present**-power
        case Balance.EFFECTIVE:
            raw = ((1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**present)) ** power
        case _:
            raw = np.ones_like(present)
    # Scaled so that the mean over all pictures is 1: the learning rate keeps its meaning.
    return tuple((raw * counts.sum() / (raw * counts).sum()).tolist())


def compute_logit_offsets(balance: Balance, counts: Integers, *, power: float) -> tuple[float, ...]:
    """Return what the loss adds to each logit: the class's log-share of the pictures (Menon et al. 2021).

    A network that is correct with these offsets is correct for equally frequent classes without them. Unlike
    weights, offsets still have an effect when every training picture is classified correctly.
    """
    if balance is not Balance.PRIOR:
        return (0.0,) * len(counts)
    # A class without pictures counts as one picture: the logarithm of 0 is not finite.
    shares = np.maximum(counts, 1) / counts.sum()
    return tuple((power * np.log(shares)).tolist())


def draw_epoch_rows(balance: Balance, truth: Integers, *, power: float, seed: tuple[int, ...]) -> Integers:
    """Return the rows of one epoch in their order; the same seed gives the same rows."""
    rng = np.random.default_rng(seed)
    rows_of_classes = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    match balance:
        # Pictures cannot be blended as features are: they are repeated.
        case Balance.OVERSAMPLE | Balance.SMOTE | Balance.SMOTENC:
            sizes = np.array([len(rows) for rows in rows_of_classes], dtype=np.float64)
            # Power 1 gives each class an equal share, power 0 its own.
            shares = sizes ** (1 - power)
            counts = np.maximum(np.rint(shares / shares.sum() * sizes.sum()).astype(int), 1)
            drawn = []
            for rows, count in zip(rows_of_classes, counts.tolist(), strict=True):
                # Whole rounds through the class: no row is drawn twice before all were drawn once.
                rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
                drawn.append(np.concatenate(rounds)[:count])
            rows = np.concatenate(drawn)
        case Balance.UNDERSAMPLE:
            least = min(len(rows) for rows in rows_of_classes)
            rows = np.concatenate([rng.permutation(rows)[:least] for rows in rows_of_classes])
        case _:
            rows = np.arange(len(truth))
    return np.asarray(rng.permutation(rows), dtype=np.int64)
