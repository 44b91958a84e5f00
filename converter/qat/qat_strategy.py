"""Quantization-aware training as a way to a file of integers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from converter.qat.qat_training import Begun, aware_plan, refuse_unfit, train_aware
from converter.quantize.tflite_conversion import Quantization, convert
from converter.search.candidate import CalibrationSet, Candidate
from converter.search.request import ConversionRequest, Method
from converter.sources.frozen_function import freeze
from converter.sources.run_source import RunSource
from dermpack.dataset.manifest import Split
from dermpack.progress import Track, silent
from trainer.api import Feed, ProgressCallback, fitting_of, read_examples, unwatched


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingObservers:
    """Who is told how long work goes on."""

    track: Track = silent
    watch: ProgressCallback = unwatched  # the epochs
    begun: Begun = lambda _: None  # what integers say of the validation split before the first epoch


def by_training(
    source: RunSource,
    request: ConversionRequest,
    material: CalibrationSet,
    folder: Path,
    audience: TrainingObservers,
) -> Candidate:
    """Train a copy for integers, as the run was trained; `folder` keeps what a killed training left."""
    refuse_unfit(source.run)
    began, io = perf_counter(), request.io_of(Quantization.INT8)
    recipe = fitting_of(source.run)
    plan = aware_plan(rate=recipe.rate, seed=request.seed, goal=recipe.metric)
    feed = _feed(source, request, audience.track)
    aware = train_aware(
        source.model,
        feed,
        plan,
        folder,
        calibration=material.rows,
        begun=audience.begun,
        watch=audience.watch,
    )
    data = convert(freeze(aware.model), Quantization.INT8, io=io)
    return Candidate(
        recipe=Quantization.INT8,
        io=io,
        method=Method.QAT,
        data=data,
        seconds=perf_counter() - began,
        material=material,
        notes=(f"qat: kept the weights after {aware.best_epoch} of {len(aware.fitted.history)} epochs",),
    )


def _feed(source: RunSource, request: ConversionRequest, track: Track) -> Feed:
    run, recipe = source.run, fitting_of(source.run)
    train = read_examples(
        source.dataset,
        Split.TRAIN,
        size=run.spec.size,
        policy=run.policy,
        threads=request.threads,
        track=track,
    )
    return Feed(
        train=train,
        validation=source.validation,
        batch=min(recipe.batch, len(train)),
        seed=request.seed,
        augmentation=recipe.augment,
        balance=recipe.balance,
        balance_power=recipe.balance_power,
    )
