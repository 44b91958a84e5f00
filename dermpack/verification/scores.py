"""Score a file on a dataset again, and compare the figures and decisions that its contract records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose

import numpy as np

from dermpack.contract import Abstention, ComparedFigure, Contract, OperatingPoint, Temperature
from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import count_noun
from dermpack.evaluation.evaluate import Predictor, predict
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.definitions import OVERALL, metric_value
from dermpack.metrics.intervals import (
    MIN_DRAWABLE_GROUPS,
    Interval,
    bootstrap,
    compare_metric,
    percentile_interval,
    top1_agreement,
)
from dermpack.metrics.predictions import Flags, Predictions
from dermpack.metrics.thresholds import fit_abstention, fit_operating_point
from dermpack.progress import Track, silent
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems

METRICS = ("balanced_accuracy", "accuracy", "auroc")
AGREEMENT_ERROR = 0.02  # kernels that round differently change a label if two are nearly equal
FIGURE_ERROR = 0.01  # likewise, beyond an interval, which may be a single point
TEMPERATURE_ERROR = 0.05  # relative; kernels that round differently give nearly the same
LIKELIHOOD_ERROR = 0.002  # nats per picture; if any temperature fits, its value means little
LAST_BITS = 1e-9  # of a probability; with 8 bits, many pictures lie exactly on a threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredSplit:
    """The predictions of the file on a split, and those of the float network if it is available."""

    split: Split
    predictions: Predictions
    of_float: Predictions | None

    def __len__(self) -> int:
        return len(self.predictions)


def list_splits(contract: Contract, dataset: Dataset, requested: Split) -> tuple[Split, ...]:
    """Return the requested split, and all that the contract has figures of if this is its dataset."""
    is_parent = contract.parents.dataset == dataset.sha256
    recorded = {accuracy.split for accuracy in contract.accuracy} if is_parent else set()
    present = [split for split in Split if split.value in recorded and dataset.manifest.of(split)]
    return (requested, *(split for split in present if split is not requested))


def score_split(
    predictor: Predictor, network: Predictor | None, dataset: Dataset, split: Split, *, track: Track = silent
) -> ScoredSplit:
    """Predict the split with the file and, if it is given, with the float network."""
    predictions = predict(predictor, dataset, split=split, track=track)
    of_float = predict(network, dataset, split=split, track=track) if network else None
    return ScoredSplit(split=split, predictions=predictions, of_float=of_float)


# --- Figures ---


def check_scores(scored: ScoredSplit, contract: Contract, dataset: Dataset) -> Iterator[Check]:
    """Compare each figure, with its interval, with the recorded one."""
    split = scored.split.value
    recorded = next((accuracy for accuracy in contract.accuracy if accuracy.split == split), None)
    why = "the contract has no figure of this split"
    if contract.parents.dataset != dataset.sha256:
        recorded, why = None, "another dataset than the contract's"
    if recorded is not None and recorded.n != len(scored):
        detail = f"{count_noun(len(scored), 'picture')}, but the contract has {recorded.n}"
        yield Check(name=f"pictures of {split}", outcome=CheckOutcome.FAILS, detail=detail)
    # There are intervals even for few groups: they are tolerances, not results.
    draws = bootstrap(
        scored.predictions,
        lambda predictions, weights: {name: OVERALL[name](predictions, weights) for name in METRICS},
        min_groups=MIN_DRAWABLE_GROUPS,
    )
    for metric in METRICS:
        ci95 = percentile_interval(draws[metric]) if draws else None
        figures = recorded.figures if recorded else ()
        figure = next((figure for figure in figures if figure.metric == metric), None)
        yield _check_figure(metric, scored, ci95, figure, why)
    if scored.of_float is None:
        return
    share = top1_agreement(scored.of_float, scored.predictions)
    agreement = {"agreement": share, "n": len(scored)}
    outcome, remark = CheckOutcome.NOTED, "no recorded figure"
    if recorded is not None:
        is_close = abs(share - recorded.agreement) <= AGREEMENT_ERROR
        outcome = CheckOutcome.HOLDS if is_close else CheckOutcome.FAILS
        remark, agreement["recorded"] = f"recorded: {recorded.agreement:.1%}", recorded.agreement
    detail = f"the network's label on {share:.1%} of {len(scored)}; {remark}"
    yield Check(name=f"labels on {split}", outcome=outcome, detail=detail, figures=agreement)


def _check_figure(
    metric: str, scored: ScoredSplit, ci95: Interval | None, recorded: ComparedFigure | None, why: str
) -> Check:
    name, measured = f"{metric} on {scored.split.value}", metric_value(OVERALL[metric], scored.predictions)
    figures = {"value": measured, "n": len(scored), **_ends("", ci95)}
    detail = f"{measured:.4f}{_range(ci95)} on {count_noun(len(scored), 'picture')}"
    change = None
    if scored.of_float is not None:
        change = compare_metric(scored.of_float, scored.predictions, OVERALL[metric])
        figures |= {"of_float": change.first, "difference": change.difference}
        figures |= _ends("difference_", change.ci95)
        detail += f", from the network {change.difference:+.4f}{_range(change.ci95)}"
    if recorded is None:
        return Check(name=name, outcome=CheckOutcome.NOTED, detail=f"{detail}; {why}", figures=figures)
    # Another machine measures another value, so both comparisons allow for the uncertainty.
    problems = []
    if not _is_inside(recorded.of_file, ci95 or (measured, measured)):
        problems.append("the recorded figure is outside the interval measured here")
    apart = measured - recorded.of_float if change is None else change.difference
    if recorded.ci95 is not None and not _is_inside(apart, recorded.ci95):
        problems.append(f"{apart:+.4f} from float is outside the recorded interval")
    detail += f"; recorded: {recorded.of_file:.4f}, from float {recorded.difference:+.4f}"
    return Check(
        name=name,
        outcome=CheckOutcome.FAILS if problems else CheckOutcome.HOLDS,
        detail="; ".join((detail + _range(recorded.ci95), *problems)),
        figures={**figures, "recorded": recorded.of_file, "recorded_difference": recorded.difference},
    )


def _is_inside(figure: float, ci95: Interval) -> bool:
    both_missing = bool(np.isnan(figure) and np.isnan(ci95[0]))
    return both_missing or ci95[0] - FIGURE_ERROR <= figure <= ci95[1] + FIGURE_ERROR


def _ends(prefix: str, ci95: Interval | None) -> dict[str, float]:
    return {} if ci95 is None else {f"{prefix}ci95_low": ci95[0], f"{prefix}ci95_high": ci95[1]}


def _range(ci95: Interval | None) -> str:
    return f" ({ci95[0]:.4f} to {ci95[1]:.4f})" if ci95 else ""


# --- Decisions ---


def check_decisions(scored: ScoredSplit, contract: Contract, dataset: Dataset) -> Iterator[Check]:
    """Fit temperature, abstention and thresholds again, if this is the split that they were fitted on."""
    if scored.split is not Split.VALIDATION or contract.parents.dataset != dataset.sha256:
        return
    predictions, temperature = scored.predictions, contract.probabilities.temperature
    if temperature is not None:
        yield _check_temperature(predictions, temperature)
        # Abstention and thresholds apply to probabilities under the temperature.
        predictions = calibrate(predictions, temperature)
    if contract.abstention is not None:
        yield _check_abstention(predictions, contract.abstention)
    yield from (_check_threshold(predictions, point) for point in contract.thresholds)


def _check_temperature(predictions: Predictions, stated: Temperature) -> Check:
    fitted = fit_temperature(predictions)
    lost = _negative_log_likelihood(predictions, stated) - _negative_log_likelihood(predictions, fitted)
    is_close = isclose(stated.value, fitted.value, rel_tol=TEMPERATURE_ERROR) or lost <= LIKELIHOOD_ERROR
    return Check(
        name="temperature on validation",
        outcome=CheckOutcome.HOLDS if is_close else CheckOutcome.FAILS,
        detail=f"the temperature is {stated.value:.4g}; fitted again: {fitted.value:.4g}",
        figures={"recorded": stated.value, "value": fitted.value, "n": len(predictions)},
    )


def _negative_log_likelihood(predictions: Predictions, temperature: Temperature) -> float:
    """Return the mean over the pictures; the temperature's floor keeps every probability above 0."""
    probabilities = calibrate(predictions, temperature).probabilities
    return float(-np.log(probabilities[np.arange(len(predictions)), predictions.truth]).mean())


