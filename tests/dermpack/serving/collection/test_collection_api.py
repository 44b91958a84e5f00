"""Submissions, reviews, decisions and exports through a real server."""

from __future__ import annotations

import html
import json
import re
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.imaging import metadata_removal
from dermpack.imaging.preprocessing import prepare
from dermpack.serving.collection.page_rendering import PAGE_HINTS, SERVER_HINT
from dermpack.serving.collection.people import revoke_person
from dermpack.serving.collection.reviews import UNUSABLE
from tests.support.collecting import Collecting, collecting, photograph
from tests.support.colour_model import LABELS, picture, write_export
from tests.support.postgresql import postgresql_server

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
ORIENTATIONS = range(1, 9)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("served") / "export")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(
    request: pytest.FixtureRequest, export: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collecting]:
    """One server for the tests of this file; each test submits pictures of its own."""
    data = tmp_path_factory.mktemp("collected") / "data"
    with ExitStack() as stack:
        url = stack.enter_context(postgresql_server()) if request.param == "postgresql" else None
        yield stack.enter_context(collecting(export, data, database=url))


def accepted(place: Collecting, seed: int, label: str = "nv", **fields: str) -> str:
    """Submit a picture on whose label two reviewers agree; return its id."""
    submitted = place.submit(photograph(seed), **fields).json["id"]
    for who in ("ann", "ben"):
        assert place.review(who, submitted, label).status == 200
    return str(submitted)


def test_stored_pictures_have_no_metadata_and_the_same_prepared_pixels(
    place: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_removal, "STRIPPERS", {})  # the server leaves the removal to a child process
    given = [
        photograph(1000 + 10 * number + orientation, form, orientation=orientation)
        for number, form in enumerate(FORMATS)
        for orientation in ORIENTATIONS
    ]
    given += [photograph(2000 + number, size=(97 + number, 31), orientation=6) for number in range(10)]
    assert len(given) == 50
    for data in given:
        submission = place.stored(place.submit(data).json["id"])
        assert submission is not None
        stored = place.collection.pictures.read(submission)
        assert b"SECRET" not in stored
        assert np.array_equal(prepare(stored, 32), prepare(data, 32))


def test_a_submission_stores_what_was_stated_and_nothing_of_the_connection(place: Collecting) -> None:
    stated = {"lesion": "L-7", "site": "lower extremity", "age_band": "40-49", "skin_type": "IV"}
    reply = place.submit(photograph(1), **stated)
    submission = place.stored(reply.json["id"])
    assert reply.status == 201
    assert submission is not None
    assert {name: getattr(submission, name) for name in stated} == stated
    assert submission.consent == place.collection.consent.version
    assert json.loads(submission.predicted).keys() == set(LABELS)
    data = place.collection.pictures.path.parent
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    for private in (b"127.0.0.1", b"IMG_0815", b"SECRETCAMERA", reply.json["withdrawal_code"].encode()):
        assert private not in written
    assert place.collection.pictures.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"consent": "2020-1"}, (422, "consent-required")),
        ({"lesion": "=1+1"}, (422, "invalid-submission")),
        ({"lesion": "Jo Doe"}, (422, "invalid-submission")),
        ({"site": "elbow"}, (422, "invalid-submission")),
        ({"age_band": "10-17"}, (422, "invalid-submission")),
        ({"skin_type": "VII"}, (422, "invalid-submission")),
        ({"lesion": "x" * 65}, (422, "invalid-request")),
    ],
)
def test_a_form_with_invalid_values_is_refused(
    place: Collecting, fields: dict[str, str], refusal: tuple[int, str]
) -> None:
    before = sorted(place.collection.pictures.path.iterdir())
    assert place.submit(photograph(2), **fields).refusal == refusal
    assert sorted(place.collection.pictures.path.iterdir()) == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not a picture", "picture-not-a-picture"),
        (photograph(3)[:300], "picture-truncated"),
        (photograph(3, "TIFF"), "picture-unsupported"),
    ],
)
def test_what_a_reviewer_could_not_see_is_not_stored(place: Collecting, data: bytes, code: str) -> None:
    before = sorted(place.collection.pictures.path.iterdir())
    assert place.submit(data).refusal == (422, code)
    assert sorted(place.collection.pictures.path.iterdir()) == before


