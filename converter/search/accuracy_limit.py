"""How much a file may lose against its network, and which figures of a split can tell."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from converter.search.compare_to_float import FloatComparison
from dermpack.metrics.paired_difference import Difference
from dermpack.metrics.predictions import Predictions

MAX_AUROC_DROP = 0.005  # of the macro mean
LEAST_AGREEMENT = 0.95  # of the most probable label


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyLimit:
    """How much may be lost, and by which figures that is decided."""

    max_drop: float  # points of balanced accuracy
    pictures: int
    one_picture: float  # points that a picture of the rarest label is worth
    one_pair: float  # of macro AUROC: what two pictures in the wrong order cost, in the ranking of each label

    @property
    def is_too_fine(self) -> bool:
        """A single picture would decide: balanced accuracy cannot."""
        return self.one_picture > self.max_drop

    @property
    def is_too_small(self) -> bool:
        """Nor can AUROC: a single pair of pictures would."""
        return self.is_too_fine and self.one_pair > MAX_AUROC_DROP

    @property
    def least_agreement(self) -> float:
        """One picture may always change its label: 18 pictures → 17 / 18."""
        return min(LEAST_AGREEMENT, (self.pictures - 1) / self.pictures)

    def allows(self, verdict: FloatComparison) -> bool:
        return not self.surpassed(verdict)

    def excess(self, verdict: FloatComparison) -> float:
        """How many times the limit is lost, by the figure that is furthest beyond it."""
        return float("inf") if verdict.refusal else max(self._excesses(verdict).values())

    def surpassed(self, verdict: FloatComparison) -> str:
        """The figure that is beyond the limit, in one word; none where the verdict is allowed."""
        if verdict.refusal:
            return "XNNPACK"  # what it refuses, most apps cannot run, whatever it is worth
        beyond = (figure for figure, times in self._excesses(verdict).items() if times > 1)
        return next(beyond, "")

    def _excesses(self, verdict: FloatComparison) -> dict[str, float]:
        """How many times its own limit each figure loses that decides."""
        points = _times(verdict.drop, self.max_drop)
        if not self.is_too_fine:
            return {"points": points}
        auroc = _times(-verdict.auroc.difference, MAX_AUROC_DROP)
        return {
            "points": points if _is_shown(verdict.balanced_accuracy) else 0.0,
            "AUROC": auroc if not self.is_too_small or _is_shown(verdict.auroc) else 0.0,
            "same label": _times(1 - verdict.agreement, 1 - self.least_agreement),
        }

    def sentence(self) -> str:
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
            f"{self.pictures} validation pictures cannot tell so little: one is worth up to "
            f"{self.one_picture:.1f} points (--max-drop {self.max_drop:g}), {pair}; rejected is what loses "
            f"more by its whole 95 % interval, or keeps less than {self.least_agreement:.0%} of the labels"
        )


def limit_of(predictions: Predictions, *, max_drop: float) -> AccuracyLimit:
    """What the smallest steps are worth: 7 labels, 12 pictures of the rarest → 100 / 84 = 1.2 points."""
    counts = np.bincount(predictions.truth)
    present = counts[counts > 0]
    return AccuracyLimit(
        max_drop=max_drop,
        pictures=len(predictions),
        one_picture=float(100 / (len(present) * present.min())),
        one_pair=_one_pair(present.tolist()),
    )


def _one_pair(counts: list[int]) -> float:
    """A label's AUROC is a share of its pairs: 3 labels, 6 pictures each → 1 / (6 · 12) = 0.014."""
    pairs = [count * (sum(counts) - count) for count in counts]
    return sum(1 / of for of in pairs) / len(pairs) if all(pairs) else float("inf")


def _times(lost: float, limit: float) -> float:
    """2 points of at most 1 → 2.0; a limit of nothing is either kept or not."""
    if limit > 0:
        return lost / limit
    return float("inf") if lost > limit else 0.0


def _is_shown(difference: Difference) -> bool:
    """A loss that the whole interval agrees on."""
    return difference.ci95 is not None and difference.ci95[1] < 0
