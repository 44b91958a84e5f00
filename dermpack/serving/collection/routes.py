"""The API of a collection: submissions, the queue of reviewers, decisions, statistics and the export."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, File, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.background import BackgroundTask
from starlette.formparsers import MultiPartParser

from dermpack.serving.collection.agreement import measure_collection
from dermpack.serving.collection.exporting import ExportFormat, write_export, zip_folder
from dermpack.serving.collection.people import (
    Identity,
    PersonRole,
    cookie_name,
    find_by_cookie,
    find_by_token,
    read_bearer,
    unauthorized_error,
)
from dermpack.serving.collection.picture_folder import MEDIA_TYPES
from dermpack.serving.collection.reviews import (
    MAX_NOTE_CHARACTERS,
    UNUSABLE,
    Opinion,
    add_review,
    decide,
    find_submission,
    next_task,
)
from dermpack.serving.collection.store import EXPORT_PREFIX, Collection
from dermpack.serving.collection.submissions import (
    ModelAnswer,
    Receipt,
    SubmissionForm,
    check_form,
    find_suffix,
    store_submission,
    withdraw,
)
from dermpack.serving.guard import RoutePolicy
from dermpack.serving.problems import PROBLEM_RESPONSES, RequestError, problem_response
from dermpack.serving.services import Services, ServicesDep
from dermpack.serving.settings import PICTURE_BYTES, CollectionSettings

API = "/api/v1"
SUBMISSIONS, SUBMIT_PAGE, SIGN_IN_PAGE = f"{API}/submissions", "/submit", "/sign-in"
FORM_BYTES = 16 << 10  # of the other fields of a submission
SIGN_INS_PER_MINUTE = 10
ZIP_FILE = "accepted.zip"
router = APIRouter(responses=PROBLEM_RESPONSES)


def list_policies(settings: CollectionSettings) -> list[RoutePolicy]:
    """Return the limits of the routes that differ from the default."""
    submitting = RoutePolicy(
        method="POST",
        paths=(SUBMISSIONS, SUBMIT_PAGE),
        max_body_bytes=PICTURE_BYTES + FORM_BYTES,
        most=settings.submissions_per_hour,
        seconds=3600.0,
    )
    return [submitting, RoutePolicy(method="POST", paths=(SIGN_IN_PAGE,), most=SIGN_INS_PER_MINUTE)]


def add_collection(api: FastAPI) -> None:
    """Add the routes and the pages of a collection."""
    from dermpack.serving.collection import pages

    # A picture that still has its metadata stays in memory: a larger one would go to a temporary file.
    MultiPartParser.spool_max_size = PICTURE_BYTES
    api.include_router(router)
    api.include_router(pages.router)
    api.add_exception_handler(OperationalError, _answer_database_error)


async def _answer_database_error(_request: Request, _error: Exception) -> Response:
    """Answer that the database is locked, full or not reachable; its message can contain values of others."""
    what, hint = "the database cannot be used now", "Try again later."
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return problem_response(RequestError("server", what, hint, code="server-busy", status=status))


def get_collection(services: ServicesDep) -> Collection:
    """Return the open collection of the server."""
    assert isinstance(services.collection, Collection)
    return services.collection


CollectionDep = Annotated[Collection, Depends(get_collection)]


def identify(request: Request, services: ServicesDep, collection: CollectionDep) -> Identity:
    """Return who sends the request, by the token in its header or by the cookie of a sign-in."""
    # The token comes first: a program sends it on purpose, but a browser adds the cookie by itself.
    token = read_bearer(request)
    if token is not None:
        identity = find_by_token(collection.database, token)
    else:
        cookie = request.cookies.get(cookie_name(is_public=services.settings.is_public))
        identity = find_by_cookie(collection.database, cookie) if cookie else None
    if identity is None:
        raise unauthorized_error()
    return identity


IdentityDep = Annotated[Identity, Depends(identify)]


def identify_curator(identity: IdentityDep) -> Identity:
    """Return the curator who sends the request."""
    identity.require(PersonRole.CURATOR)
    return identity


CuratorDep = Annotated[Identity, Depends(identify_curator)]


def receive_submission(services: Services, form: SubmissionForm, picture: UploadFile) -> Receipt:
    """Check, clean, answer and store a picture; nothing is stored of one that is refused.

    Child processes with limits remove the metadata and decode what is stored: no structure of a picture is
    followed in this process.
    """
    collection = get_collection(services)
    check_form(form, collection.consent)  # before the work on the picture
    given = picture.file.read()
    suffix = find_suffix(given)
    stripped = services.predictor.strip(given)
    answer = services.predictor.answer(stripped, {}).answer
    return store_submission(
        collection.database,
        collection.pictures,
        form=form,
        picture=stripped,
        suffix=suffix,
        answer=ModelAnswer(
            probabilities={guess.label: guess.value for guess in answer.guesses},
            model_sha256=services.predictor.model.sha256,
        ),
    )


@router.get(f"{API}/consent")
def show_consent(collection: CollectionDep) -> dict[str, str]:
    """Return the text to which a submission agrees, and its version."""
    return {"version": collection.consent.version, "text": collection.consent.text}


@router.post(SUBMISSIONS, status_code=HTTPStatus.CREATED)
def submit(
    services: ServicesDep,
    picture: Annotated[UploadFile, File()],
    consent: Annotated[str, Form(max_length=40)],
    lesion: Annotated[str, Form(max_length=64)] = "",
    site: Annotated[str, Form(max_length=32)] = "",
    age_band: Annotated[str, Form(max_length=16)] = "",
    skin_type: Annotated[str, Form(max_length=4)] = "",
) -> dict[str, str]:
    """Store a picture; keep the id and the code of the answer, which are needed to withdraw it."""
    form = SubmissionForm(consent=consent, lesion=lesion, site=site, age_band=age_band, skin_type=skin_type)
    return asdict(receive_submission(services, form, picture))


@router.delete(f"{SUBMISSIONS}/{{submission_id}}", status_code=HTTPStatus.NO_CONTENT)
def remove(
    submission_id: str,
    collection: CollectionDep,
    withdrawal_code: Annotated[str, Body(embed=True, max_length=64)],
) -> None:
    """Remove a picture and everything that is stored about it."""
    withdraw(collection.database, collection.pictures, submission_id=submission_id, code=withdrawal_code)


@router.get(f"{API}/queue/next")
def show_task(identity: IdentityDep, collection: CollectionDep) -> dict[str, Any]:
    """Return what to review next, without the model's answer; `task` is null if nothing waits."""
    task = next_task(collection.database, identity, chance=collection.chance)
    return {"task": asdict(task) if task else None, "labels": [*collection.labels, UNUSABLE]}


