"""What every worker of a training does alike: from a dataset to a trained network in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging import Policy
from dermpack.progress import Track, silent
from dermpack.storage.files import json_text
from trainer.data.batches import read_examples
from trainer.data.examples import Examples
from trainer.distributed.cluster import Cluster
from trainer.distributed.replicas import ReplicaGroup
from trainer.distributed.strategy import mustered, unbroken
from trainer.fitting.events import ProgressCallback, unwatched
from trainer.fitting.phases import PhaseInputs, train_phases
from trainer.fitting.tensorflow_setup import set_up, versions
from trainer.model.distillation import Teacher, load_teacher
from trainer.model.network import build
from trainer.recipe.recipe import Recipe
from trainer.runs.preflight import check_asked
from trainer.runs.run_folder import Phase

Keras = Any  # tf_keras ships no types
POLICY = Policy.CENTRE_SQUARE
FOR_THE_END = 0.95  # of a time limit is for the epochs, the rest for scoring and writing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedModel:
    """A network with its best weights, and where they came from."""

    model: Keras
    material: PhaseInputs
    phases: tuple[Phase, ...]


def deadline_of(recipe: Recipe) -> float:
    """A time of `time.monotonic`."""
    return time.monotonic() + recipe.time_limit * 60 * FOR_THE_END if recipe.time_limit else math.inf


def asked_for(dataset: Dataset, recipe: Recipe) -> Mapping[str, Any]:
    """What decides the weights."""
    return {"recipe": recipe.record(), "manifest_sha256": dataset.sha256, **versions()}


def trained(
    dataset: Dataset,
    recipe: Recipe,
    work: Path,
    cluster: Cluster | None,
    *,
    deadline: float,
    track: Track = silent,
    watch: ProgressCallback = unwatched,
) -> TrainedModel:
    """Train in the work folder, alone or as one of a cluster."""
    set_up(seed=recipe.seed, threads=recipe.threads, precision=recipe.mixed_precision)
    team = mustered(recipe.strategy, cluster)
    team.agree(json_text({**asked_for(dataset, recipe), "time_limit": recipe.time_limit}))
    _check_shares(dataset, recipe, team)
    spec = recipe.spec(classes=len(dataset.classes))
    built = build(spec, weights=recipe.weights, seed=recipe.seed)  # what has to be fetched is, first
    model = team.shared(built)
    material = PhaseInputs(
        recipe=recipe,
        train=_examples(dataset, Split.TRAIN, recipe, track),
        validation=_examples(dataset, Split.VALIDATION, recipe, track),
        work=work,
        teacher=_teacher(recipe),
        team=team,
        deadline=deadline,
        watch=watch,
    )
    phases = train_phases(model, material)
    return TrainedModel(model=team.unshared(model), material=material, phases=phases)


def train_beside(
    dataset: Dataset, run: Path, recipe: Recipe, cluster: Cluster, *, track: Track = silent
) -> None:
    """Work beside the chief: everything that it does, and nothing is kept or written here."""
    deadline = deadline_of(recipe)
    check_asked(dataset, run, recipe, overwrite=True)
    with TemporaryDirectory(prefix="dermpack-worker-") as work, unbroken(cluster):
        done = trained(dataset, recipe, Path(work), cluster, deadline=deadline, track=track)
        done.material.team.wait()  # the chief writes the run


def _check_shares(dataset: Dataset, recipe: Recipe, team: ReplicaGroup) -> None:
    """Before pictures are prepared, which may take long."""
    pictures, judged = (len(dataset.manifest.of(split)) for split in (Split.TRAIN, Split.VALIDATION))
    batch = min(recipe.batch, pictures)
    team.check_shares(batch=batch, judged=judged, is_mixed=bool(recipe.augment.mixup))


def _teacher(recipe: Recipe) -> Teacher | None:
    return load_teacher(recipe.teacher, share=recipe.teacher_share) if recipe.teacher else None


def _examples(dataset: Dataset, split: Split, recipe: Recipe, track: Track) -> Examples:
    return read_examples(dataset, split, size=recipe.size, policy=POLICY, threads=recipe.threads, track=track)
