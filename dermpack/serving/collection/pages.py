"""The pages of a collection: submit, withdraw, sign in, review, decide, statistics.

They work without JavaScript; the one script adds keys and the zoom. What a page does is done by the same
functions as in the API. All links are relative, so that a proxy can put the pages below any path.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from dermpack.errors import DermpackError
from dermpack.metrics.skin_types import SKIN_TYPES
from dermpack.serving.collection.agreement import measure_collection
from dermpack.serving.collection.page_rendering import REVIEW_PAGE, PageError, PageRoute, explain, render
from dermpack.serving.collection.people import (
    SIGN_IN_HOURS,
    Identity,
    cookie_name,
    sign_in,
    sign_out,
)
from dermpack.serving.collection.reviews import (
    CONFIDENCES,
    MAX_NOTE_CHARACTERS,
    UNUSABLE,
    Opinion,
    Verdict,
    add_review,
    count_tasks,
    decide,
    next_dispute,
    next_task,
)
from dermpack.serving.collection.routes import (
    SIGN_IN_PAGE,
    SUBMIT_PAGE,
    CollectionDep,
    CuratorDep,
    IdentityDep,
    receive_submission,
)
from dermpack.serving.collection.store import Collection
from dermpack.serving.collection.submissions import AGE_BANDS, SITES, SubmissionForm, withdraw
from dermpack.serving.services import ServicesDep
from dermpack.storage.files import read_bytes

STATIC = Path(__file__).parent / "static"
DECISION_PAGE = "/decisions"
ASSETS = {"style.css": "text/css; charset=utf-8", "review.js": "text/javascript; charset=utf-8"}
MAX_ASSET_BYTES = 1 << 20
ACCEPTED_TYPES = "image/jpeg,image/png,image/webp,image/gif,image/bmp"
MAX_KEY = 9  # the labels after the ninth have no key
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/collection/{name}")
def send_asset(name: str) -> Response:
    """Return the style sheet or the script."""
    if name not in ASSETS:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    data = read_bytes(STATIC / name, most=MAX_ASSET_BYTES, hint="Install dermpack again.")
    return Response(data, media_type=ASSETS[name], headers={"Cache-Control": "no-cache"})


@router.get(SUBMIT_PAGE)
def show_form(collection: CollectionDep) -> Response:
    """Show the consent and the form for a picture."""
    return _show_form(collection)


@router.post(SUBMIT_PAGE)
def submit_form(
    services: ServicesDep,
    collection: CollectionDep,
    picture: Annotated[UploadFile, File()],
    consent: Annotated[str, Form(max_length=40)] = "",
    lesion: Annotated[str, Form(max_length=64)] = "",
    site: Annotated[str, Form(max_length=32)] = "",
    age_band: Annotated[str, Form(max_length=16)] = "",
    skin_type: Annotated[str, Form(max_length=4)] = "",
) -> Response:
    """Store a picture, and show its id and its code."""
    entered = {"lesion": lesion, "site": site, "age_band": age_band, "skin_type": skin_type}
    try:
        receipt = receive_submission(services, SubmissionForm(consent=consent, **entered), picture)
    except DermpackError as error:
        return _show_form(collection, entered=entered, error=explain(error))
    return render("submitted.html.j2", {"receipt": receipt}, status=HTTPStatus.CREATED)


def _show_form(
    collection: Collection,
    *,
    entered: Mapping[str, str] | None = None,
    error: PageError | None = None,
) -> Response:
    values = {
        "consent": collection.consent,
        "paragraphs": [" ".join(part.split()) for part in collection.consent.text.split("\n\n")],
        "choices": (
            ("site", "Body site", SITES),
            ("age_band", "Age", AGE_BANDS),
            ("skin_type", "Skin type (Fitzpatrick)", SKIN_TYPES),
        ),
        "accepted_types": ACCEPTED_TYPES,
        "entered": entered or {},
        "error": error,
    }
    return render("submit.html.j2", values, status=error.status if error else HTTPStatus.OK)


@router.get("/withdraw")
def show_withdrawal() -> Response:
    """Show the form for a withdrawal."""
    return render("withdraw.html.j2", {"is_done": False, "error": None})


@router.post("/withdraw")
def withdraw_form(
    collection: CollectionDep,
    submission_id: Annotated[str, Form(max_length=64)],
    withdrawal_code: Annotated[str, Form(max_length=64)],
) -> Response:
    """Remove a picture and everything that is stored about it."""
    try:
        withdraw(
            collection.database,
            collection.pictures,
            submission_id=submission_id.strip(),
            code=withdrawal_code.strip(),
        )
    except DermpackError as error:
        shown = explain(error)
        return render("withdraw.html.j2", {"is_done": False, "error": shown}, status=shown.status)
    return render("withdraw.html.j2", {"is_done": True, "error": None})


@router.get(SIGN_IN_PAGE)
def show_sign_in() -> Response:
    """Show the form for a token."""
    return render("sign_in.html.j2", {"error": None})


@router.post(SIGN_IN_PAGE)
def sign_in_form(
    services: ServicesDep, collection: CollectionDep, token: Annotated[str, Form(max_length=128)]
) -> Response:
    """Set the cookie of a sign-in, which scripts cannot read and other sites cannot send."""
    try:
        cookie = sign_in(collection.database, token.strip())
    except DermpackError as error:
        shown = explain(error)
        return render("sign_in.html.j2", {"error": shown}, status=shown.status)
    # The cookie is not the token: it ends by itself, and its loss does not reveal the token.
    response = RedirectResponse(REVIEW_PAGE[1:], HTTPStatus.SEE_OTHER)
    is_public = services.settings.is_public
    response.set_cookie(
        cookie_name(is_public=is_public),
        cookie,
        max_age=SIGN_IN_HOURS * 3600,
        path="/",
        secure=is_public,
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/sign-out")
def sign_out_form(request: Request, services: ServicesDep, collection: CollectionDep) -> Response:
    """End the sign-in of this browser."""
    name = cookie_name(is_public=services.settings.is_public)
    sign_out(collection.database, request.cookies.get(name, ""))
    response = RedirectResponse(SIGN_IN_PAGE[1:], HTTPStatus.SEE_OTHER)
    response.delete_cookie(name, path="/", secure=services.settings.is_public, httponly=True)
    return response


@router.get(REVIEW_PAGE)
def show_review(identity: IdentityDep, collection: CollectionDep) -> Response:
    """Show the next picture, and nothing of the model."""
    values = {
        "task": next_task(collection.database, identity, chance=collection.chance),
        "waiting": count_tasks(collection.database, identity),
        "choices": _choices(collection),
        "confidences": CONFIDENCES,
        "most": MAX_NOTE_CHARACTERS,
    }
    return render("review.html.j2", values, identity=identity)


@router.post(REVIEW_PAGE)
def review_form(
    identity: IdentityDep,
    collection: CollectionDep,
    submission_id: Annotated[str, Form(max_length=64)],
    label: Annotated[str, Form(max_length=200)],
    confidence: Annotated[int, Form(ge=1, le=5)],
    note: Annotated[str, Form(max_length=MAX_NOTE_CHARACTERS)] = "",
) -> Response:
    """Store a review, and show the model's answer."""
    opinion = Opinion(label=label, confidence=confidence, note=note)
    verdict = add_review(collection.database, identity, submission_id, opinion, labels=collection.labels)
    return _show_verdict(verdict, identity, following=REVIEW_PAGE)


