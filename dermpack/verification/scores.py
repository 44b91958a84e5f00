"""Score a file again on a dataset, and hold its contract's figures against what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dermpack.contract import Accuracy, ComparedFigure, Contract
from dermpack.dataset.manifest import Dataset, Split
from dermpack.evaluation.evaluate import Predictor, predict
from dermpack.metrics.definitions import (
    Metric,
    value,
    weighted_accuracy,
    weighted_auroc,
    weighted_balanced_accuracy,
)
from dermpack.metrics.intervals import ANY_GROUPS, Interval, bootstrap, interval
from dermpack.metrics.paired_difference import Difference, agreement, difference
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.progress import Track, silent
from dermpack.verification.checks import Check, CheckOutcome

METRICS: Mapping[str, Metric] = {
    "balanced_accuracy": weighted_balanced_accuracy,
    "accuracy": weighted_accuracy,
    "auroc": weighted_auroc,
}
AGREEMENT_ERROR = 0.02  # kernels that round otherwise change a label where two are nearly equal
FIGURE_ERROR = 0.01  # likewise, beyond an interval: it may be a single point


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredSplit:
    """What the file says of a split, and what the float network says, where it is at hand."""

    split: Split
    predictions: Predictions
    of_float: Predictions | None

    def __len__(self) -> int:
        return len(self.predictions)


def splits_of(contract: Contract, dataset: Dataset, asked: Split) -> tuple[Split, ...]:
    """The one asked for, and all that the contract has figures of, if it speaks of this dataset."""
    is_parent = contract.parents.dataset == dataset.sha256
    named = {of.split for of in contract.accuracy} if is_parent else set()
    there = (split for split in Split if split.value in named and dataset.manifest.of(split))
    return (asked, *(split for split in there if split is not asked))


def score_split(
    predictor: Predictor, network: Predictor | None, dataset: Dataset, split: Split, *, track: Track = silent
) -> ScoredSplit:
    predictions = predict(predictor, dataset, split=split, track=track)
    of_float = predict(network, dataset, split=split, track=track) if network else None
    return ScoredSplit(split=split, predictions=predictions, of_float=of_float)


def check_scores(scored: ScoredSplit, contract: Contract, dataset: Dataset) -> Iterator[Check]:
    """Each figure, with its interval, beside the recorded one."""
    recorded = next((of for of in contract.accuracy if of.split == scored.split.value), None)
    if contract.parents.dataset != dataset.sha256:
        recorded, why = None, "another dataset than the contract's"
    else:
        why = "the contract has no figure of this split"
    if recorded is not None and recorded.n != len(scored):
        detail = f"{len(scored)} pictures, where the contract names {recorded.n}"
        yield Check(name=f"pictures of {scored.split.value}", outcome=CheckOutcome.FAILS, detail=detail)
    for name in METRICS:
        yield _figure(name, scored, _of(recorded, name), why)
    if scored.of_float is not None:
        yield _agreement(scored, scored.of_float, recorded)


def _figure(metric: str, scored: ScoredSplit, recorded: ComparedFigure | None, why: str) -> Check:
    here, ci95 = _measured(scored.predictions, METRICS[metric])
    against = _difference(scored, METRICS[metric])
    text = f"{here:.4f}{_range(ci95)} on {len(scored)} pictures{_against(against)}"
    figures = {"value": here, "n": len(scored), **_ends("", ci95), **_difference_figures(against)}
    name = f"{metric} on {scored.split.value}"
    if recorded is None:
        return Check(name=name, outcome=CheckOutcome.NOTED, detail=f"{text}; {why}", figures=figures)
    problems = list(_problems(here, ci95, against, recorded))
    said = f"; recorded: {recorded.of_file:.4f}, from float {recorded.difference:+.4f}{_range(recorded.ci95)}"
    return Check(
        name=name,
        outcome=CheckOutcome.FAILS if problems else CheckOutcome.HOLDS,
        detail="; ".join((text + said, *problems)),
        figures={**figures, "recorded": recorded.of_file, "recorded_difference": recorded.difference},
    )


def _problems(
    here: float, ci95: Interval | None, against: Difference | None, recorded: ComparedFigure
) -> Iterator[str]:
    """The recorded figure lies in the interval found here, the difference found here in the recorded one."""
    if not _lies(recorded.of_file, ci95 or (here, here)):
        yield "the recorded figure is outside of its interval here"
    apart = here - recorded.of_float if against is None else against.difference
    if recorded.ci95 is not None and not _lies(apart, recorded.ci95):
        yield f"{apart:+.4f} from float is outside of the recorded interval"


def _agreement(scored: ScoredSplit, of_float: Predictions, recorded: Accuracy | None) -> Check:
    here = agreement(of_float, scored.predictions)
    name, text = f"labels on {scored.split.value}", f"the network's label on {here:.1%} of {len(scored)}"
    figures = {"agreement": here, "n": len(scored)}
    if recorded is None:
        return Check(
            name=name, outcome=CheckOutcome.NOTED, detail=f"{text}; no recorded figure", figures=figures
        )
    well = abs(here - recorded.agreement) <= AGREEMENT_ERROR
    return Check(
        name=name,
        outcome=CheckOutcome.HOLDS if well else CheckOutcome.FAILS,
        detail=f"{text}; recorded: {recorded.agreement:.1%}",
        figures={**figures, "recorded": recorded.agreement},
    )


def _measured(predictions: Predictions, metric: Metric) -> tuple[float, Interval | None]:
    def measure(drawn: Predictions, weights: Floats) -> dict[str, Floats]:
        return {"value": metric(drawn, weights)}

    draws = bootstrap(predictions, measure, least_groups=ANY_GROUPS)  # how far two runtimes may be apart
    return value(metric, predictions), interval(draws["value"]) if draws else None


def _difference(scored: ScoredSplit, metric: Metric) -> Difference | None:
    return None if scored.of_float is None else difference(scored.of_float, scored.predictions, metric)


def _difference_figures(of: Difference | None) -> dict[str, float]:
    return (
        {}
        if of is None
        else {"of_float": of.first, "difference": of.difference, **_ends("difference_", of.ci95)}
    )


def _ends(prefix: str, ci95: Interval | None) -> dict[str, float]:
    return {} if ci95 is None else {f"{prefix}ci95_low": ci95[0], f"{prefix}ci95_high": ci95[1]}


def _of(recorded: Accuracy | None, metric: str) -> ComparedFigure | None:
    figures = recorded.figures if recorded else ()
    return next((figure for figure in figures if figure.metric == metric), None)


def _lies(figure: float, ci95: Interval) -> bool:
    both_missing = bool(np.isnan(figure) and np.isnan(ci95[0]))
    return both_missing or ci95[0] - FIGURE_ERROR <= figure <= ci95[1] + FIGURE_ERROR


def _range(ci95: Interval | None) -> str:
    return f" ({ci95[0]:.4f} to {ci95[1]:.4f})" if ci95 else ""


def _against(of: Difference | None) -> str:
    return "" if of is None else f", from the network {of.difference:+.4f}{_range(of.ci95)}"
