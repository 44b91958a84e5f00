"""Attacks on a server with a collection: each is refused with its code, and nothing is stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from sqlalchemy import func, select

from dermpack.cli import main
from dermpack.serving.collection.database import Person, Review, Submission
from dermpack.serving.collection.people import new_token
from tests.support.bundle_exports import write_export
from tests.support.collecting import Collecting, collecting, multipart, photograph
from tests.support.colour_model import LABELS
from tests.support.hostile_pictures import png, png_header, png_pixels
from tests.support.live_server import picture

PREDICTIONS, SUBMISSIONS = "/api/v1/predictions", "/api/v1/submissions"
SOME_ID = "0" * 24
NOT_FOUND, CROSS_SITE = (404, "not-found"), (403, "cross-site-request")
WRONG_HOST, INVALID = (421, "host-not-allowed"), (400, "invalid-request")
UNKNOWN, NO_SUBMISSION = (401, "not-signed-in"), (404, "submission-not-found")
SCRIPT = "<script>alert(1)</script>"
SQL = "' OR 1=1; DROP TABLE submission; --"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A request, and the status and code that refuse it."""

    name: str
    expected: tuple[int, str]
    method: str = "GET"
    target: str = "/"
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    raw: bytes | None = None  # instead of all of these

    def encode(self) -> bytes:
        """Return the request; it declares the size of its body unless its headers do."""
        if self.raw is not None:
            return self.raw
        headers = {"Host": "127.0.0.1", "Connection": "close", **(self.headers or {})}
        if self.body and not {"Content-Length", "Transfer-Encoding"} & set(headers):
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def posting(name: str, expected: tuple[int, str], body: bytes = b"x", **headers: str) -> Attack:
    """Return an attack on the predictions."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Attack(name=name, expected=expected, method="POST", target=PREDICTIONS, headers=named, body=body)


def submitting(name: str, expected: tuple[int, str], data: bytes, **fields: str) -> Attack:
    """Return an attack on the submissions; the consent is filled in when it is sent."""
    body, kind = multipart({"consent": "CONSENT", **fields}, data)
    return Attack(
        name=name,
        expected=expected,
        method="POST",
        target=SUBMISSIONS,
        headers={"Content-Type": kind},
        body=body,
    )


def reviewing(name: str, expected: tuple[int, str], value: object, token: str = "REVIEWER") -> Attack:
    """Return an attack on the review of a submission."""
    return Attack(
        name=name,
        expected=expected,
        method="PUT",
        target=f"{SUBMISSIONS}/SUBMISSION/review",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        body=json.dumps(value).encode(),
    )


def asking(name: str, expected: tuple[int, str], target: str, token: str, method: str = "GET") -> Attack:
    """Return a request with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return Attack(name=name, expected=expected, method=method, target=target, headers=headers)


def withdrawing(name: str, code: str, submission: str = "SUBMISSION") -> Attack:
    """Return a withdrawal with a wrong code."""
    return Attack(
        name=name,
        expected=NO_SUBMISSION,
        method="DELETE",
        target=f"{SUBMISSIONS}/{submission}",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"withdrawal_code": code}).encode(),
    )


def zip_bomb() -> bytes:
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("picture.jpg", bytes(8 << 20))
    return file.getvalue()