@router.get(f"{SUBMISSIONS}/{{submission_id}}/picture", response_class=Response)
def show_picture(submission_id: str, _: IdentityDep, collection: CollectionDep) -> Response:
    """Return a picture to a reviewer."""
    with collection.database.reading() as session:
        submission = find_submission(session, submission_id)
    headers = {"Content-Disposition": f'inline; filename="{submission.id}{submission.suffix}"'}
    data = collection.pictures.read(submission)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[submission.suffix])


@router.put(f"{SUBMISSIONS}/{{submission_id}}/review")
def review(
    submission_id: str,
    identity: IdentityDep,
    collection: CollectionDep,
    label: Annotated[str, Body(max_length=200)],
    confidence: Annotated[int, Body(ge=1, le=5)],
    note: Annotated[str, Body(max_length=MAX_NOTE_CHARACTERS)] = "",
) -> dict[str, Any]:
    """Store a review, once; the answer shows what the model said."""
    opinion = Opinion(label=label, confidence=confidence, note=note)
    return asdict(add_review(collection.database, identity, submission_id, opinion, labels=collection.labels))


@router.post(f"{SUBMISSIONS}/{{submission_id}}/decision")
def settle_dispute(
    submission_id: str,
    identity: CuratorDep,
    collection: CollectionDep,
    label: Annotated[str, Body(embed=True, max_length=200)],
) -> dict[str, Any]:
    """Decide a submission on which the reviewers differ."""
    return asdict(decide(collection.database, identity, submission_id, label, labels=collection.labels))


@router.get(f"{API}/statistics")
def show_statistics(_: CuratorDep, collection: CollectionDep) -> dict[str, Any]:
    """Return counts, and how far the reviewers agree."""
    return asdict(measure_collection(collection.database))


@router.get(f"{API}/export", response_class=FileResponse)
def export(
    _: CuratorDep,
    services: ServicesDep,
    collection: CollectionDep,
    form: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.DERMPACK,
) -> FileResponse:
    """Return the accepted pictures as a zip."""
    assert services.settings.collection is not None
    # In the folder of the data, which has room for the pictures, and which nobody else can read.
    work = Path(tempfile.mkdtemp(prefix=EXPORT_PREFIX, dir=services.settings.collection.data))
    try:
        write_export(collection.database, collection.pictures, work / "accepted", form=form)
        zip_folder(work / "accepted", work / ZIP_FILE)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    removal = BackgroundTask(shutil.rmtree, work, ignore_errors=True)
    return FileResponse(work / ZIP_FILE, filename=ZIP_FILE, media_type="application/zip", background=removal)
