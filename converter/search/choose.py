"""Try one way to integers after the other, until one loses little enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from converter.search.accuracy_limit import limit_of
from converter.search.candidate import Candidate, Step
from converter.search.compare_to_float import FloatComparison, judge
from converter.search.request import ConversionRequest
from converter.sources.run_source import RunSource
from dermpack.progress import Track, silent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriedCandidate:
    """A candidate, and what it is worth."""

    candidate: Candidate
    verdict: FloatComparison
    excess: float  # how many times the limit is lost

    @property
    def is_within(self) -> bool:
        return self.excess <= 1


def attempt(
    steps: Iterable[Step], source: RunSource, request: ConversionRequest, *, track: Track = silent
) -> tuple[TriedCandidate, ...]:
    """Everything that was tried; only the last can be within the limit."""
    return tuple(_until_within(steps, source, request, track))


def best_of(tried: Sequence[TriedCandidate]) -> TriedCandidate:
    """The one that is least beyond the limit by what decides; of equals the earlier, with more integers."""
    return min(tried, key=lambda one: one.excess)


def _until_within(
    steps: Iterable[Step], source: RunSource, request: ConversionRequest, track: Track
) -> Iterator[TriedCandidate]:
    limit = limit_of(source.plain, max_drop=request.max_drop)
    begun = False
    for step in steps:
        candidate = step()
        if begun and candidate.spares_most:
            return  # what comes next would spare more
        begun = True
        candidate.check(candidate.data, source)
        verdict = judge(candidate.data, source, seed=request.seed, threads=request.threads, track=track)
        tried = TriedCandidate(candidate=candidate, verdict=verdict, excess=limit.excess(verdict))
        yield tried
        if tried.is_within:
            return
