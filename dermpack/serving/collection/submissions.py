"""Accept a picture with consent, and remove it again: by its code, or when its time is over.

Stored are the picture without its metadata, and what the form states: nothing about the connection, the
browser, or the name of the file.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from pathlib import Path

from sqlalchemy import select

from dermpack.errors import InputError, TableError
from dermpack.imaging.containers import BMP, GIF, JPEG, PNG, WEBP, detect_format
from dermpack.imaging.rejection import Reason, picture_error
from dermpack.metrics.skin_types import SKIN_TYPES
from dermpack.serving.collection.database import (
    Consent,
    Database,
    Removed,
    Submission,
    get_submission,
    log,
    now,
)
from dermpack.serving.collection.people import hash_secret, is_secret
from dermpack.serving.collection.picture_folder import PictureFolder, finish_removals
from dermpack.serving.collection.reviews import Status
from dermpack.serving.problems import RequestError
from dermpack.storage.files import read_bytes, sha256_of

ID_BYTES, CODE_BYTES = 12, 16
LESION_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# ISIC's words for a body site (anatom_site_general).
SITES = (
    *("head/neck", "upper extremity", "lower extremity", "anterior torso", "posterior torso"),
    *("lateral torso", "palms/soles", "oral/genital"),
)
AGE_BANDS = ("18-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
SUFFIXES = {JPEG: ".jpg", PNG: ".png", WEBP: ".webp", GIF: ".gif", BMP: ".bmp"}  # what browsers show
DEFAULT_CONSENT = Path(__file__).parent / "consent.txt"
CONSENT_BYTES = 64 << 10
VERSION_LINE = re.compile(r"version: ([A-Za-z0-9][A-Za-z0-9._-]{0,39})")
STATUS_INVALID = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentText:
    """What a person agrees to; each submission is stored with the version."""

    version: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionForm:
    """What the owner of a picture states about it; "" is unknown."""

    consent: str
    lesion: str = ""
    site: str = ""
    age_band: str = ""
    skin_type: str = ""

    def __post_init__(self) -> None:
        """Raise RequestError for a value that the form does not offer."""
        if self.lesion and LESION_CODE.fullmatch(self.lesion) is None:
            what = "must be at most 64 letters, digits, dots, hyphens and underscores"
            hint = "Use a code that names no person."
            raise RequestError("lesion", what, hint, code="invalid-submission", status=STATUS_INVALID)
        for name, value, choices in (
            ("site", self.site, SITES),
            ("age_band", self.age_band, AGE_BANDS),
            ("skin_type", self.skin_type, SKIN_TYPES),
        ):
            if value and value not in choices:
                what, hint = "not one of the choices", f"Leave it empty, or use {', '.join(choices)}."
                raise RequestError(name, what, hint, code="invalid-submission", status=STATUS_INVALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """The probabilities that a model gave for a picture."""

    probabilities: Mapping[str, float]
    model_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the owner of an accepted picture needs to withdraw it; the code is shown only once."""

    id: str
    withdrawal_code: str


def read_consent(path: Path = DEFAULT_CONSENT) -> ConsentText:
    """Return the text in a file whose first line is `version: NAME`, or raise TableError."""
    hint = "Write the text of the consent, of at most 64 KiB."
    try:
        decoded = read_bytes(path, most=CONSENT_BYTES, hint=hint).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(path, "not UTF-8", "Save it as UTF-8.", code="invalid-consent") from error
    first, _, text = decoded.partition("\n")
    match = VERSION_LINE.fullmatch(first.strip())
    if match is None or not text.strip():
        what = "the first line is not a version, or no text follows it"
        hint = "Begin the file with a line such as: version: 2026-11-1"
        raise TableError(path, what, hint, code="invalid-consent")
    return ConsentText(version=match[1], text=text.strip())


def store_consent(database: Database, consent: ConsentText) -> None:
    """Add the text to the database, or raise InputError if this version had another text."""
    with database.writing() as session:
        stored = session.get(Consent, consent.version)
        if stored is None:
            session.add(Consent(version=consent.version, text=consent.text))
        elif stored.text != consent.text:
            where, what = f"consent {consent.version}", "was another text when pictures were submitted"
            raise InputError(where, what, "Give the new text a new version.", code="consent-changed")


