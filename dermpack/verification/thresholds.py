"""Fit again what a contract decides by, on the split that it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import isclose

import numpy as np

from dermpack.contract import AbstentionRecord, Contract, OperatingPointRecord, TemperatureRecord
from dermpack.dataset.manifest import Dataset, Split
from dermpack.metrics.abstention import abstain
from dermpack.metrics.calibration import Temperature as Fitted
from dermpack.metrics.calibration import calibrated, fit_temperature
from dermpack.metrics.predictions import Flags, Predictions
from dermpack.metrics.thresholds import operating_threshold
from dermpack.verification.checks import Check, CheckOutcome, held
from dermpack.verification.scores import AGREEMENT_ERROR, ScoredSplit

TEMPERATURE_ERROR = 0.05  # of its value: kernels that round otherwise have nearly the same
LIKELIHOOD_ERROR = 0.002  # nats a picture: where any temperature fits, its value says little
LAST_BITS = 1e-9  # of a probability: many pictures of 8 bits stand on one threshold


def check_decisions(scored: ScoredSplit, contract: Contract, dataset: Dataset) -> Iterator[Check]:
    """Temperature, abstention and thresholds, where this is the split that conversion fitted them on."""
    if scored.split is not Split.VALIDATION or contract.parents.dataset != dataset.sha256:
        return
    predictions, soft, rule = scored.predictions, contract.output.temperature, contract.abstention
    if soft is not None:
        yield _temperature(predictions, soft)
        predictions = calibrated(predictions, Fitted(**asdict(soft)))
    if rule is not None:
        yield _abstention(predictions, rule)
    yield from (_point(predictions, point) for point in contract.thresholds)


def _temperature(predictions: Predictions, said: TemperatureRecord) -> Check:
    fitted = fit_temperature(predictions)
    lost = _likelihood(predictions, Fitted(**asdict(said))) - _likelihood(predictions, fitted)
    well = isclose(said.value, fitted.value, rel_tol=TEMPERATURE_ERROR) or lost <= LIKELIHOOD_ERROR
    return Check(
        name="temperature on validation",
        outcome=CheckOutcome.HOLDS if well else CheckOutcome.FAILS,
        detail=f"output.temperature.value is {said.value:.4g}; fitted again: {fitted.value:.4g}",
        figures={"recorded": said.value, "value": fitted.value, "n": len(predictions)},
    )


def _abstention(predictions: Predictions, said: AbstentionRecord) -> Check:
    """Any choice from the curve is well; it must do here what it is said to do."""
    answered = predictions.confidence >= said.threshold - LAST_BITS
    shares = {
        "coverage": (answered, np.ones_like(answered), said.coverage),
        "accuracy": (predictions.correct, answered, said.accuracy),
    }
    problems = list(_problems(shares))
    if problems:
        again = abstain(predictions, coverage=said.coverage or 1.0).threshold
        problems.insert(0, f"abstention.threshold is {said.threshold:.4g}, fitted again {again:.4g}")
    reached = f"coverage {said.coverage:.3f}, accuracy {said.accuracy:.3f}"
    well = f"from {said.threshold:.4g} on: {reached}, as recorded"
    return held("abstention on validation", problems, well=well)


def _point(predictions: Predictions, said: OperatingPointRecord) -> Check:
    at = predictions.classes.index(said.label)
    own, called = predictions.truth == at, predictions.probabilities[:, at] >= said.threshold - LAST_BITS
    shares = {"sensitivity": (called, own, said.sensitivity)}
    if said.specificity is not None:
        shares["specificity"] = (~called, ~own, said.specificity)
    problems = list(_problems(shares))
    if problems:
        again = operating_threshold(predictions, said.label, sensitivity=said.wanted_sensitivity).threshold
        problems.insert(0, f"the threshold is {said.threshold:.4g}, fitted again {again:.4g}")
    well = f"from {said.threshold:.4g} on: sensitivity {said.sensitivity:.3f}, as recorded"
    return held(f"threshold of {said.label} on validation", problems, well=well)


def _problems(shares: dict[str, tuple[Flags, Flags, float]]) -> Iterator[str]:
    """Shares of the second flags that have the first, too, beside what is said of them."""
    for name, (some, of, said) in shares.items():
        count = int(of.sum())
        here = float((some & of).sum() / count) if count else 0.0
        if abs(here - said) > AGREEMENT_ERROR + 1 / max(1, count):
            yield f"its {name} here is {here:.3f}, the contract says {said:.3f}"


def _likelihood(predictions: Predictions, temperature: Fitted) -> float:
    """Negative, a picture; the floor keeps every probability above 0."""
    probabilities = calibrated(predictions, temperature).probabilities
    return float(-np.log(probabilities[np.arange(len(predictions)), predictions.truth]).mean())
