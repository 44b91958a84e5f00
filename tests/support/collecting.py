"""A live server with a collection, people with tokens, and pictures as a browser sends them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from dermpack.serving.collection.database import Submission
from dermpack.serving.collection.people import PersonRole, add_person
from dermpack.serving.collection.store import Collection
from dermpack.serving.guard import BODY_SECONDS
from dermpack.serving.settings import CollectionSettings, ServerSettings
from tests.support.live_server import LiveServer, Reply, live_server

BOUNDARY = "dermpack-test-boundary"
PEOPLE = {"ann": PersonRole.REVIEWER, "ben": PersonRole.REVIEWER, "cleo": PersonRole.CURATOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting:
    """The server, and the tokens of its people."""

    server: LiveServer
    collection: Collection
    tokens: Mapping[str, str]

    def ask(self, method: str, path: str, *, who: str = "", value: Any = None) -> Reply:
        """Send a request with the token of a person and a JSON body."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        body = None
        if value is not None:
            body, headers["Content-Type"] = json.dumps(value).encode(), "application/json"
        return self.server.ask(method, path, body, headers)

    def submit(self, data: bytes, *, path: str = "/api/v1/submissions", **fields: str) -> Reply:
        """Send a picture with the current consent, unless the fields have another."""
        values = {"consent": self.collection.consent.version, **fields}
        body, kind = multipart(values, data)
        return self.server.ask("POST", path, body, {"Content-Type": kind})

    def review(self, who: str, submission_id: str, label: str, **fields: Any) -> Reply:
        """Send the review of a person."""
        value = {"label": label, "confidence": 4, **fields}
        return self.ask("PUT", f"/api/v1/submissions/{submission_id}/review", who=who, value=value)

    def stored(self, submission_id: str) -> Submission | None:
        """Return the row of a submission."""
        with self.collection.database.reading() as session:
            return session.get(Submission, submission_id)


@contextmanager
def collecting(
    export: Path,
    data: Path,
    *,
    people: Sequence[str] = tuple(PEOPLE),
    body_seconds: float = BODY_SECONDS,
    public_url: str | None = None,
    **settings: Any,
) -> Iterator[Collecting]:
    """Yield a server that collects into the folder."""
    wanted = CollectionSettings(data=data, **{"submissions_per_hour": None, **settings})
    served = ServerSettings(port=0, public_url=public_url, collection=wanted)
    with live_server(export, served, body_seconds=body_seconds) as server:
        collection = server.services.collection
        assert isinstance(collection, Collection)
        tokens = {name: add_person(collection.database, name, PEOPLE[name]) for name in people}
        yield Collecting(server=server, collection=collection, tokens=tokens)


def multipart(fields: Mapping[str, str], picture: bytes, *, name: str = "IMG_0815.jpg") -> tuple[bytes, str]:
    """Return the body of a form with a file, and its media type."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="picture"; filename="{name}"\r\n'
    parts.append(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + picture)
    return b"".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def photograph(
    seed: int, form: str = "JPEG", *, orientation: int = 1, size: tuple[int, int] = (60, 44)
) -> bytes:
    """Return a noisy picture with metadata of a camera; orientation 0 is none at all."""
    noise = random.Random(seed).randbytes(size[0] * size[1] * 3)
    image, file, exif = Image.frombytes("RGB", size, noise), BytesIO(), Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SECRETCAMERA"
    exif.get_ifd(0x8825)[1] = "N"
    has_exif = form in ("JPEG", "PNG", "WEBP") and orientation > 0
    image.save(file, form, **({"exif": exif} if has_exif else {}))
    return file.getvalue()