def check_form(form: SubmissionForm, consent: ConsentText) -> None:
    """Raise RequestError unless the form agrees to the current text; call it before the work on a picture."""
    if form.consent != consent.version:
        what = "does not agree to the current text"
        hint = f"Read the text, and send its version: {consent.version}."
        raise RequestError("consent", what, hint, code="consent-required", status=STATUS_INVALID)


def find_suffix(data: bytes) -> str:
    """Return the suffix of the format of a picture, or raise PictureError.

    Only formats are accepted that every browser shows: reviewers have to see the picture.
    """
    suffix = SUFFIXES.get(detect_format(data, where="picture"))
    if suffix is None:
        what = "a format that not every browser shows; JPEG, PNG, WebP, GIF and BMP are accepted"
        raise picture_error("picture", Reason.UNSUPPORTED, what)
    return suffix


def store_submission(
    database: Database,
    folder: PictureFolder,
    *,
    form: SubmissionForm,
    picture: bytes,
    suffix: str,
    answer: ModelAnswer,
) -> Receipt:
    """Store a picture that was cleaned and answered; afterwards it survives a kill and a power failure."""
    receipt = Receipt(id=secrets.token_hex(ID_BYTES), withdrawal_code=secrets.token_urlsafe(CODE_BYTES))
    sha256 = sha256_of(picture)
    with database.writing() as session:
        if session.scalar(select(Submission.id).where(Submission.sha256 == sha256)) is not None:
            what, hint = "was submitted before", "Submit another one."
            status = HTTPStatus.CONFLICT
            raise RequestError("picture", what, hint, code="already-submitted", status=status)
        submission = Submission(
            id=receipt.id,
            sha256=sha256,
            suffix=suffix,
            received=now(),
            consent=form.consent,
            lesion=form.lesion,
            site=form.site,
            age_band=form.age_band,
            skin_type=form.skin_type,
            withdrawal_sha256=hash_secret(receipt.withdrawal_code),
            status=Status.WAITING.value,
            label="",
            predicted=json.dumps(dict(answer.probabilities)),
            certainty=max(answer.probabilities.values()),
            model_sha256=answer.model_sha256,
        )
        # The row comes first: a picture that two people send at once fails here, before its file is touched.
        session.add(submission)
        log(session, "submitted", submission_id=receipt.id)
        session.flush()
        folder.write(submission.file_name, picture)
    return receipt


def withdraw(database: Database, folder: PictureFolder, *, submission_id: str, code: str) -> None:
    """Remove a submission with its reviews and its file, or raise RequestError unless the code is its own."""
    with database.writing() as session:
        submission = get_submission(session, submission_id)
        if submission is None or not is_secret(code, submission.withdrawal_sha256):
            # The same answer for both: an id alone reveals nothing.
            what, hint = "no submission with this id and this code", "Check both; a code works once."
            status = HTTPStatus.NOT_FOUND
            raise RequestError("submission", what, hint, code="submission-not-found", status=status)
        session.add(Removed(id=submission.id, at=now(), file_name=submission.file_name))
        session.delete(submission)
        log(session, "withdrawn", submission_id=submission_id)
    # The rows are gone for good before the file is: after a kill in between, the next start deletes the file.
    finish_removals(database, folder)


def remove_expired(database: Database, folder: PictureFolder, *, keep_days: int) -> int:
    """Remove the submissions that were received more than `keep_days` ago; return how many there were."""
    limit = (datetime.now(timezone.utc) - timedelta(days=keep_days)).isoformat(timespec="seconds")
    with database.writing() as session:
        expired = session.scalars(select(Submission).where(Submission.received < limit)).all()
        for submission in expired:
            session.add(Removed(id=submission.id, at=now(), file_name=submission.file_name))
            session.delete(submission)
            log(session, "expired", submission_id=submission.id)
    finish_removals(database, folder)
    return len(expired)
