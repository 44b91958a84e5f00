"""Fit a model to a feed: the one training loop; it knows no architecture, and can be killed at any moment."""

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
from dermpack.storage.files import json_text, sha256_of
from trainer.data.batches import Feed, plain_batches
from trainer.data.examples import Examples
from trainer.distributed.replicas import ALONE, ReplicaGroup
from trainer.fitting.checkpoint import CHECKPOINT_FILE, Checkpoint, Stop, read_checkpoint, write_checkpoint
from trainer.fitting.events import Epoch, FitProgress, ProgressCallback, unwatched
from trainer.fitting.plan import FitPlan, Goal
from trainer.fitting.time_estimate import left_after, left_within, step_s
from trainer.fitting.train_step import TrainStep

Keras = Any  # tf_keras ships no types
TINY = 1e-7  # below it a probability says nothing that a loss should count


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a fit did; the model itself now has the weights of its best epoch."""

    history: tuple[Epoch, ...]
    best_epoch: int
    stop: Stop


def fit(
    model: Keras,
    feed: Feed,
    plan: FitPlan,
    folder: Path,
    *,
    watch: ProgressCallback = unwatched,
    deadline: float = math.inf,
    team: ReplicaGroup = ALONE,
) -> FitResult:
    """Train what is trainable, and leave the best epoch's weights in the model.

    `folder` keeps the checkpoint: the same call goes on where a killed one was, and ends alike. `deadline`
    is a time of `time.monotonic`; an epoch that it interrupts is dropped. Of a team's workers, the chief
    has the checkpoint.
    """
    learner = TrainStep(model, plan, logit_offsets=feed.logit_offsets, team=team)
    identity = _identity(model, feed, plan)
    is_mixed = bool(feed.augmentation.mixup)
    team.check_shares(batch=feed.size, judged=len(feed.validation), is_mixed=is_mixed)
    team.hand_out(folder / CHECKPOINT_FILE)
    state = read_checkpoint(folder, identity=identity) or _before(learner, identity)
    learner.set_state(state.now)
    while state.stop is Stop.NOT_YET:
        state = _next(learner, feed, state, watch, deadline)
        if team.is_chief:
            write_checkpoint(state, folder)
    learner.set_weights(state.best)
    return FitResult(history=state.history, best_epoch=state.best_epoch, stop=state.stop)


def predict(model: Keras, examples: Examples) -> Predictions:
    """What the model says of the examples as they are."""
    learner = TrainStep(model, FitPlan(name="predict", epochs=0, rate=0.0, seed=0))
    return examples.predictions(learner.probabilities(plain_batches(examples)))


def _identity(model: Keras, feed: Feed, plan: FitPlan) -> str:
    shapes = [[list(variable.shape), bool(variable.trainable)] for variable in model.weights]
    return sha256_of(json_text([shapes, feed.fingerprint(), plan.record()]).encode())


def _before(learner: TrainStep, identity: str) -> Checkpoint:
    stop = Stop.NOT_YET if learner.plan.epochs else Stop.ALL_EPOCHS
    weights = learner.weights()
    return Checkpoint(
        identity=identity, history=(), best_epoch=0, stop=stop, now=learner.state(), best=weights
    )


def _next(
    learner: TrainStep, feed: Feed, state: Checkpoint, watch: ProgressCallback, deadline: float
) -> Checkpoint:
    """One epoch on: trained, judged, and compared with the best."""
    number, plan = len(state.history) + 1, learner.plan
    learner.begin_epoch(number)
    clock = _Clock(
        learner=learner, feed=feed, steps=feed.steps, number=number, watch=watch, began=time.monotonic()
    )
    loss = _train_epoch(clock, deadline)
    if loss is None and state.history:
        return replace(state, stop=Stop.TIME_LIMIT)
    with learner.averaged():
        figures, weights = _judge(learner, feed, number), learner.weights()
    rate = plan.rate_at(number * clock.steps - 1, steps=clock.steps)
    epoch = Epoch(number=number, loss=loss or 0.0, rate=rate, validation=figures)
    history = (*state.history, epoch)
    is_best = _is_best(history, plan.goal)
    watch(clock.ended(epoch, is_best=is_best))
    best_epoch = number if is_best else state.best_epoch
    stop = Stop.TIME_LIMIT if loss is None else _stop(plan, number, best_epoch)
    return Checkpoint(
        identity=state.identity,
        history=history,
        best_epoch=best_epoch,
        stop=stop,
        now=learner.state(),
        best=weights if is_best else state.best,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """One epoch's work and the time it began."""

    learner: TrainStep
    feed: Feed
    steps: int  # in an epoch; the feed counts them by drawing an order of all pictures
    number: int
    watch: ProgressCallback
    began: float
    ends: list[float] = field(default_factory=list)  # when each step did; it grows

    def moment(self, step: int) -> FitProgress:
        left = (self.learner.plan.epochs - self.number + 1) * self.steps - step
        return self._moment(step, left_within(self.ends, steps=left))

    def ended(self, epoch: Epoch, *, is_best: bool) -> FitProgress:
        left = self.learner.plan.epochs - self.number
        remaining_s = left_after(self.ends, began=self.began, now=time.monotonic(), epochs=left)
        return replace(self._moment(self.steps, remaining_s), ended=epoch, is_best=is_best)

    def _moment(self, step: int, remaining_s: float | None) -> FitProgress:
        each = step_s(self.ends)
        return FitProgress(
            name=self.learner.plan.name,
            epoch=self.number,
            epochs=self.learner.plan.epochs,
            step=step,
            steps=self.steps,
            pictures_per_s=self.feed.batch / each if each else None,
            remaining_s=remaining_s,
        )