@pytest.mark.parametrize(
    ("data", "fields", "code"),
    [
        (b"not a picture", {}, "picture-not-a-picture"),
        (photograph(3)[:300], {}, "picture-truncated"),
        (photograph(3, "TIFF"), {}, "picture-unsupported"),
        (photograph(3), {"consent": "2020-1"}, "consent-required"),
    ],
)
def test_a_page_has_a_hint_for_a_person_where_that_of_the_api_is_for_a_program(
    place: Collecting, data: bytes, fields: dict[str, str], code: str
) -> None:
    refused = place.submit(data, **fields)
    page = place.submit(data, path="/submit", **fields)
    assert (page.status, code) == refused.refusal
    shown = html.unescape(page.body.decode())
    assert PAGE_HINTS[code] in shown
    assert refused.json["detail"] in shown
    assert refused.json["hint"] not in shown


def test_an_error_of_the_server_has_neither_its_path_nor_its_hint_on_a_page(
    export: Path, tmp_path: Path
) -> None:
    with collecting(export, tmp_path / "data", people=()) as place:
        shutil.rmtree(place.collection.pictures.path)
        page = place.submit(photograph(62), path="/submit")
    assert page.status == 500
    assert SERVER_HINT in page.body.decode()
    assert str(tmp_path).encode() not in page.body


def test_a_known_picture_is_refused_also_with_other_metadata(place: Collecting) -> None:
    assert place.submit(photograph(4, "PNG")).status == 201
    assert photograph(4, "PNG", orientation=0) != photograph(4, "PNG")
    assert place.submit(photograph(4, "PNG", orientation=0)).refusal == (409, "already-submitted")


def test_a_withdrawal_removes_file_rows_and_pages_of_the_database(place: Collecting) -> None:
    receipt = place.submit(photograph(6), lesion="UNIQUE-LESION-6").json
    assert place.review("ann", receipt["id"], "nv", note="UNIQUE-NOTE-6").status == 200
    path, code = f"/api/v1/submissions/{receipt['id']}", receipt["withdrawal_code"]
    submission = place.stored(receipt["id"])
    assert submission is not None
    wrong = place.ask("DELETE", path, value={"withdrawal_code": code[:-1]})
    assert wrong.refusal == (404, "submission-not-found")
    assert place.ask("DELETE", path, value={"withdrawal_code": code}).status == 204
    assert place.ask("DELETE", path, value={"withdrawal_code": code}).refusal[0] == 404
    assert place.stored(receipt["id"]) is None
    assert not (place.collection.pictures.path / submission.file_name).exists()
    data = place.collection.pictures.path.parent
    written = b"".join(path.read_bytes() for path in data.glob("collection.sqlite3*"))
    assert b"UNIQUE-LESION-6" not in written
    assert b"UNIQUE-NOTE-6" not in written
    assert place.submit(photograph(6)).status == 201  # it can be given again


def test_a_review_is_blind_and_given_once(place: Collecting) -> None:
    submitted = place.submit(picture("mel"), site="head/neck").json["id"]
    shown = place.ask("GET", "/api/v1/queue/next", who="ann")
    assert set(shown.json["task"]) == {"id", "site", "age_band", "skin_type"}
    assert shown.json["labels"] == [*LABELS, UNUSABLE]
    seen = place.ask("GET", f"/api/v1/submissions/{submitted}/picture", who="ann")
    assert (seen.status, seen.headers["content-type"]) == (200, "image/jpeg")
    verdict = place.review("ann", submitted, "nv")
    assert (verdict.json["status"], next(iter(verdict.json["model"]))) == ("waiting", "mel")
    assert place.review("ann", submitted, "mel").refusal == (409, "already-reviewed")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 2001])
def test_text_that_no_database_stores_is_refused(place: Collecting, text: str) -> None:
    submitted = place.submit(photograph(70 + len(text))).json["id"]
    assert place.review("ann", submitted, "nv", note=text).status == 422
    for name in ("%00", "%F4%90", "%27%20OR%201=1"):
        assert place.ask("GET", f"/api/v1/submissions/{name}/picture", who="ann").status == 404
        gone = place.ask("DELETE", f"/api/v1/submissions/{name}", value={"withdrawal_code": "\0"})
        assert gone.status == 404