def _check_abstention(predictions: Predictions, stated: Abstention) -> Check:
    """Check that the threshold has the stated effect; it may be any point of the curve."""
    answered = predictions.confidence >= stated.threshold - LAST_BITS
    shares = {
        "coverage": (answered, np.ones_like(answered), stated.coverage),
        "accuracy": (predictions.correct, answered, stated.accuracy),
    }
    if problems := list(_share_problems(shares)):
        refitted = fit_abstention(predictions, coverage=stated.coverage or 1.0).threshold
        problems.insert(0, f"abstention.threshold is {stated.threshold:.4g}, fitted again {refitted:.4g}")
    figures = f"coverage {stated.coverage:.3f}, accuracy {stated.accuracy:.3f}"
    success = f"from {stated.threshold:.4g} on: {figures}, as recorded"
    return check_from_problems("abstention on validation", problems, success=success)


def _check_threshold(predictions: Predictions, stated: OperatingPoint) -> Check:
    label = predictions.classes.index(stated.label)
    is_label = predictions.truth == label
    is_called = predictions.probabilities[:, label] >= stated.threshold - LAST_BITS
    shares = {"sensitivity": (is_called, is_label, stated.sensitivity)}
    if stated.specificity is not None:
        shares["specificity"] = (~is_called, ~is_label, stated.specificity)
    if problems := list(_share_problems(shares)):
        refitted = fit_operating_point(predictions, stated.label, sensitivity=stated.wanted_sensitivity)
        problems.insert(0, f"the threshold is {stated.threshold:.4g}, fitted again {refitted.threshold:.4g}")
    success = f"from {stated.threshold:.4g} on: sensitivity {stated.sensitivity:.3f}, as recorded"
    return check_from_problems(f"threshold of {stated.label} on validation", problems, success=success)


def _share_problems(shares: dict[str, tuple[Flags, Flags, float]]) -> Iterator[str]:
    """Compare each stated share with the share of the second flags that also have the first."""
    for name, (flags, among, stated) in shares.items():
        count = int(among.sum())
        share = float((flags & among).sum() / count) if count else 0.0
        # One picture more or less is the effect of another rounding.
        if abs(share - stated) > AGREEMENT_ERROR + 1 / max(1, count):
            yield f"its {name} here is {share:.3f}, but {stated:.3f} in the contract"