def _train_epoch(clock: _Clock, deadline: float) -> float | None:
    """The mean loss of the epoch, or None where time ran out within it."""
    learner, steps = clock.learner, clock.steps
    first = (clock.number - 1) * steps
    total = 0.0
    for at, batch in enumerate(clock.feed.batches(first, first + steps)):
        if deadline < math.inf and learner.team.any(time.monotonic() > deadline):
            return None
        loss = learner.step(*batch, rate=learner.plan.rate_at(first + at, steps=steps))
        if not math.isfinite(loss):
            raise _no_number(clock.number, f"step {at + 1} of {steps}")
        total += loss
        clock.ends.append(time.monotonic())
        clock.watch(clock.moment(at + 1))
    return total / steps


def _judge(learner: TrainStep, feed: Feed, number: int) -> Mapping[str, float]:
    own = learner.probabilities(feed.validation_batches())
    probabilities = learner.team.joined(own, len(feed.validation))
    if not np.isfinite(probabilities).all():
        raise _no_number(number, "validation")
    predictions = feed.validation.predictions(probabilities)
    return {
        "balanced_accuracy": balanced_accuracy(predictions),
        "auroc": auroc(predictions),
        "accuracy": accuracy(predictions),
        "loss": _log_loss(probabilities, predictions),
    }


def _log_loss(probabilities: Floats, predictions: Predictions) -> float:
    own = probabilities[np.arange(len(predictions)), predictions.truth]
    return float(-np.log(np.maximum(own, TINY)).mean())


def _is_best(history: tuple[Epoch, ...], goal: Goal) -> bool:
    """Whether the last epoch beats all before it; the earlier of equals is kept."""
    figures = [epoch.validation[goal.value] for epoch in history]
    return all(figures[-1] > figure for figure in figures[:-1])


def _stop(plan: FitPlan, number: int, best_epoch: int) -> Stop:
    if number >= plan.epochs:
        return Stop.ALL_EPOCHS
    if plan.patience and number - best_epoch >= plan.patience:
        return Stop.PATIENCE
    return Stop.NOT_YET


def _no_number(epoch: int, where: str) -> InputError:
    kept = f"the checkpoint of epoch {epoch - 1} is kept" if epoch > 1 else "no epoch was finished"
    what = f"the loss is not finite at {where} ({kept})"
    hint = "Train with a lower --rate or without mixed precision."
    return InputError(f"epoch {epoch}", what, hint, code="loss-not-finite")