def test_two_reviews_that_differ_are_settled_by_a_third_or_by_a_curator(place: Collecting) -> None:
    third, decided, lost = (place.submit(photograph(seed)).json["id"] for seed in (20, 21, 22))
    for submitted in (third, decided, lost):
        assert place.review("ann", submitted, "nv").json["status"] == "waiting"
        assert place.review("ben", submitted, "mel").json["status"] == "disputed"
    assert place.review("cleo", third, "mel").json["label"] == "mel"
    assert place.review("cleo", lost, UNUSABLE).json["status"] == "undecided"
    path = "/api/v1/submissions/{}/decision"
    refused = place.ask("POST", path.format(decided), who="ann", value={"label": "nv"})
    assert refused.refusal == (403, "not-allowed")
    chosen = place.ask("POST", path.format(decided), who="cleo", value={"label": "nv"})
    assert (chosen.json["status"], chosen.json["label"]) == ("accepted", "nv")
    assert place.review("cleo", decided, "mel").refusal == (409, "already-reviewed")  # no longer blind
    again = place.ask("POST", path.format(decided), who="cleo", value={"label": "mel"})
    assert again.refusal == (409, "not-disputed")
    assert (
        place.ask("POST", path.format(lost), who="cleo", value={"label": UNUSABLE}).json["status"]
        == "refused"
    )


def test_tokens_and_roles_are_checked(place: Collecting) -> None:
    for method, path in (
        ("GET", "/api/v1/queue/next"),
        ("GET", "/api/v1/export"),
        ("GET", "/api/v1/statistics"),
    ):
        assert place.server.ask(method, path).refusal == (401, "not-signed-in")
        forged = {"Authorization": f"Bearer {place.tokens['ann']}A"}
        assert place.server.ask(method, path, headers=forged).refusal == (401, "not-signed-in")
    for path in ("/api/v1/export", "/api/v1/statistics"):
        assert place.ask("GET", path, who="ann").refusal == (403, "not-allowed")


def test_a_sign_in_lasts_until_the_person_signs_out_or_is_revoked(export: Path, tmp_path: Path) -> None:
    with collecting(export, tmp_path / "data", people=("ann", "ben")) as place:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert place.server.ask("POST", "/sign-in", b"token=dp_wrong", form).status == 401
        cookies = []
        for who in ("ann", "ben"):
            reply = place.server.ask("POST", "/sign-in", f"token={place.tokens[who]}".encode(), form)
            kept, *attributes = reply.headers["set-cookie"].split("; ")
            assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(attributes)
            assert place.tokens[who] not in kept
            cookies.append({"Cookie": kept})
        for cookie in cookies:
            assert place.server.ask("GET", "/review", headers=cookie).status == 200
        place.server.ask("POST", "/sign-out", headers=cookies[0])
        revoke_person(place.collection.database, "ben")
        for cookie in cookies:
            assert place.server.ask("GET", "/review", headers=cookie).headers["location"] == "sign-in"
        assert place.ask("GET", "/api/v1/queue/next", who="ben").refusal == (401, "not-signed-in")
        assert place.ask("GET", "/api/v1/queue/next", who="ann").status == 200


def test_behind_a_proxy_the_cookie_is_bound_to_the_host_and_to_tls(export: Path, tmp_path: Path) -> None:
    with collecting(export, tmp_path / "data", people=("ann",), public_url="https://skin.example") as place:
        host, token = {"Host": "skin.example"}, place.tokens["ann"]
        form = {**host, "Content-Type": "application/x-www-form-urlencoded"}
        kept, *attributes = (
            place.server.ask("POST", "/sign-in", f"token={token}".encode(), form)
            .headers["set-cookie"]
            .split("; ")
        )
        assert kept.startswith("__Host-dermpack=")
        assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(attributes)
        plain = kept.removeprefix("__Host-")
        statuses = [
            place.server.ask("GET", "/review", headers={**host, "Cookie": cookie}).status
            for cookie in (kept, plain)
        ]
        assert statuses == [200, 303]


