"""Fit a model to a feed: the training loop, for any architecture. It can be killed at any moment."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.definitions import accuracy, auroc, balanced_accuracy
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.progress import ignore
from dermpack.storage.codec import encode
from dermpack.storage.files import format_json, sha256_of
from trainer.data.batches import MIN_PROBABILITY, Feed, batch_examples
from trainer.data.examples import Examples
from trainer.distributed.strategy import SINGLE_REPLICA, ReplicaGroup
from trainer.fitting.checkpoint import (
    CHECKPOINT_FILE,
    Checkpoint,
    FitResult,
    Stop,
    read_checkpoint,
    write_checkpoint,
)
from trainer.fitting.events import (
    Epoch,
    FitProgress,
    ProgressCallback,
    remaining_after_epoch_s,
    remaining_in_fit_s,
    seconds_per_step,
)
from trainer.fitting.plan import FitPlan
from trainer.fitting.train_step import TrainStep

Keras = Any  # tf_keras ships no types


def fit(
    model: Keras,
    feed: Feed,
    plan: FitPlan,
    folder: Path,
    *,
    on_progress: ProgressCallback = ignore,
    deadline: float = math.inf,
    replicas: ReplicaGroup = SINGLE_REPLICA,
) -> FitResult:
    """Train the trainable layers, and set the best epoch's weights in the model.

    `folder` contains the checkpoint: the same call resumes a fit that was killed, and gives the same result.
    `deadline` is a time of `time.monotonic`; an epoch that it interrupts is dropped. Of several workers, only
    the chief writes checkpoints.
    """
    train_step = TrainStep(model, plan, logit_offsets=feed.logit_offsets, replicas=replicas)
    # A checkpoint belongs to these shapes, these batches and this plan.
    shapes = [[list(variable.shape), bool(variable.trainable)] for variable in model.weights]
    identity = sha256_of(format_json([shapes, feed.fingerprint(), encode(plan)]).encode())
    is_mixed = feed.augmentation.mixes_pictures
    replicas.check_batch(batch=feed.batch_size, validation=len(feed.validation), is_mixed=is_mixed)
    # Only the chief keeps checkpoints; every worker must resume from the same state.
    replicas.broadcast_file(folder / CHECKPOINT_FILE)
    state = read_checkpoint(folder, identity=identity)
    if state is None:
        stop = Stop.NOT_YET if plan.epochs else Stop.ALL_EPOCHS
        begun = FitResult(history=(), best_epoch=0, stop=stop)
        now, best = train_step.state(), train_step.weights()
        state = Checkpoint(identity=identity, result=begun, now=now, best=best)
    train_step.restore(state.now)
    while state.result.stop is Stop.NOT_YET:
        state = _train_next_epoch(train_step, feed, state, on_progress, deadline)
        if replicas.is_chief:
            write_checkpoint(state, folder)
    train_step.restore(state.best)
    return state.result


def predict(model: Keras, examples: Examples) -> Predictions:
    """Return the model's predictions for the examples, which are not augmented."""
    train_step = TrainStep(model, FitPlan(name="predict", epochs=0, rate=0.0, seed=0))
    return examples.predictions(train_step.probabilities(batch_examples(examples)))


