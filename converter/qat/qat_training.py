"""Make an int8 candidate by quantization-aware training, which continues where float training ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from converter._private import Keras
from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.qat.qat_network import build_qat_network
from converter.qat.unit_inputs import take_unit_inputs
from converter.quantize.calibration import CalibrationMetadata, CalibrationSet
from converter.quantize.tflite_conversion import Quantization, convert, freeze_graph
from converter.request import ConversionRequest, Method
from converter.search.candidate import Candidate
from converter.sources.source import Source
from dermpack.dataset.manifest import Split
from dermpack.errors import InputError
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, ignore, silent
from dermpack.storage.files import sha256_of
from trainer.api import (
    Feed,
    FitPlan,
    FitResult,
    Goal,
    ProgressCallback,
    fit,
    predict,
)

ZeroEpochCallback = Callable[[Predictions], None]
NAME = "quantization-aware"
EPOCHS = 3
RATE_SHARE = 1 / 15  # of the float learning rate: between a tenth and a twentieth
PATIENCE = 2  # epochs without an improvement


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingObservers:
    """The callbacks that report the progress of long work."""

    track: Track = silent
    on_progress: ProgressCallback = ignore  # the epochs
    on_zero_epoch: ZeroEpochCallback = lambda _: None  # the int8 predictions before the first epoch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QatNetwork:
    """A network after quantization-aware training; its frozen function contains the ranges."""

    model: Keras
    zero_epoch: Predictions  # int8, on the validation pictures, before the first step
    fitted: FitResult
    best_epoch: int  # from 1; 0 if no epoch improved on the start


def make_qat_candidate(
    source: Source,
    request: ConversionRequest,
    calibration: CalibrationSet,
    folder: Path,
    observers: TrainingObservers,
) -> Candidate:
    """Train a copy of the source's network with its options; `folder` keeps the checkpoint."""
    refuse_unsupported(source.where, source.trained.qat_refusal)
    start_time, io = perf_counter(), request.io_of(Quantization.INT8)
    recipe = source.trained.recipe
    train = source.read_split(Split.TRAIN, threads=request.threads, track=observers.track)
    feed = Feed(
        train=train,
        validation=source.validation,
        batch=min(recipe.batch, len(train)),
        seed=request.seed,
        augmentation=recipe.augment,
        balance=recipe.balance,
        balance_power=recipe.balance_power,
        metadata_drop=recipe.metadata_drop,
    )
    aware = train_aware(
        source.trained.graph.model,
        feed,
        plan_training(rate=recipe.rate, seed=request.seed, goal=recipe.metric),
        folder,
        calibration=calibration.rows,
        metadata=calibration.metadata,
        pixels=source.pixels,
        on_zero_epoch=observers.on_zero_epoch,
        on_progress=observers.on_progress,
    )
    data = convert(freeze_graph(source.trained.graph.trained(aware.model)), Quantization.INT8, io=io)
    return Candidate(
        recipe=Quantization.INT8,
        io=io,
        method=Method.QAT,
        data=data,
        seconds=perf_counter() - start_time,
        calibration=calibration,
        notes=(f"qat: kept the weights after {aware.best_epoch} of {len(aware.fitted.history)} epochs",),
    )


def refuse_unsupported(where: Path, reason: str) -> None:
    """Raise InputError if there is a reason against quantization-aware training."""
    if reason:
        what = f"quantization-aware training does not support this network ({reason})"
        raise InputError(where, what, "Convert it with --method ptq.", code="qat-not-supported")


def plan_training(
    *, rate: float, seed: int, epochs: int = EPOCHS, goal: Goal = Goal.BALANCED_ACCURACY
) -> FitPlan:
    """Return the plan of a short training after a float training with the learning rate `rate`."""
    return FitPlan(name=NAME, epochs=epochs, rate=rate * RATE_SHARE, seed=seed, patience=PATIENCE, goal=goal)


def train_aware(
    model: Keras,
    feed: Feed,
    plan: FitPlan,
    folder: Path,
    *,
    calibration: NDArray[np.uint8],
    metadata: CalibrationMetadata | None = None,
    pixels: PixelScale = UNIT_SCALE,
    on_zero_epoch: ZeroEpochCallback = lambda _: None,
    on_progress: ProgressCallback = ignore,
) -> QatNetwork:
    """Return a copy of the model after quantization-aware training.

    `calibration` are training pictures, uint8 [n, size, size, 3]. `on_zero_epoch` gets the int8 predictions
    of the validation pictures before the first step; an exception from it ends the training. The same call
    after an interruption continues from the checkpoint in `folder`.
    """
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(plan.seed)
    aware = build_qat_network(model, calibration, metadata, pixels=pixels)
    trained = take_unit_inputs(aware, pixels)  # with the variables of the copy
    start, zero_epoch = aware.get_weights(), predict(trained, feed.validation)
    on_zero_epoch(zero_epoch)
    # The folder is named after the weights and ranges at the start, so that a checkpoint of another network
    # is not continued.
    start_hash = sha256_of(b"".join(np.ascontiguousarray(weight).tobytes() for weight in start))
    (folder / start_hash).mkdir(parents=True, exist_ok=True)
    fitted = fit(trained, feed, plan, folder / start_hash, on_progress=on_progress)
    best = fitted.history[fitted.best_epoch - 1 : fitted.best_epoch]
    is_better = bool(best) and best[0].validation[plan.goal.value] > plan.goal.score(zero_epoch)
    # Epochs without an improvement are dropped: the start is often as good as the float network.
    if not is_better:
        aware.set_weights(start)
    return QatNetwork(
        model=aware,
        zero_epoch=zero_epoch,
        fitted=fitted,
        best_epoch=fitted.best_epoch if is_better else 0,
    )
