"""The phases of a training: the head on a frozen backbone, then the top of the backbone with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.data.batches import Feed
from trainer.data.examples import Examples
from trainer.data.frozen_features import recorded
from trainer.distributed.replicas import ALONE, ReplicaGroup
from trainer.fitting.events import ProgressCallback, unwatched
from trainer.fitting.loop import FitResult, fit
from trainer.fitting.plan import FitPlan
from trainer.fitting.tensorboard import write_logs
from trainer.model.distillation import Teacher
from trainer.model.freezing import All, boundary, freeze_below, split_at, train_from_nothing
from trainer.recipe.augmentation import Augmentation
from trainer.recipe.network_spec import Weights
from trainer.recipe.recipe import Recipe
from trainer.runs.run_folder import Phase

Keras = Any  # tf_keras ships no types
HEAD, TUNE, WHOLE = "head", "fine-tuning", "everything"
TUNE_SALT = 1  # the phases draw apart


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseInputs:
    """What all phases share."""

    recipe: Recipe
    train: Examples
    validation: Examples
    work: Path
    teacher: Teacher | None = None
    team: ReplicaGroup = ALONE
    deadline: float = math.inf
    watch: ProgressCallback = unwatched


def train_phases(model: Keras, material: PhaseInputs) -> tuple[Phase, ...]:
    """Run every phase that the recipe asks for; the model ends with the best weights of the last."""
    return tuple(_phases(model, material))


def planned_epochs(recipe: Recipe, phase: str) -> int:
    return recipe.head_epochs if phase == HEAD else recipe.epochs


def _phases(model: Keras, material: PhaseInputs) -> Iterator[Phase]:
    recipe = material.recipe
    if recipe.weights is Weights.NONE:
        train_from_nothing(model)
        yield _phase(model, _fresh(material, seed=recipe.seed), _tuning(recipe, WHOLE), material)
        return
    if recipe.head_epochs:
        freeze_below(model, 0)
        rest, feed = _cut(model, material, copies=recipe.head_copies, seed=recipe.seed, name=HEAD)
        yield _phase(rest, feed, _head_plan(recipe), material)
    if recipe.epochs and recipe.fine_tune != 0:
        freeze_below(model, All.ALL if recipe.fine_tune is None else recipe.fine_tune)
        seed = recipe.seed + TUNE_SALT
        rest, feed = _cut(model, material, copies=recipe.copies, seed=seed, name=TUNE)
        yield _phase(rest, feed, _tuning(recipe, TUNE), material)


def _phase(model: Keras, feed: Feed, plan: FitPlan, material: PhaseInputs) -> Phase:
    folder = material.work / plan.name
    folder.mkdir(exist_ok=True)
    team, watch, deadline = material.team, material.watch, material.deadline
    fitted = fit(model, feed, plan, folder, watch=watch, deadline=deadline, team=team)
    write_logs(fitted.history, material.work / "logs" / plan.name)
    return _told(plan, fitted)


def _told(plan: FitPlan, fitted: FitResult) -> Phase:
    return Phase(
        name=plan.name,
        plan=plan.record(),
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        stop=fitted.stop.value,
    )


def _cut(model: Keras, material: PhaseInputs, *, copies: int, seed: int, name: str) -> tuple[Keras, Feed]:
    """What trains, and what it eats: activations at the boundary, or pictures where none can be kept."""
    augmentation, at = material.recipe.augment, boundary(model)
    keeps = copies > 0 or not augmentation.changes_pixels
    if not keeps or at == model.layers[0].name:
        return model, _fresh(material, seed=seed)
    trunk, rest = split_at(model, at)
    folder, copies = material.work / name / "activations", max(copies, 1)
    train, validation = (
        recorded(trunk, part, augmentation=changes, copies=copies, seed=seed, folder=folder / split)
        for split, part, changes in (
            ("train", material.train, augmentation),
            ("validation", material.validation, Augmentation()),
        )
    )
    feed = _fresh(material, seed=seed)
    return rest, replace(feed, train=train, validation=validation, teacher=None)  # it needs pictures


def _fresh(material: PhaseInputs, *, seed: int) -> Feed:
    recipe = material.recipe
    return Feed(
        train=material.train,
        validation=material.validation,
        batch=min(recipe.batch, len(material.train)),
        seed=seed,
        augmentation=recipe.augment,
        balance=recipe.balance,
        balance_power=recipe.balance_power,
        teacher=material.teacher,
        part=material.team.part,
    )


def _head_plan(recipe: Recipe) -> FitPlan:
    """Short and steady: the head only has to be sensible when the backbone begins to move."""
    return FitPlan(
        name=HEAD,
        epochs=recipe.head_epochs,
        rate=recipe.head_rate,
        seed=recipe.seed,
        schedule=recipe.schedule,
        label_smoothing=recipe.label_smoothing,
        goal=recipe.metric,
    )


def _tuning(recipe: Recipe, name: str) -> FitPlan:
    return FitPlan(
        name=name,
        epochs=recipe.epochs,
        rate=recipe.rate,
        seed=recipe.seed + TUNE_SALT,
        schedule=recipe.schedule,
        warm_up=min(recipe.warm_up, recipe.epochs / 2),
        label_smoothing=recipe.label_smoothing,
        ema=recipe.ema,
        patience=recipe.patience,
        goal=recipe.metric,
    )
