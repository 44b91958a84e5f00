"""Find the pictures that a model is most wrongly sure of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dermpack.metrics.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A picture that was taken for another class, and how sure the model was of either."""

    picture: str
    truth: str
    predicted: str
    confidence: float
    probability_of_truth: float


def worst_mistakes(predictions: Predictions, *, most: int) -> tuple[Mistake, ...]:
    """The wrong ones, the least probable truth first; equal ones in the order of the pictures."""
    n = len(predictions)
    of_truth = predictions.probabilities[np.arange(n), predictions.truth]
    order = [int(at) for at in np.argsort(of_truth, kind="stable") if not predictions.correct[at]]
    truth, predicted = predictions.truth.tolist(), predictions.predicted.tolist()
    return tuple(
        Mistake(
            picture=predictions.pictures[at],
            truth=predictions.classes[truth[at]],
            predicted=predictions.classes[predicted[at]],
            confidence=float(predictions.confidence[at]),
            probability_of_truth=float(of_truth[at]),
        )
        for at in order[:most]
    )
