"""The queue of a reviewer, blind reviews, and what follows from them.

    waiting ──2 agree──────────────────────────► accepted, or refused if both say "unusable"
       └────2 differ──► disputed ──3rd agrees──► the same
                            │  └──all differ───► undecided
                            └───────────────────┴──curator──► accepted or refused

The model's answer is shown to a person only after the own review: people who see an answer first adopt it,
also where it is wrong. For the same reason, a curator who was shown what others answered about a picture does
not review it.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from dermpack.serving.collection.database import Database, Event, Review, Submission, get_submission, log, now
from dermpack.serving.collection.people import Identity
from dermpack.serving.problems import RequestError

UNUSABLE = "unusable"  # instead of a label: blurred, a face, not skin
AGREEING, MOST_REVIEWS = 2, 3
CONFIDENCES = range(1, 6)
MAX_NOTE_CHARACTERS = 2000
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # by PostgreSQL, and in UTF-8
# Pictures of which the model is unsure are not a representative sample: every fourth one is chosen at random.
RANDOM_SHARE = 0.25
SHOWN, DECIDED = "answers-shown", "decided"  # in the log


class Status(Enum):
    """The state of a submission."""

    WAITING = "waiting"
    DISPUTED = "disputed"
    UNDECIDED = "undecided"
    ACCEPTED = "accepted"
    REFUSED = "refused"


IN_QUEUE = (Status.WAITING.value, Status.DISPUTED.value)
FOR_CURATOR = (Status.DISPUTED.value, Status.UNDECIDED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A submission that a person is asked to review: nothing of the model, nothing of other people."""

    id: str
    site: str
    age_band: str
    skin_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """A review as it is given: a label or "unusable", how sure the person is, and a note."""

    label: str
    confidence: int = 3
    note: str = ""

    def check(self, labels: Sequence[str]) -> None:
        """Raise RequestError for a label that the model does not have, or values out of range."""
        checks = {
            "label": self.label in (*labels, UNUSABLE),
            "confidence": self.confidence in CONFIDENCES,
            "note": len(self.note) <= MAX_NOTE_CHARACTERS and not UNSTORABLE.search(self.note),
        }
        for name, is_valid in checks.items():
            if not is_valid:
                hint = (
                    f'Send a label of the model or "{UNUSABLE}", a confidence from 1 to 5, and a short note.'
                )
                status = HTTPStatus.UNPROCESSABLE_ENTITY
                raise RequestError(name, "invalid value", hint, code="invalid-review", status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from a review, and the model's answer, which may be shown now."""

    id: str
    status: str
    label: str  # of the submission; "" unless it is accepted
    own_label: str
    model: Mapping[str, float]  # label → probability, the highest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A submission that a curator can decide, with what the reviewers answered, without their names."""

    task: Task
    status: str
    opinions: tuple[Opinion, ...]


def settle(labels: Sequence[str]) -> tuple[Status, str]:
    """Return status and label after these reviews: settle(["nv", "mel", "nv"]) → (ACCEPTED, "nv")."""
    if len(labels) < AGREEING:
        return Status.WAITING, ""
    label, count = Counter(labels).most_common(1)[0]
    if count >= AGREEING:
        return (Status.REFUSED, "") if label == UNUSABLE else (Status.ACCEPTED, label)
    return (Status.DISPUTED, "") if len(labels) < MOST_REVIEWS else (Status.UNDECIDED, "")


def next_task(database: Database, identity: Identity, *, chance: random.Random) -> Task | None:
    """Return what the person is to review next, or None: disputed and least certain first, or any."""
    query = _open_for(identity)
    with database.reading() as session:
        if chance.random() < RANDOM_SHARE:
            count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
            # The order by id is random, but the same for each count: the offset draws one of all.
            query = query.order_by(Submission.id).offset(chance.randrange(max(count, 1)))
        else:
            is_waiting = case((Submission.status == Status.DISPUTED.value, 0), else_=1)
            query = query.order_by(is_waiting, Submission.certainty, Submission.id)
        submission = session.scalar(query.limit(1))
        return _task(submission) if submission else None


def count_tasks(database: Database, identity: Identity) -> int:
    """Return how many submissions wait for a review by this person."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(_open_for(identity).subquery())) or 0


def add_review(
    database: Database, identity: Identity, submission_id: str, opinion: Opinion, *, labels: Sequence[str]
) -> Verdict:
    """Store the one review of a person about a submission, and return the verdict."""
    opinion.check(labels)
    with database.writing() as session:
        submission = find_submission(session, submission_id)
        # Statuses, labels and exports show a curator how others settled it, so it is no longer blind.
        is_settled = identity.is_curator and submission.status not in IN_QUEUE
        has_reviewed = any(review.person_id == identity.id for review in submission.reviews)
        if is_settled or has_reviewed or _was_shown(session, identity, submission_id):
            what = "you have reviewed it already, or can know what others answered"
            hint = "Go on with the next one; a curator can decide."
            status = HTTPStatus.CONFLICT
            raise RequestError("review", what, hint, code="already-reviewed", status=status)
        submission.reviews.append(
            Review(
                person_id=identity.id,
                label=opinion.label,
                confidence=opinion.confidence,
                note=opinion.note,
                at=now(),
            )
        )
        # Others may have agreed while this person looked: then the review counts for the agreement only.
        if submission.status in IN_QUEUE:
            status_after, submission.label = settle([review.label for review in submission.reviews])
            submission.status = status_after.value
        log(session, "reviewed", person=identity.name, submission_id=submission_id)
        return _verdict(submission, opinion.label)


def next_dispute(database: Database, identity: Identity) -> tuple[Dispute | None, int]:
    """Return the oldest submission on which the reviewers differ, and how many there are.

    The log keeps that the curator was shown the answers: a later review of this person would not be blind.
    """
    disputed = select(Submission).where(Submission.status.in_(FOR_CURATOR))
    with database.writing() as session:
        count = session.scalar(select(func.count()).select_from(disputed.subquery())) or 0
        is_third_possible = case((Submission.status == Status.UNDECIDED.value, 0), else_=1)
        # What no third reviewer can settle waits for a curator alone, so it comes first.
        oldest = disputed.order_by(is_third_possible, Submission.received, Submission.id).limit(1)
        submission = session.scalar(oldest)
        if submission is None:
            return None, 0
        if not _was_shown(session, identity, submission.id):
            log(session, SHOWN, person=identity.name, submission_id=submission.id)
        opinions = tuple(
            Opinion(label=review.label, confidence=review.confidence, note=review.note)
            for review in submission.reviews
        )
        return Dispute(task=_task(submission), status=submission.status, opinions=opinions), count


def decide(
    database: Database, identity: Identity, submission_id: str, label: str, *, labels: Sequence[str]
) -> Verdict:
    """Let a curator settle what the reviewers could not."""
    Opinion(label=label).check(labels)
    with database.writing() as session:
        submission = find_submission(session, submission_id)
        if submission.status not in FOR_CURATOR:
            what, hint = f"is {submission.status}, not disputed", "Only disputed submissions are decided."
            status = HTTPStatus.CONFLICT
            raise RequestError("submission", what, hint, code="not-disputed", status=status)
        is_refused = label == UNUSABLE
        submission.status = (Status.REFUSED if is_refused else Status.ACCEPTED).value
        submission.label = "" if is_refused else label
        log(session, DECIDED, person=identity.name, submission_id=submission_id)
        return _verdict(submission, label)


def find_submission(session: Session, submission_id: str) -> Submission:
    """Return the submission, or raise RequestError."""
    submission = get_submission(session, submission_id)
    if submission is None:
        what, hint = "no submission with this id", "It may have been withdrawn: go on with the next one."
        status = HTTPStatus.NOT_FOUND
        raise RequestError("submission", what, hint, code="submission-not-found", status=status)
    return submission


def _open_for(identity: Identity) -> Select[Submission]:
    reviewed = select(Review.submission_id).where(Review.person_id == identity.id)
    shown = select(Event.submission_id).where(Event.kind == SHOWN, Event.person == identity.name)
    return select(Submission).where(
        Submission.status.in_(IN_QUEUE), Submission.id.not_in(reviewed), Submission.id.not_in(shown)
    )


def _was_shown(session: Session, identity: Identity, submission_id: str) -> bool:
    """Return whether the person has seen what others answered about the submission."""
    # By the name, which is never given again: the log outlives the people.
    shown = select(Event.id).where(
        Event.kind == SHOWN, Event.person == identity.name, Event.submission_id == submission_id
    )
    return session.scalar(shown.limit(1)) is not None


def _task(submission: Submission) -> Task:
    return Task(
        id=submission.id,
        site=submission.site,
        age_band=submission.age_band,
        skin_type=submission.skin_type,
    )


def _verdict(submission: Submission, own_label: str) -> Verdict:
    predicted: Mapping[str, float] = json.loads(submission.predicted)
    return Verdict(
        id=submission.id,
        status=submission.status,
        label=submission.label,
        own_label=own_label,
        model=dict(sorted(predicted.items(), key=lambda item: -item[1])),
    )