@router.get(DECISION_PAGE)
def show_decision(identity: CuratorDep, collection: CollectionDep) -> Response:
    """Show a picture on which the reviewers differ, with what they answered."""
    dispute, waiting = next_dispute(collection.database, identity)
    values = {"dispute": dispute, "waiting": waiting, "choices": _choices(collection)}
    return render("decision.html.j2", values, identity=identity)


@router.post(DECISION_PAGE)
def decision_form(
    identity: CuratorDep,
    collection: CollectionDep,
    submission_id: Annotated[str, Form(max_length=64)],
    label: Annotated[str, Form(max_length=200)],
) -> Response:
    """Store a decision, and show the model's answer."""
    verdict = decide(collection.database, identity, submission_id, label, labels=collection.labels)
    return _show_verdict(verdict, identity, following=DECISION_PAGE)


@router.get("/statistics")
def show_statistics(identity: CuratorDep, collection: CollectionDep) -> Response:
    """Show counts, and how far the reviewers agree."""
    measured = measure_collection(collection.database)
    return render("statistics.html.j2", {"measured": measured}, identity=identity)


def _choices(collection: Collection) -> list[tuple[str, str, str]]:
    """Return label, meaning and key of each answer; the last one is "unusable"."""
    labels = [
        (label, collection.meanings.get(label, ""), str(number) if number <= MAX_KEY else "")
        for number, label in enumerate(collection.labels, start=1)
    ]
    return [*labels, (UNUSABLE, "blurred, a face, not skin", "u")]


def _show_verdict(verdict: Verdict, identity: Identity, *, following: str) -> Response:
    return render("verdict.html.j2", {"verdict": verdict, "following": following[1:]}, identity=identity)
