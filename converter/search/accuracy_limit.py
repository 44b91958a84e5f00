"""Compare a file with the float network, and decide whether its loss of accuracy is within the limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path

import numpy as np

from converter.sources.source import Source
from dermpack.errors import InputError
from dermpack.inference.classifier import load_classifier
from dermpack.inference.interpreter_host import Kernels, first_installed_runtime, open_host
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import Difference, compare_metric, top1_agreement
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, silent
from dermpack.tflite.reading import read_model

COMPARED_METRICS = ("balanced_accuracy", "accuracy", "auroc")
WHERE = Path("model.tflite")  # the file is not written yet
MAX_AUROC_DROP = 0.005  # of the macro mean
LEAST_AGREEMENT = 0.95  # share of pictures with the same most probable label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatComparison:
    """The predictions of a file on the validation split, and its figures next to the float network's."""

    predictions: Predictions  # before any temperature
    balanced_accuracy: Difference
    accuracy: Difference
    auroc: Difference
    agreement: float
    refusal: str = ""  # why XNNPACK refuses the file; the predictions are then of the built-in kernels


def compare_to_float(
    data: bytes, source: Source, *, seed: int, threads: int, track: Track = silent
) -> FloatComparison:
    """Run the file on every picture of the validation split, in a child process."""
    rows, known = source.validation.copies[0], source.validation.metadata
    with open_host(first_installed_runtime()) as host:
        interface = source.interface(read_model(data, where=WHERE))
        settings = ModelSettings(labels=source.labels, interface=interface)
        load = partial(load_classifier, host, data, where=WHERE, sidecar=settings, threads=threads)
        try:
            classifier, refusal = load(kernels=Kernels.XNNPACK), ""
        except InputError as error:
            classifier, refusal = load(kernels=Kernels.BUILTIN), error.what
        # A host serves the classifier that was loaded last, which is now the one with the right kernels.
        outputs = classifier.run_all(rows, known.rows if known else None, track=track)
    expected = source.float_predictions
    predictions = replace(expected, probabilities=outputs.probabilities)
    differences = {
        name: compare_metric(expected, predictions, OVERALL[name], seed=seed) for name in COMPARED_METRICS
    }
    agreement = top1_agreement(expected, predictions)
    return FloatComparison(predictions=predictions, agreement=agreement, refusal=refusal, **differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyLimit:
    """How much a file may lose, and which figures decide on a validation split of this size.

    Balanced accuracy decides unless a single picture is worth more than the limit. Then AUROC and agreement
    decide; and if even a single pair of pictures is worth more than the limit of AUROC, only a loss that the
    whole confidence interval shows.
    """

    max_drop: float  # points of balanced accuracy
    pictures: int
    one_picture: float  # points that one picture of the rarest label is worth
    one_pair: float  # macro AUROC that two pictures in the wrong order cost, in the ranking of each label

    @property
    def is_too_fine(self) -> bool:
        """Whether a single picture is worth more than the limit of balanced accuracy."""
        return self.one_picture > self.max_drop

    @property
    def is_too_small(self) -> bool:
        """Whether also a single pair of pictures is worth more than the limit of AUROC."""
        return self.is_too_fine and self.one_pair > MAX_AUROC_DROP

    @property
    def least_agreement(self) -> float:
        """The least share of equal labels; one picture may always differ: 18 pictures → 17 / 18."""
        return min(LEAST_AGREEMENT, (self.pictures - 1) / self.pictures)

    def excess(self, comparison: FloatComparison) -> float:
        """Return the loss as a multiple of the limit, by the figure that exceeds it most."""
        return max(self._excesses(comparison).values())

    def exceeded_figures(self, comparison: FloatComparison) -> tuple[str, ...]:
        """Return the figures that exceed their limits: none if the file is within the limit."""
        return tuple(figure for figure, times in self._excesses(comparison).items() if times > 1)

    def _excesses(self, comparison: FloatComparison) -> dict[str, float]:
        """Return how many times its limit each deciding figure loses."""
        if comparison.refusal:
            return {"XNNPACK": float("inf")}  # most apps cannot run the file, however accurate it is
        points = _times(-100 * comparison.balanced_accuracy.difference, self.max_drop)
        if not self.is_too_fine:
            return {"points": points}
        # A split of this size measures accuracy coarsely, so a loss counts only if the interval confirms it.
        auroc = _times(-comparison.auroc.difference, MAX_AUROC_DROP)
        return {
            "points": points if _is_certain(comparison.balanced_accuracy) else 0.0,
            "AUROC": auroc if not self.is_too_small or _is_certain(comparison.auroc) else 0.0,
            "same label": _times(1 - comparison.agreement, 1 - self.least_agreement),
        }

    def sentence(self) -> str:
        """Return which figures decide, and why these, in one sentence."""
        if not self.is_too_fine:
            return f"decided by balanced accuracy (at most {self.max_drop:g} points lost)"
        if not self.is_too_small:
            return (
                f"one picture of the rarest label is worth {self.one_picture:.1f} points, more than "
                f"--max-drop {self.max_drop:g}: decided by AUROC (at most {MAX_AUROC_DROP:g} lost) and "
                f"agreement (at least {LEAST_AGREEMENT:.0%})"
            )
        pair = "and all are of one label"
        if isfinite(self.one_pair):
            pair = f"one pair in the wrong order {self.one_pair:.3f} of AUROC (limit {MAX_AUROC_DROP:g})"
        return (
            f"{self.pictures} validation pictures are too few to measure such a small loss: one is worth up "
            f"to {self.one_picture:.1f} points (--max-drop {self.max_drop:g}), {pair}; a file is rejected if "
            f"its whole 95 % interval shows a larger loss, or if less than {self.least_agreement:.0%} of the "
            "labels are the same"
        )


def derive_limit(predictions: Predictions, *, max_drop: float) -> AccuracyLimit:
    """Return the limit for these validation pictures."""
    return limit_of_counts(np.bincount(predictions.truth).tolist(), max_drop=max_drop)


def limit_of_counts(counts: Iterable[int], *, max_drop: float) -> AccuracyLimit:
    """Return the limit for a validation split with these numbers of pictures of the labels.

    7 labels, 12 pictures of the rarest: one picture is worth 100 / 84 = 1.2 points of balanced accuracy.
    3 labels, 6 pictures each: one pair is worth 1 / (6 · 12) = 0.014 of AUROC.
    """
    # A label without pictures has no figure, and no part in the means.
    present = [count for count in counts if count > 0]
    pairs = [count * (sum(present) - count) for count in present]
    return AccuracyLimit(
        max_drop=max_drop,
        pictures=sum(present),
        one_picture=100 / (len(present) * min(present)),
        one_pair=sum(1 / count for count in pairs) / len(pairs) if all(pairs) else float("inf"),
    )


def _times(lost: float, limit: float) -> float:
    """Return the loss in units of its limit; a limit of 0 is met or exceeded infinitely: 2 of 1 → 2.0."""
    if limit > 0:
        return lost / limit
    return float("inf") if lost > limit else 0.0


def _is_certain(change: Difference) -> bool:
    """Return whether the whole confidence interval is a loss."""
    return change.ci95 is not None and change.ci95[1] < 0
