"""Try one way to integers after the other, until one loses little enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converter.candidate import Candidate, Step
from converter.judge import Verdict, judge
from converter.request import Request
from converter.source import Source
from dermpack.progress import Track, silent
from dermpack.scores.predictions import Predictions

MAX_AUROC_DROP = 0.005  # of the macro mean
LEAST_AGREEMENT = 0.95  # of the most probable label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tried:
    """A candidate, and what it is worth."""

    candidate: Candidate
    verdict: Verdict
    is_within: bool  # what may be lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may be lost, and by which figures that is decided."""

    max_drop: float  # points of balanced accuracy
    one_picture: float  # points that a picture of the rarest label is worth

    @property
    def is_too_fine(self) -> bool:
        """A single picture would decide: balanced accuracy cannot."""
        return self.one_picture > self.max_drop

    def allows(self, verdict: Verdict) -> bool:
        """What XNNPACK refuses, most apps cannot run, whatever it is worth."""
        if verdict.refusal:
            return False
        if self.is_too_fine:
            auroc = -verdict.auroc.difference
            return auroc <= MAX_AUROC_DROP and verdict.agreement >= LEAST_AGREEMENT
        return verdict.drop <= self.max_drop

    def surpassed(self, verdict: Verdict) -> str:
        """The figure that is beyond the limit, in one word; none where the verdict is allowed."""
        if self.allows(verdict):
            return ""
        if verdict.refusal:
            return "XNNPACK"
        if not self.is_too_fine:
            return "points"
        return "AUROC" if -verdict.auroc.difference > MAX_AUROC_DROP else "same label"

    def sentence(self) -> str:
        if self.is_too_fine:
            return (
                f"one picture of the rarest label is worth {self.one_picture:.1f} points, more than "
                f"--max-drop {self.max_drop:g}: decided by AUROC (at most {MAX_AUROC_DROP:g} lost) and "
                f"agreement (at least {LEAST_AGREEMENT:.0%})"
            )
        return f"decided by balanced accuracy (at most {self.max_drop:g} points lost)"


def limit_of(predictions: Predictions, *, max_drop: float) -> Limit:
    """What a picture of the rarest label is worth: 7 labels, 12 pictures of it → 100 / 84 = 1.2 points."""
    counts = np.bincount(predictions.truth)
    present = counts[counts > 0]
    return Limit(max_drop=max_drop, one_picture=float(100 / (len(present) * present.min())))


def attempt(
    steps: Iterable[Step], source: Source, request: Request, *, track: Track = silent
) -> tuple[Tried, ...]:
    """Everything that was tried; only the last can be within the limit."""
    return tuple(_until_within(steps, source, request, track))


def best_of(tried: Sequence[Tried]) -> Tried:
    """One within the limit before any other, then one that runs, the least loss, the earlier of equals."""
    return max(tried, key=_worth)


def _worth(one: Tried) -> tuple[bool, bool, float]:
    return one.is_within, not one.verdict.refusal, one.verdict.balanced_accuracy.difference


def _until_within(steps: Iterable[Step], source: Source, request: Request, track: Track) -> Iterator[Tried]:
    limit = limit_of(source.plain, max_drop=request.max_drop)
    begun = False
    for step in steps:
        candidate = step()
        if begun and candidate.spares_most:
            return  # what comes next would spare more
        begun = True
        candidate.check(candidate.data, source)
        verdict = judge(candidate.data, source, seed=request.seed, threads=request.threads, track=track)
        tried = Tried(candidate=candidate, verdict=verdict, is_within=limit.allows(verdict))
        yield tried
        if tried.is_within:
            return