HUGE_PNG = png(png_header(60_000, 60_000), png_pixels(bytes(10), 10), (b"IEND", b""))
PATHS = (
    *("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd"),
    *("//etc/passwd", "/..%5c..%5cserve.db", "/data/serve.db", "/pictures/", "/js/%00"),
    *("/collection/..%2fdatabase.py", "/.env", "/docs", "/redoc"),
)
HOSTS = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8765", "", "[::2]")
ATTACKS = (
    *(Attack(name=f"path {path}", expected=NOT_FOUND, target=path) for path in PATHS),
    *(Attack(name=f"host {host}", expected=WRONG_HOST, headers={"Host": host}) for host in HOSTS),
    Attack(
        name="two hosts", expected=INVALID, raw=b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n"
    ),
    Attack(
        name="host in the target",
        expected=WRONG_HOST,
        target="http://evil.example/",
        headers={"Host": "evil.example"},
    ),
    posting("cross-site", CROSS_SITE, Sec_Fetch_Site="cross-site"),
    posting("same-site", CROSS_SITE, Sec_Fetch_Site="same-site"),
    posting("another origin", CROSS_SITE, Origin="https://evil.example"),
    posting("no origin", CROSS_SITE, Origin="null"),
    posting("another port", CROSS_SITE, Origin="http://127.0.0.1:1"),
    Attack(
        name="a form of another site",
        expected=CROSS_SITE,
        method="POST",
        target="/submit",
        headers={"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
        body=b"consent=1",
    ),
    posting("declared size", (413, "request-too-large"), b"x", Content_Length=str(1 << 40)),
    posting("chunks", (411, "length-required"), b"0\r\n\r\n", Transfer_Encoding="chunked"),
    posting("negative size", INVALID, Content_Length="-1"),
    posting("size that is no number", INVALID, Content_Length="0x10"),
    posting("two framings", INVALID, b"0\r\n\r\n", Content_Length="5", Transfer_Encoding="chunked, gzip"),
    posting("slow body", (408, "request-timeout"), b"x", Content_Length="100"),
    Attack(name="no HTTP", expected=INVALID, raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Attack(name="long header", expected=(431, "request-too-large"), headers={"X": "x" * (64 << 10)}),
    Attack(name="long query", expected=(431, "request-too-large"), target=f"/?{'x' * (32 << 10)}"),
    Attack(
        name="endless head",
        expected=INVALID,
        raw=b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (20 << 10),
    ),
    Attack(name="line break in a header", expected=INVALID, headers={"X": "a\nb\0c"}),
    Attack(
        name="large form",
        expected=(413, "request-too-large"),
        method="POST",
        target="/sign-in",
        body=bytes(1 << 20),
    ),
    Attack(name="trace", expected=(405, "method-not-allowed"), method="TRACE", target=PREDICTIONS),
    Attack(name="put", expected=(405, "method-not-allowed"), method="PUT", target=PREDICTIONS, body=b"x"),
    posting("nothing", (422, "picture-empty"), b""),
    posting("text", (422, "picture-not-a-picture"), SCRIPT.encode()),
    posting("zip bomb", (422, "picture-not-a-picture"), zip_bomb()),
    posting(
        "gzip bomb", (422, "picture-not-a-picture"), gzip.compress(bytes(8 << 20)), Content_Encoding="gzip"
    ),
    posting("picture bomb", (422, "picture-too-large"), HUGE_PNG),
    Attack(
        name="sql as a parameter",
        expected=(422, "option-not-applicable"),
        method="POST",
        target=f"{PREDICTIONS}?age=%27%20OR%201%3D1",
        body=picture(),
    ),
    submitting("submitted text", (422, "picture-not-a-picture"), b"=1+1"),
    submitting("submitted svg", (422, "picture-not-a-picture"), f"<svg>{SCRIPT}</svg>".encode()),
    submitting("submitted zip bomb", (422, "picture-not-a-picture"), zip_bomb()),
    submitting("submitted picture bomb", (422, "picture-too-large"), HUGE_PNG),
    submitting("forged consent", (422, "consent-required"), photograph(1), consent="2020-1"),
    submitting("sql as a consent", (422, "consent-required"), photograph(1), consent=SQL[:40]),
    submitting("sql in the lesion", (422, "invalid-submission"), photograph(1), lesion=SQL),
    submitting("formula in the lesion", (422, "invalid-submission"), photograph(1), lesion="=HYPERLINK(1)"),
    submitting("path in the lesion", (422, "invalid-submission"), photograph(1), lesion="../../x"),
    submitting("script in the site", (422, "invalid-submission"), photograph(1), site=SCRIPT[:32]),
    submitting("formula in the age", (422, "invalid-submission"), photograph(1), age_band="@SUM(1)"),
    Attack(
        name="form without a boundary",
        expected=INVALID,
        method="POST",
        target=SUBMISSIONS,
        headers={"Content-Type": "multipart/form-data"},
        body=b"--x\r\n",
    ),
    submitting("nothing submitted", (422, "picture-not-a-picture"), b""),
    asking("no token", UNKNOWN, "/api/v1/queue/next", ""),
    asking("forged token", UNKNOWN, "/api/v1/queue/next", new_token()),
    asking("sql as a token", UNKNOWN, "/api/v1/export", SQL),
    asking("long token", UNKNOWN, "/api/v1/export", "x" * 8000),
    asking("hash as a token", UNKNOWN, "/api/v1/export", "TOKEN_HASH"),
    asking("token in the address", UNKNOWN, "/api/v1/export?token=CURATOR", ""),
    Attack(
        name="forged cookies",
        expected=UNKNOWN,
        target="/api/v1/export",
        headers={"Cookie": "dermpack=dp_forged; __Host-dermpack=CURATOR"},
    ),
    asking("reviewer exports", (403, "not-allowed"), "/api/v1/export", "REVIEWER"),
    asking("reviewer reads statistics", (403, "not-allowed"), "/api/v1/statistics", "REVIEWER"),
    asking("picture by a path", NOT_FOUND, f"{SUBMISSIONS}/..%2f..%2fserve.db/picture", "REVIEWER"),
    asking("picture by sql", NO_SUBMISSION, f"{SUBMISSIONS}/'OR'1'='1/picture", "REVIEWER"),
    asking("formula as a format", (422, "invalid-request"), "/api/v1/export?format=%3D1", "CURATOR"),
    reviewing("script as a label", (422, "invalid-review"), {"label": SCRIPT, "confidence": 3}),
    reviewing("sql as a label", (422, "invalid-review"), {"label": SQL, "confidence": 3}),
    reviewing("confidence", (422, "invalid-request"), {"label": "nv", "confidence": 10**30}),
    reviewing("long note", (422, "invalid-request"), {"label": "nv", "confidence": 3, "note": "x" * 5000}),
    reviewing(
        "half a character", (422, "invalid-request"), {"label": "nv", "confidence": 3, "note": "\ud800"}
    ),
    reviewing("zero in a note", (422, "invalid-review"), {"label": "nv", "confidence": 3, "note": "a\0b"}),
    reviewing("forged review", UNKNOWN, {"label": "nv", "confidence": 3}, token="dp_forged"),
    withdrawing("guessed code", "x" * 22),
    withdrawing("sql as a code", SQL),
    withdrawing("code of a withdrawn picture", "SPENT_CODE", "SPENT_ID"),
    withdrawing("withdrawal of nothing", "x", SOME_ID),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    folder = tmp_path_factory.mktemp("attacked")
    with collecting(write_export(folder / "export"), folder / "data", body_seconds=0.2) as opened:
        yield opened


@pytest.fixture(scope="module")
def words(place: Collecting) -> Mapping[str, str]:
    """What the attacks know: the id of a submission, a withdrawn one with its code, tokens and a hash."""
    spent = place.submit(photograph(7)).json
    value = {"withdrawal_code": spent["withdrawal_code"]}
    assert place.ask("DELETE", f"{SUBMISSIONS}/{spent['id']}", value=value).status == 204
    with place.collection.database.reading() as session:
        token_hash = session.scalars(select(Person.token_sha256)).first()
    return {
        "CONSENT": place.collection.consent.version,
        "SUBMISSION": place.submit(photograph(8)).json["id"],
        "SPENT_ID": spent["id"],
        "SPENT_CODE": spent["withdrawal_code"],
        "REVIEWER": place.tokens["ann"],
        "CURATOR": place.tokens["cleo"],
        "TOKEN_HASH": str(token_hash),
    }


@pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in ATTACKS])
def test_an_attack_is_refused_and_nothing_is_stored(
    place: Collecting, words: Mapping[str, str], attack: Attack
) -> None:
    before = stored(place)
    head, _, body = send(place, words, attack).partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    assert (status, json.loads(body)["code"]) == attack.expected
    assert b"application/problem+json" in head
    assert b"serve.db" not in body
    assert stored(place) == before


def test_there_are_at_least_sixty_attacks() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_what_an_attacker_may_write_is_shown_as_text(place: Collecting, tmp_path: Path) -> None:
    """A note may contain anything; neither a page, nor a table, nor a terminal executes it."""
    note, submitted = f"=HYPERLINK(1){SCRIPT}", place.submit(photograph(9)).json["id"]
    for who, label in (("ann", LABELS[0]), ("ben", LABELS[1])):
        assert place.review(who, submitted, label, note=note).status == 200
    page = place.ask("GET", "/decisions", who="cleo")
    assert SCRIPT.encode() not in page.body
    assert b"&lt;script&gt;" in page.body
    assert place.review("cleo", submitted, LABELS[0]).refusal == (409, "already-reviewed")  # not blind
    decision = {"label": LABELS[0]}
    assert place.ask("POST", f"{SUBMISSIONS}/{submitted}/decision", who="cleo", value=decision).status == 200
    data, target = place.collection.pictures.path.parent, tmp_path / "accepted"
    assert main(["serve", "export", "--data", str(data), "-o", str(target), "--quiet"]) == 0
    for table in target.glob("*.csv"):
        assert not [line for line in table.read_text().splitlines() if ",=" in line or line.startswith("=")]


def send(place: Collecting, words: Mapping[str, str], attack: Attack) -> bytes:
    """Send an attack; an unfinished body is followed by nothing."""
    body, target, headers = attack.body, attack.target, dict(attack.headers or {})
    for word, value in words.items():
        body = body.replace(word.encode(), value.encode())
        target = target.replace(word, value)
        headers = {name: text.replace(word, value) for name, text in headers.items()}
    filled = Attack(
        name=attack.name,
        expected=attack.expected,
        method=attack.method,
        target=target,
        headers=headers,
        body=body,
        raw=attack.raw,
    )
    return place.server.send_raw(filled.encode())


def stored(place: Collecting) -> tuple[object, ...]:
    """Return what the collection contains."""
    with place.collection.database.reading() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Submission, Review)]
    return *counts, sorted(path.name for path in place.collection.pictures.path.iterdir())
