"""Fit one temperature on a validation split, so that a probability means what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dermpack.metrics.definitions import ece
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.reliability import negative_log_likelihood

COLDEST, HOTTEST = 0.05, 20.0  # a perfect validation split has no finite optimum
NEAR = 1.2  # the slope of a perfect split vanishes before the bisection is at the bound
LARGEST_FLOOR = 1 / 512  # half a step of an 8-bit output, which rounds small probabilities to 0
HALVINGS = 60  # of the bracket: beyond the last bit of a double


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Divide log-probabilities by `value` and normalise again; the order of classes stays."""

    value: float
    floor: float  # what a probability of 0 is taken for
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float

    @property
    def is_bound(self) -> bool:
        """Whether the best lies at, or beyond, what is tried."""
        return not COLDEST * NEAR < self.value < HOTTEST / NEAR

    def record(self) -> dict[str, Any]:
        return asdict(self)


def temperature_from(record: Mapping[str, Any]) -> Temperature:
    """Read what `record` wrote; KeyError, TypeError or ValueError where it is something else."""
    names = ("value", "floor", "nll_before", "nll_after", "ece_before", "ece_after")
    figures = {name: float(record[name]) for name in names}
    if not COLDEST <= figures["value"] <= HOTTEST or not 0 < figures["floor"] <= LARGEST_FLOOR:
        raise ValueError(f"a temperature of {figures['value']} over {figures['floor']}")
    return Temperature(n=int(record["n"]), **figures)


def fit_temperature(predictions: Predictions) -> Temperature:
    """The temperature of least negative log-likelihood; the problem is convex in 1 / temperature."""
    floor = _floor(predictions.probabilities)
    logs = _logs(predictions.probabilities, floor)
    best = 1 / _sharpness(logs, predictions)
    scaled = replace(predictions, probabilities=_softmax(logs / best))
    return Temperature(
        value=best,
        floor=floor,
        n=len(predictions),
        nll_before=negative_log_likelihood(_log_softmax(logs), predictions.truth),
        nll_after=negative_log_likelihood(_log_softmax(logs / best), predictions.truth),
        ece_before=ece(predictions),
        ece_after=ece(scaled),
    )


def apply_temperature(probabilities: Floats, temperature: Temperature) -> Floats:
    """Probabilities [n, k] as they should have been."""
    return _softmax(_logs(probabilities, temperature.floor) / temperature.value)


def calibrated(predictions: Predictions, temperature: Temperature) -> Predictions:
    """The same pictures under the temperature."""
    return replace(predictions, probabilities=apply_temperature(predictions.probabilities, temperature))


def _sharpness(logs: Floats, predictions: Predictions) -> float:
    """Where the slope of the likelihood changes its sign, by bisection of 1 / temperature."""
    own = logs[np.arange(len(logs)), predictions.truth]
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = float(((_softmax(logs * middle) * logs).sum(axis=1) - own).mean())
        low, high = (middle, high) if slope < 0 else (low, middle)
    return min(max((low + high) / 2, 1 / HOTTEST), 1 / COLDEST)


def _floor(probabilities: Floats) -> float:
    return min(LARGEST_FLOOR, float(probabilities[probabilities > 0].min()) / 2)


def _logs(probabilities: Floats, floor: float) -> Floats:
    return np.asarray(np.log(np.maximum(probabilities, floor)))


def _softmax(logs: Floats) -> Floats:
    return np.asarray(np.exp(_log_softmax(logs)))


def _log_softmax(logs: Floats) -> Floats:
    shifted = logs - logs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
