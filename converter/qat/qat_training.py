"""Train a network for integers: quantization-aware, from where float training left it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from converter.qat.qat_network import make_aware
from dermpack.errors import InputError
from dermpack.metrics.predictions import Predictions
from dermpack.storage.files import sha256_of
from trainer.api import Feed, FitPlan, FitResult, Goal, ProgressCallback, Run, fit, predict, unwatched

Keras = Any  # tf_keras ships no types
Begun = Callable[[Predictions], None]
NAME = "quantization-aware"
EPOCHS = 3
RATE_SHARE = 1 / 15  # of the float rate: between a tenth and a twentieth
PATIENCE = 2  # epochs without a better figure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QatNetwork:
    """A network trained for integers; its frozen function brings the ranges that an int8 file needs."""

    model: Keras
    zero_epoch: Predictions  # of the validation pictures, by integers, before the first step
    fitted: FitResult
    best_epoch: int  # from 1; 0 where no epoch was better than none


def refuse_unfit(run: Run) -> None:
    """Say before any work that a run's network cannot be trained so."""
    if reason := run.spec.arch.qat_refusal:
        what = f"quantization-aware training does not support this network ({reason})"
        raise InputError(run.folder, what, "Convert it with --method ptq.", code="qat-not-supported")


def aware_plan(
    *, rate: float, seed: int, epochs: int = EPOCHS, goal: Goal = Goal.BALANCED_ACCURACY
) -> FitPlan:
    """A short fit after a float one at `rate`."""
    return FitPlan(name=NAME, epochs=epochs, rate=rate * RATE_SHARE, seed=seed, patience=PATIENCE, goal=goal)


def train_aware(
    model: Keras,
    feed: Feed,
    plan: FitPlan,
    folder: Path,
    *,
    calibration: NDArray[np.uint8],
    begun: Begun = lambda _: None,
    watch: ProgressCallback = unwatched,
    deadline: float = math.inf,
) -> QatNetwork:
    """A copy of the model, trained for integers; the model itself is untouched.

    `calibration` are training pictures, uint8 [n, size, size, 3]. `begun` is told what integers say of the
    validation pictures before the first step; what it raises stops the work. `folder` keeps the checkpoint:
    the same call goes on where a killed one was.
    """
    _be_deterministic(plan.seed)
    aware = make_aware(model, calibration)
    start, zero_epoch = aware.get_weights(), predict(aware, feed.validation)
    begun(zero_epoch)
    own = folder / _fingerprint(start)
    own.mkdir(parents=True, exist_ok=True)
    fitted = fit(aware, feed, plan, own, watch=watch, deadline=deadline)
    is_better = _best_figure(fitted, plan.goal) > plan.goal.of(zero_epoch)
    if not is_better:
        aware.set_weights(start)
    return QatNetwork(
        model=aware,
        zero_epoch=zero_epoch,
        fitted=fitted,
        best_epoch=fitted.best_epoch if is_better else 0,
    )


def _be_deterministic(seed: int) -> None:
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(seed)


def _fingerprint(weights: Sequence[NDArray[Any]]) -> str:
    """Names the start: a checkpoint of another network, or of other ranges, is not taken up."""
    return sha256_of(b"".join(np.ascontiguousarray(weight).tobytes() for weight in weights))


def _best_figure(fitted: FitResult, goal: Goal) -> float:
    """Of the epoch whose weights were kept."""
    kept = fitted.history[fitted.best_epoch - 1 : fitted.best_epoch]
    return kept[0].validation[goal.value] if kept else -math.inf
