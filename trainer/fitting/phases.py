"""Run the phases of a training: the head on a frozen backbone, then fine-tuning of backbone and head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from dermpack.progress import ignore
from dermpack.storage.codec import encode
from trainer.data.batches import Feed, Teacher
from trainer.data.examples import Examples
from trainer.data.frozen_features import cache_features
from trainer.distributed.strategy import SINGLE_REPLICA, ReplicaGroup
from trainer.fitting.events import Epoch, ProgressCallback
from trainer.fitting.loop import fit
from trainer.fitting.plan import FitPlan
from trainer.model.freezing import find_boundary, freeze_below, split_model, unfreeze_all
from trainer.recipe.augmentation import Augmentation
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import Balance, Recipe
from trainer.runs.run_folder import Phase

Keras = Any  # tf_keras ships no types
HEAD, TUNE, WHOLE = "head", "fine-tuning", "everything"
TUNE_SALT = 1  # the two phases draw different random numbers
EVENTS_FILE = "events.out.tfevents.0.dermpack"  # TensorBoard searches for "tfevents" in the name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseInputs:
    """What all phases of a training share."""

    recipe: Recipe
    train: Examples
    validation: Examples
    work: Path
    teacher: Teacher | None = None
    replicas: ReplicaGroup = SINGLE_REPLICA
    deadline: float = math.inf
    on_progress: ProgressCallback = ignore


def train_phases(model: Keras, inputs: PhaseInputs) -> tuple[Phase, ...]:
    """Run every phase of the recipe; the model has the best weights of the last afterwards."""
    recipe = inputs.recipe
    # Random weights need no protection: everything trains, without a head phase.
    if recipe.weights is Weights.NONE:
        unfreeze_all(model)
        feed = _picture_feed(inputs, seed=recipe.seed)
        if recipe.arch is Arch.METADATA:
            feed = _resample(feed, recipe)
        return (_run_phase(model, feed, _tune_plan(recipe, WHOLE), inputs),)
    phases = []
    if recipe.head_epochs:
        freeze_below(model, 0)
        rest, feed = _split_for_phase(model, inputs, copies=recipe.head_copies, seed=recipe.seed, name=HEAD)
        phases.append(_run_phase(rest, feed, _head_plan(recipe), inputs))
    # Fine-tuning continues with the best weights of the head phase.
    if recipe.epochs and recipe.fine_tune != 0:
        freeze_below(model, recipe.fine_tune)
        seed = recipe.seed + TUNE_SALT
        rest, feed = _split_for_phase(model, inputs, copies=recipe.copies, seed=seed, name=TUNE)
        phases.append(_run_phase(rest, feed, _tune_plan(recipe, TUNE), inputs))
    return tuple(phases)


def write_logs(history: Sequence[Epoch], folder: Path) -> None:
    """Write a history for TensorBoard: one scalar per figure and epoch.

    The time of an event is its epoch, so that the same history gives the same bytes, and a longer history
    begins with the bytes of a shorter one.
    """
    event_type, summary_type = tf.compat.v1.Event, tf.compat.v1.Summary
    folder.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / EVENTS_FILE)) as writer:
        writer.write(event_type(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
        for epoch in history:
            figures = {"loss": epoch.loss, "rate": epoch.rate}
            figures |= {f"validation/{name}": value for name, value in sorted(epoch.validation.items())}
            values = [summary_type.Value(tag=tag, simple_value=figure) for tag, figure in figures.items()]
            summary = summary_type(value=values)
            event = event_type(wall_time=float(epoch.number), step=epoch.number, summary=summary)
            writer.write(event.SerializeToString())


def _run_phase(model: Keras, feed: Feed, plan: FitPlan, inputs: PhaseInputs) -> Phase:
    folder = inputs.work / plan.name
    folder.mkdir(exist_ok=True)
    result = fit(
        model,
        feed,
        plan,
        folder,
        on_progress=inputs.on_progress,
        deadline=inputs.deadline,
        replicas=inputs.replicas,
    )
    write_logs(result.history, inputs.work / "logs" / plan.name)
    return Phase(
        name=plan.name,
        plan=encode(plan),
        history=result.history,
        best_epoch=result.best_epoch,
        stop=result.stop.value,
    )


def _split_for_phase(
    model: Keras, inputs: PhaseInputs, *, copies: int, seed: int, name: str
) -> tuple[Keras, Feed]:
    """Return the network that trains and its feed: cached features above a frozen trunk, or pictures.

    Pictures are needed where every epoch augments them again, and where no layer below the trained ones is
    worth caching.
    """
    augmentation, boundary = inputs.recipe.augment, find_boundary(model)
    feed = _picture_feed(inputs, seed=seed)
    is_cacheable = copies > 0 or not augmentation.changes_pixels
    if not is_cacheable or boundary == model.input_names[0]:
        return model, feed
    # Validation pictures are never augmented, so they have one copy.
    trunk, rest = split_model(model, boundary)
    folder, copies = inputs.work / name / "activations", max(copies, 1)
    train, validation = (
        cache_features(trunk, part, augmentation=changes, copies=copies, seed=seed, folder=folder / split)
        for split, part, changes in (
            ("train", inputs.train, augmentation),
            ("validation", inputs.validation, Augmentation()),
        )
    )
    feed = replace(feed, train=train, validation=validation, teacher=None)  # a teacher needs pictures
    return rest, _resample(feed, inputs.recipe) if name == HEAD else feed


def _resample(feed: Feed, recipe: Recipe) -> Feed:
    """Return the feed with new rows of features, if the recipe balances its classes in this way."""
    if not recipe.balance.resamples_features:
        return feed
    from trainer.data.resampling import resample  # scikit-learn is slow to import

    train = resample(feed.train, recipe.balance, power=recipe.balance_power, seed=recipe.seed)
    return replace(feed, train=train, balance=Balance.NONE, batch=min(recipe.batch, len(train)))


def _picture_feed(inputs: PhaseInputs, *, seed: int) -> Feed:
    recipe = inputs.recipe
    return Feed(
        train=inputs.train,
        validation=inputs.validation,
        batch=min(recipe.batch, len(inputs.train)),
        seed=seed,
        augmentation=recipe.augment,
        balance=recipe.balance,
        balance_power=recipe.balance_power,
        teacher=inputs.teacher,
        metadata_drop=recipe.metadata_drop,
        shard=inputs.replicas.shard,
    )


def _head_plan(recipe: Recipe) -> FitPlan:
    """Return a plan without warm-up and averaging: fine-tuning trains the head further."""
    return FitPlan(
        name=HEAD,
        epochs=recipe.head_epochs,
        rate=recipe.head_rate,
        seed=recipe.seed,
        schedule=recipe.schedule,
        label_smoothing=recipe.label_smoothing,
        goal=recipe.metric,
    )


def _tune_plan(recipe: Recipe, name: str) -> FitPlan:
    return replace(
        _head_plan(recipe),
        name=name,
        epochs=recipe.epochs,
        rate=recipe.rate,
        seed=recipe.seed + TUNE_SALT,
        warm_up=min(recipe.warm_up, recipe.epochs / 2),
        ema=recipe.ema,
        patience=recipe.patience,
    )
