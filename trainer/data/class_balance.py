"""Give rare classes their say: weights in the loss, or more turns in an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
EFFECTIVE_BETA = 0.999  # of Cui et al. 2019: beyond about a thousand pictures a class gains little


class Balance(Enum):
    """How classes of unlike size are treated."""

    NONE = "none"
    PRIOR = "prior"  # the loss expects large classes to be frequent, so the network need not say it
    WEIGHTS = "weights"  # a class weighs the inverse of its count, raised to a power
    EFFECTIVE = "effective"  # the inverse of its effective number of pictures
    OVERSAMPLE = "oversample"  # an epoch is as long as ever; small classes get more turns in it
    UNDERSAMPLE = "undersample"  # an epoch has of each class as many as the smallest has


def class_weights(balance: Balance, counts: Integers, *, power: float) -> tuple[float, ...]:
    """One weight a class, with mean 1 over the pictures: WEIGHTS of (30, 10), power 1 → (0.667, 2.0)."""
    present = np.maximum(counts, 1).astype(np.float64)
    match balance:
        case Balance.WEIGHTS:
            raw = present**-power
        case Balance.EFFECTIVE:
            raw = ((1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**present)) ** power
        case _:
            raw = np.ones_like(present)
    return tuple((raw * counts.sum() / (raw * counts).sum()).tolist())


def logit_offsets(balance: Balance, counts: Integers, *, power: float) -> tuple[float, ...]:
    """What the loss adds to each logit: the class's log-share of the pictures (Menon et al. 2021).

    A network that is right with these offsets is right for equally frequent classes without them. Unlike
    weights, they keep their say when every training picture is right already.
    """
    if balance is not Balance.PRIOR:
        return (0.0,) * len(counts)
    shares = np.maximum(counts, 1) / counts.sum()
    return tuple((power * np.log(shares)).tolist())


def epoch_rows(balance: Balance, truth: Integers, *, power: float, seed: tuple[int, ...]) -> Integers:
    """The rows of one epoch in their order; the same seed gives the same rows."""
    draw = np.random.default_rng(seed)
    match balance:
        case Balance.OVERSAMPLE:
            rows = np.concatenate(list(_turns(truth, power, draw)))
        case Balance.UNDERSAMPLE:
            least = min(np.bincount(truth)[np.unique(truth)])
            rows = np.concatenate([draw.permutation(part)[:least] for part in _by_class(truth)])
        case _:
            rows = np.arange(len(truth))
    return np.asarray(draw.permutation(rows), dtype=np.int64)


def _turns(truth: Integers, power: float, draw: np.random.Generator) -> Iterator[Integers]:
    """Of each class so many rows as its share of the epoch asks for; none twice before all came once."""
    parts = _by_class(truth)
    shares = np.array([len(part) for part in parts], dtype=np.float64) ** (1 - power)
    wanted = np.maximum(np.rint(shares / shares.sum() * len(truth)).astype(int), 1)
    for part, count in zip(parts, wanted.tolist(), strict=True):
        rounds = [draw.permutation(part) for _ in range(-(-count // len(part)))]
        yield np.concatenate(rounds)[:count]


def _by_class(truth: Integers) -> list[Integers]:
    return [np.flatnonzero(truth == at) for at in np.unique(truth)]
