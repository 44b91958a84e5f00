"""How far reviewers agree beyond chance, and the counts of a collection."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from dermpack.serving.collection.database import Database, Review, Submission
from dermpack.serving.collection.reviews import Status

RATERS = 2  # the first two reviews of each submission are blind and always there


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterAgreement:
    """How often the answers are equal, and kappa: 0 is what chance gives, 1 is perfect agreement."""

    n: int
    observed: float | None
    kappa: float | None  # None without submissions, or if all answers are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOfReviewers:
    """The agreement of two people, over the submissions that both have reviewed (Cohen's kappa)."""

    first: str
    second: str
    agreement: RaterAgreement


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionStatistics:
    """What the statistics page shows."""

    submissions: dict[str, int]  # by status
    labels: dict[str, int]  # of the accepted ones
    reviews: dict[str, int]  # by person
    agreement: RaterAgreement  # of the first two reviews of each submission (Fleiss' kappa)
    pairs: tuple[PairOfReviewers, ...]
    model: RaterAgreement  # of the model's answer with the accepted label; observed only


def measure_collection(database: Database) -> CollectionStatistics:
    """Return counts and agreement over all submissions."""
    statuses, labels, people = Counter[str](), Counter[str](), Counter[str]()
    ratings, by_pair, hits = list[list[str]](), dict[tuple[str, str], list[tuple[str, str]]](), list[bool]()
    with database.reading() as session:
        reviews = selectinload(Submission.reviews).selectinload(Review.person)
        for submission in session.scalars(select(Submission).options(reviews).order_by(Submission.id)).all():
            statuses[submission.status] += 1
            answers = [(review.person.name, review.label) for review in submission.reviews]
            people.update(name for name, _ in answers)
            if len(answers) >= RATERS:
                # The third answer is left out: it is asked for only where the first two differ.
                ratings.append([label for _, label in answers[:RATERS]])
            # In the order of the names: two people are one pair, whoever was first.
            for (first, one), (second, other) in combinations(sorted(answers), 2):
                by_pair.setdefault((first, second), []).append((one, other))
            if submission.status == Status.ACCEPTED.value:
                labels[submission.label] += 1
                predicted = json.loads(submission.predicted)
                hits.append(max(predicted, key=lambda label: predicted[label]) == submission.label)
    pairs = tuple(
        PairOfReviewers(first=first, second=second, agreement=cohen(answers))
        for (first, second), answers in sorted(by_pair.items())
    )
    return CollectionStatistics(
        submissions={status.value: statuses[status.value] for status in Status},
        labels=dict(sorted(labels.items())),
        reviews=dict(sorted(people.items())),
        agreement=fleiss(ratings),
        pairs=pairs,
        model=RaterAgreement(n=len(hits), observed=_mean(hits), kappa=None),
    )


def cohen(answers: Sequence[tuple[str, str]]) -> RaterAgreement:
    """Return Cohen's kappa of two people: cohen([("a", "a"), ("b", "b")]) → kappa 1.

    Chance is what two people would agree by if each answered at random with the own frequencies.
    """
    n = len(answers)
    firsts, seconds = Counter(one for one, _ in answers), Counter(other for _, other in answers)
    expected = sum(firsts[label] * seconds[label] for label in firsts) / n**2 if n else 0.0
    return _agreement(n, _mean(one == other for one, other in answers), expected)


def fleiss(ratings: Sequence[Sequence[str]]) -> RaterAgreement:
    """Return Fleiss' kappa: of each item the answers of equally many people, who need not be the same."""
    n = len(ratings)
    raters = len(ratings[0]) if n else RATERS
    counts = [Counter(answers) for answers in ratings]
    pairs = raters * (raters - 1)
    # The share of the pairs of people who agree, item by item.
    observed = _mean(sum(c * (c - 1) for c in count.values()) / pairs for count in counts)
    totals = sum(counts, Counter[str]())
    expected = sum((total / (n * raters)) ** 2 for total in totals.values()) if n else 0.0
    return _agreement(n, observed, expected)


def _agreement(n: int, observed: float | None, expected: float) -> RaterAgreement:
    is_defined = observed is not None and expected < 1
    kappa = (observed - expected) / (1 - expected) if is_defined and observed is not None else None
    return RaterAgreement(n=n, observed=observed, kappa=kappa)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
