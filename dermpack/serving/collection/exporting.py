"""Write the accepted pictures as a folder that `dermpack data import` reads, or as tasks of Label Studio.

The same database gives the same bytes. No split is written: submissions are for training, and a published
test split stays as it is.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from xml.sax.saxutils import quoteattr

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermpack.errors import InputError, TableError
from dermpack.serving.collection.agreement import measure_collection
from dermpack.serving.collection.database import Consent, Database, Removed, Submission
from dermpack.serving.collection.picture_folder import RESTORE_HINT, PictureFolder
from dermpack.serving.collection.reviews import UNUSABLE, Status
from dermpack.storage.codec import encode
from dermpack.storage.files import format_csv, format_json, new_folder, write_bytes, write_text
from dermpack.storage.regular_files import open_regular

RECORD_FILE, TABLE_FILE, TASKS_FILE, CONFIG_FILE = "export.json", "pictures.csv", "tasks.json", "labels.xml"
FILES = "files"
SCHEMA = 1
COLUMNS = ("picture", "label", "group", "site", "age_band", "fitzpatrick_skin_type", "reviews", "received")
SELECTION_BIAS = (
    "People submit what worries them, and reviewers get the pictures first of which the model is unsure: the "
    "pictures do not represent a population. Do not estimate from them how frequent a label is."
)
LOCAL_FILES = "/data/local-files/?d="  # where Label Studio serves files of its own machine
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class ExportFormat(Enum):
    """Who is to read the export."""

    DERMPACK = "dermpack"
    LABEL_STUDIO = "label-studio"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What an export contains."""

    pictures: int
    labels: dict[str, int]
    groups: int


def write_export(
    database: Database, folder: PictureFolder, output: Path, *, form: ExportFormat, overwrite: bool = False
) -> ExportSummary:
    """Write the accepted pictures into a new folder, or raise InputError if there are none."""
    with database.reading() as session:
        query = select(Submission).where(Submission.status == Status.ACCEPTED.value)
        reviews = selectinload(Submission.reviews)
        listed = session.scalars(query.options(reviews).order_by(Submission.id)).all()
    if not listed:
        what, hint = "no picture is accepted yet", "Two reviewers have to agree on one, or a curator decides."
        raise InputError("export", what, hint, code="nothing-accepted")
    with new_folder(output, marker=RECORD_FILE, overwrite=overwrite) as partial:
        (partial / FILES).mkdir()
        # No lock is held meanwhile: copying takes long, and people go on submitting.
        lost = [submission for submission in listed if not _copy(submission, folder, partial)]
        # What was withdrawn while the pictures were copied is not part of the export.
        with database.reading() as session:
            still_there = set(session.scalars(select(Submission.id)))
            accepted = [submission for submission in listed if submission.id in still_there]
            record = _describe(session, accepted)
        for submission in lost:
            if submission.id in still_there:
                where, what = f"submission {submission.id}", "its file does not exist"
                raise TableError(where, what, RESTORE_HINT, code="file-not-found")
        for submission in listed:
            if submission.id not in still_there:
                (partial / _file_of(submission)).unlink(missing_ok=True)
        agreement = measure_collection(database)
        record["agreement"] = encode(agreement.agreement)
        record["reviewers"] = len(agreement.reviews)
        write_text(partial / RECORD_FILE, format_json(record))
        if form is ExportFormat.DERMPACK:
            write_text(partial / TABLE_FILE, format_csv([COLUMNS, *map(_row, accepted)]))
        else:
            write_text(partial / TASKS_FILE, format_json([_task(submission) for submission in accepted]))
            write_text(partial / CONFIG_FILE, _labeling_config(accepted))
    return ExportSummary(
        pictures=len(accepted),
        labels=dict(sorted(Counter(submission.label for submission in accepted).items())),
        groups=len({_group_of(submission) for submission in accepted}),
    )


def zip_folder(folder: Path, output: Path) -> None:
    """Write a zip of the folder, without compression and with a fixed time in every entry."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            # Not `archive.write`: it would store the time of the file.
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), FIXED_TIME)
            with open_regular(path) as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def _copy(submission: Submission, folder: PictureFolder, target: Path) -> bool:
    """Write the picture into the export; return False if its file does not exist."""
    try:
        data = folder.read(submission)
    except TableError as error:
        if error.code != "file-not-found":
            raise
        return False
    write_bytes(target / _file_of(submission), data)
    return True


def _file_of(submission: Submission) -> str:
    """Return the path within the export; its id lets a reader find what was withdrawn afterwards."""
    return f"{FILES}/{submission.id}{submission.suffix}"


def _group_of(submission: Submission) -> str:
    return submission.lesion or submission.id


def _row(submission: Submission) -> tuple[str | int, ...]:
    return (
        _file_of(submission),
        submission.label,
        _group_of(submission),
        submission.site,
        submission.age_band,
        submission.skin_type,
        len(submission.reviews),
        submission.received[:10],
    )


def _describe(session: Session, accepted: Sequence[Submission]) -> dict[str, object]:
    """Return the data card: who agreed to what, who labelled, and what a reader has to know."""
    versions = Counter(submission.consent for submission in accepted)
    texts = {consent.version: consent.text for consent in session.scalars(select(Consent))}
    return {
        "schema": SCHEMA,
        "pictures": len(accepted),
        "labels": dict(Counter(submission.label for submission in accepted)),
        "consent": {version: {"pictures": n, "text": texts[version]} for version, n in versions.items()},
        "models": dict(Counter(submission.model_sha256 for submission in accepted)),
        "removed": sorted(session.scalars(select(Removed.id))),
        "selection_bias": SELECTION_BIAS,
    }


def _task(submission: Submission) -> dict[str, object]:
    """Return a task of Label Studio: the model's answer is a prediction, each review an annotation."""
    predicted = json.loads(submission.predicted)
    first = max(predicted, key=lambda label: predicted[label])
    return {
        "data": {
            "image": LOCAL_FILES + _file_of(submission),
            "submission": submission.id,
            "label": submission.label,
            "group": _group_of(submission),
            "site": submission.site,
            "age_band": submission.age_band,
            "fitzpatrick_skin_type": submission.skin_type,
        },
        "predictions": [
            {
                "model_version": submission.model_sha256[:12],
                "score": predicted[first],
                "result": [_choice(first)],
            }
        ],
        "annotations": [{"result": [_choice(review.label)]} for review in submission.reviews],
    }


def _choice(label: str) -> dict[str, object]:
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}


def _labeling_config(accepted: Sequence[Submission]) -> str:
    """Return the interface that Label Studio shows; its names are those of the tasks."""
    labels = {label for submission in accepted for label in json.loads(submission.predicted)}
    choices = "".join(f"    <Choice value={quoteattr(label)}/>\n" for label in (*sorted(labels), UNUSABLE))
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <Choices name="label" toName="image" choice="single">\n{choices}  </Choices>\n</View>\n'
    )