def test_a_picture_with_metadata_is_never_in_a_temporary_file(
    place: Collecting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    data = photograph(70, "BMP", size=(800, 600))
    assert len(data) > 1 << 20  # from which on forms are written to the disk, unless they are told not to
    assert place.submit(data).status == 201


def test_a_database_that_fails_is_an_error_that_may_pass(export: Path, tmp_path: Path) -> None:
    with collecting(export, tmp_path / "data", people=()) as place:
        with sqlite3.connect(tmp_path / "data/collection.sqlite3") as other:
            other.execute("ALTER TABLE submission RENAME TO elsewhere")  # every use of it fails
        assert place.submit(photograph(60)).refusal == (503, "server-busy")


def test_a_missing_file_is_an_error_of_the_server_and_its_path_is_not_shown(
    export: Path, tmp_path: Path
) -> None:
    with collecting(export, tmp_path / "data") as place:
        submitted = accepted(place, 61)
        (picture_file,) = place.collection.pictures.path.iterdir()
        picture_file.unlink()
        for path in (f"/api/v1/submissions/{submitted}/picture", "/api/v1/export"):
            reply = place.ask("GET", path, who="cleo")
            assert reply.refusal == (500, "file-not-found")
            assert str(tmp_path).encode() not in reply.body
        for file in (tmp_path / "data").glob("collection.sqlite3*"):
            assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_is_imported_as_it_is_and_the_same_each_time(export: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with collecting(export, data) as place:
        assert place.ask("GET", "/api/v1/export", who="cleo").refusal == (422, "nothing-accepted")
        kept = [accepted(place, seed, LABELS[seed % 2], lesion=f"L{seed // 2}") for seed in range(30, 36)]
        gone = place.submit(photograph(36)).json
        place.ask(
            "DELETE", f"/api/v1/submissions/{gone['id']}", value={"withdrawal_code": gone["withdrawal_code"]}
        )
        archive = zipfile.ZipFile(BytesIO(place.ask("GET", "/api/v1/export", who="cleo").body))
    output = tmp_path / "accepted"
    assert main(["serve", "export", "--data", str(data), "-o", str(output), "-q"]) == 0
    files = {
        path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()
    }
    assert {entry.filename: archive.read(entry) for entry in archive.infolist()} == files
    record = json.loads(files["export.json"])
    assert (record["pictures"], record["removed"]) == (len(kept), [gone["id"]])
    assert record["agreement"] == {"n": 6, "observed": 1.0, "kappa": 1.0}
    texts = b"".join(data for name, data in files.items() if name.endswith((".csv", ".json")))
    assert re.search(rb"\bann\b", texts) is None
    imported = [
        "data",
        "import",
        str(output),
        "-o",
        str(tmp_path / "dataset"),
        "--group",
        "group",
        "--jobs",
        "1",
    ]
    assert main([*imported, "--duplicates", "off", "--split", "60/40/0", "-q"]) == 0
    manifest = (tmp_path / "dataset/manifest.csv").read_text(encoding="utf-8")
    assert all(name in manifest for name in kept)
    assert ",test," not in manifest


def test_label_studio_gets_predictions_and_reviews(place: Collecting, tmp_path: Path) -> None:
    submitted = accepted(place, 50, "akiec")
    settings = place.server.services.settings.collection
    assert settings is not None
    output = tmp_path / "tasks"
    options = ["--data", str(settings.data), "-o", str(output), "--format", "label-studio", "-q"]
    options += ["--database", settings.database] if settings.database else []
    assert main(["serve", "export", *options]) == 0
    tasks = json.loads((output / "tasks.json").read_text(encoding="utf-8"))
    (task,) = (task for task in tasks if task["data"]["submission"] == submitted)
    assert (output / task["data"]["image"].partition("?d=")[2]).is_file()
    chosen = [each["result"][0]["value"]["choices"] for each in task["annotations"]]
    assert chosen == [["akiec"], ["akiec"]]
    assert task["predictions"][0]["result"][0]["value"]["choices"][0] in LABELS
    assert '<Choice value="unusable"/>' in (output / "labels.xml").read_text(encoding="utf-8")


def test_a_server_limits_the_submissions_of_an_address(export: Path, tmp_path: Path) -> None:
    with collecting(export, tmp_path / "data", people=(), submissions_per_hour=2) as place:
        replies = [place.submit(photograph(seed)) for seed in range(3)]
        page = place.submit(photograph(3), path="/submit")
        form = {"Content-Type": "multipart/form-data", "Accept": "text/html,*/*;q=0.8"}
        shown = place.server.ask("POST", "/submit", b"x", form)  # by a browser
    assert (shown.status, shown.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert int(shown.headers["retry-after"]) > 0
    assert b"<h1>Not possible</h1>" in shown.body
    assert [reply.status for reply in (*replies, page)] == [201, 201, 429, 429]
