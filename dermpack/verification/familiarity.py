"""Check the distance to the training pictures between interpreters, and what the limits accept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dermpack.contract import Contract
from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import count_noun
from dermpack.evaluation.unknown_sets import PictureRunner, score_pictures
from dermpack.metrics.predictions import Floats
from dermpack.progress import Track, silent
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems
from dermpack.verification.interpreter_runs import InterpreterRun
from dermpack.verification.scores import AGREEMENT_ERROR

# How far the distances of one picture may differ, relative to the greater one: float files only by rounding,
# others by the rounding between their integer layers, which the features inherit.
FLOAT_ERROR, INTEGER_ERROR = 0.02, 0.25
FLOAT_RECIPES = ("float32", "float16")


def allowed_share(contract: Contract) -> float:
    """Return by which share of the greater one the distances of a picture may differ between kernels."""
    return FLOAT_ERROR if contract.recipe.name in FLOAT_RECIPES else INTEGER_ERROR


def check_distances(runs: Sequence[InterpreterRun], contract: Contract) -> Iterator[Check]:
    """Compare the distances of every run with those of the first, if the file returns them."""
    if contract.familiarity is None:
        return
    reference: Floats | None = None
    allowed = allowed_share(contract)
    threshold = contract.familiarity.threshold
    for run in runs:
        distances, name = run.distances, f"distances on {run}"
        if distances is None:
            continue
        if not (np.isfinite(distances) & (distances >= 0)).all():
            detail = "a distance is negative or not a finite number"
            yield Check(name=name, outcome=CheckOutcome.FAILS, detail=detail)
            continue
        reference = distances if reference is None else reference
        larger = np.maximum(np.abs(distances), np.abs(reference))
        apart = np.abs(distances - reference) / np.maximum(larger, np.finfo(np.float32).tiny)
        same = int(((distances <= threshold) == (reference <= threshold)).sum())
        most = float(apart.max())
        yield Check(
            name=name,
            outcome=CheckOutcome.HOLDS if most <= allowed else CheckOutcome.FAILS,
            detail=f"at most {most:.2%} apart; the same decision on {same} of {len(apart)}",
            figures={"max": most, "same_decisions": same, "n": len(apart)},
        )


def check_acceptance(
    classifier: PictureRunner, contract: Contract, dataset: Dataset, *, track: Track = silent
) -> Iterator[Check]:
    """Measure again which share of the validation split the threshold and the quality gates accept."""
    familiarity, pictures = contract.familiarity, dataset.manifest.of(Split.VALIDATION)
    if familiarity is None or contract.parents.dataset != dataset.sha256 or not pictures:
        return
    scored = score_pictures(classifier, contract.quality, dataset, pictures, track=track)
    share = float((scored.distances <= familiarity.threshold).mean())
    yield _compare("familiarity on validation", share, familiarity.accepted, len(pictures))
    if contract.quality is not None:
        share = 1 - sum(scored.faults.values()) / len(pictures)
        yield _compare("quality on validation", share, contract.quality.accepted, len(pictures))


def _compare(name: str, measured: float, stated: float, n: int) -> Check:
    """Compare a share with the recorded one; one picture more or less is the effect of another rounding."""
    problems = []
    if abs(measured - stated) > AGREEMENT_ERROR + 1 / n:
        problems.append(
            f"accepts {measured:.1%} of {count_noun(n, 'picture')}, but {stated:.1%} in the contract"
        )
    return check_from_problems(
        name, problems, success=f"accepts {measured:.1%} of {count_noun(n, 'picture')}, as recorded"
    )
