"""Recognize predictions that are no better than guessing."""

from __future__ import annotations

import numpy as np

from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import bootstrap
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.summary import Figure, make_figure

AUROC_OF_GUESSING = 0.5
ROUNDING = 1e-9  # of a mean: one answer for all pictures has a balanced accuracy of 1 / labels


def describe_guessing(predictions: Predictions, *, seed: int = 0) -> str:
    """Return the figures of predictions that are no better than guessing, or "" for better ones.

    They are no better if the interval of balanced accuracy or of AUROC (or, without an interval, the value)
    begins at or below that of guessing: 1 / 7 and 0.5 for seven labels.
    """
    present = len(np.unique(predictions.truth))
    if present < 2:
        return ""  # pictures of a single label show nothing
    guessed = {"balanced_accuracy": 1 / present, "auroc": AUROC_OF_GUESSING}

    def measure(drawn: Predictions, weights: Floats) -> dict[str, Floats]:
        return {name: OVERALL[name](drawn, weights) for name in guessed}

    values = measure(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, measure, seed=seed)
    figures = {name: make_figure(float(values[name][0]), draws.get(name)) for name in guessed}
    if all(_lowest(figures[name]) > guessed[name] + ROUNDING for name in guessed):
        return ""
    words = {name: _describe(figures[name], guessed[name]) for name in guessed}
    return f"balanced accuracy {words['balanced_accuracy']}, AUROC {words['auroc']}"


def _lowest(figure: Figure) -> float:
    """Return where the interval begins, or the value; an undefined figure shows nothing."""
    if figure.value is None:
        return float("inf")
    return figure.ci95[0] if figure.ci95 else figure.value


def _describe(figure: Figure, guessed: float) -> str:
    value = "undefined" if figure.value is None else f"{figure.value:.3f}"
    interval = f", 95 %: {figure.ci95[0]:.3f} to {figure.ci95[1]:.3f}" if figure.ci95 else ""
    return f"{value} (guessing: {guessed:.3f}{interval})"