def _train_next_epoch(
    train_step: TrainStep, feed: Feed, state: Checkpoint, on_progress: ProgressCallback, deadline: float
) -> Checkpoint:
    """Train one epoch, evaluate it, and compare it with the best so far."""
    before, plan = state.result, train_step.plan
    number = len(before.history) + 1
    train_step.begin_epoch(number)
    clock = _EpochClock(plan=plan, batch=feed.batch, steps=feed.steps, number=number, began=time.monotonic())
    loss = _train_steps(train_step, feed, clock, on_progress, deadline)
    # The time limit drops an epoch that it interrupts, except the first: a run needs one.
    if loss is None and before.history:
        return replace(state, result=replace(before, stop=Stop.TIME_LIMIT))
    # Averaged weights are evaluated, and saved as the best; training continues with the current ones.
    with train_step.averaged():
        figures, weights = _evaluate(train_step, feed, number), train_step.weights()
    rate = plan.rate_at(number * clock.steps - 1, steps=clock.steps)
    epoch = Epoch(number=number, loss=loss or 0.0, rate=rate, validation=figures)
    history = (*before.history, epoch)
    # Of equal epochs the first is the best, so a later one must be better than all before it.
    *earlier, latest = (item.validation[plan.goal.value] for item in history)
    is_best = all(latest > figure for figure in earlier)
    on_progress(clock.progress(clock.steps, ended=epoch, is_best=is_best))
    best_epoch = number if is_best else before.best_epoch
    stop = Stop.NOT_YET
    if loss is None:
        stop = Stop.TIME_LIMIT
    elif number >= plan.epochs:
        stop = Stop.ALL_EPOCHS
    elif plan.patience and number - best_epoch >= plan.patience:
        stop = Stop.PATIENCE
    return Checkpoint(
        identity=state.identity,
        result=FitResult(history=history, best_epoch=best_epoch, stop=stop),
        now=train_step.state(),
        best=weights if is_best else state.best,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _EpochClock:
    """The times of one epoch's steps, for the progress events."""

    plan: FitPlan
    batch: int
    steps: int  # in an epoch; computed once, because the feed draws an order of all pictures for it
    number: int
    began: float
    step_ends: list[float] = field(default_factory=list)

    def progress(self, step: int, *, ended: Epoch | None = None, is_best: bool = False) -> FitProgress:
        epochs_left = self.plan.epochs - self.number
        if ended is None:
            steps_left = (epochs_left + 1) * self.steps - step
            remaining_s = remaining_in_fit_s(self.step_ends, steps=steps_left)
        else:
            now = time.monotonic()
            remaining_s = remaining_after_epoch_s(
                self.step_ends, began=self.began, now=now, epochs=epochs_left
            )
        step_s = seconds_per_step(self.step_ends)
        return FitProgress(
            name=self.plan.name,
            epoch=self.number,
            epochs=self.plan.epochs,
            step=step,
            steps=self.steps,
            pictures_per_s=self.batch / step_s if step_s else None,
            remaining_s=remaining_s,
            ended=ended,
            is_best=is_best,
        )


def _train_steps(
    train_step: TrainStep, feed: Feed, clock: _EpochClock, on_progress: ProgressCallback, deadline: float
) -> float | None:
    """Train the steps of an epoch; return their mean loss, or None where the time limit interrupted it."""
    steps, plan = clock.steps, train_step.plan
    first = (clock.number - 1) * steps
    total = 0.0
    for index, batch in enumerate(feed.batches(first, first + steps)):
        # All workers must stop at the same step: otherwise the others would wait for this one's gradients.
        if deadline < math.inf and train_step.replicas.any(time.monotonic() > deadline):
            return None
        loss = train_step.step(*batch, rate=plan.rate_at(first + index, steps=steps))
        # Stop here: the checkpoint of this epoch would replace the last usable one.
        if not math.isfinite(loss):
            raise _loss_error(clock.number, f"step {index + 1} of {steps}")
        total += loss
        clock.step_ends.append(time.monotonic())
        on_progress(clock.progress(index + 1))
    return total / steps


def _evaluate(train_step: TrainStep, feed: Feed, number: int) -> Mapping[str, float]:
    """Return the figures of the validation examples, of which each worker predicts its own span."""
    own = train_step.probabilities(batch_examples(feed.validation, shard=feed.shard))
    probabilities: Floats = train_step.replicas.join(own, len(feed.validation))
    if not np.isfinite(probabilities).all():
        raise _loss_error(number, "validation")
    predictions = feed.validation.predictions(probabilities)
    of_truth = probabilities[np.arange(len(predictions)), predictions.truth]
    return {
        "balanced_accuracy": balanced_accuracy(predictions),
        "auroc": auroc(predictions),
        "accuracy": accuracy(predictions),
        "loss": float(-np.log(np.maximum(of_truth, MIN_PROBABILITY)).mean()),
    }


def _loss_error(epoch: int, where: str) -> InputError:
    kept = f"the checkpoint of epoch {epoch - 1} is kept" if epoch > 1 else "no epoch was finished"
    what = f"the loss is not finite at {where} ({kept})"
    hint = "Train with a lower --rate or without mixed precision."
    return InputError(f"epoch {epoch}", what, hint, code="loss-not-finite")
