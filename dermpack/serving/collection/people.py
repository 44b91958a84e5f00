"""People with tokens and roles, and the browsers in which they have signed in.

Secrets are shown once and stored as hashes: tokens, cookies, and the codes for a withdrawal.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from http import HTTPStatus

from sqlalchemy import delete, select
from starlette.requests import HTTPConnection

from dermpack.errors import InputError
from dermpack.serving.collection.database import Database, Person, SignIn, log, now
from dermpack.serving.problems import RequestError

MAX_NAME_CHARACTERS = 80
TOKEN_PREFIX = "dp_"  # lets scanners of leaked secrets recognise it
SECRET_BYTES = 32
MAX_SECRET_CHARACTERS = 128  # that are compared
SIGN_IN_HOURS = 12


class PersonRole(Enum):
    """What a person may do: a curator may do everything that a reviewer may."""

    REVIEWER = "reviewer"
    CURATOR = "curator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person who has identified themselves."""

    id: int
    name: str
    role: PersonRole

    @property
    def is_curator(self) -> bool:
        return self.role is PersonRole.CURATOR

    def require(self, role: PersonRole) -> None:
        """Raise RequestError unless the person has the role."""
        if role is not self.role and not self.is_curator:
            what, hint = f"only for a {role.value}", "Ask the person who runs this server."
            status = HTTPStatus.FORBIDDEN
            raise RequestError("token", what, hint, code="not-allowed", status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A line of `dermpack serve people list`."""

    name: str
    role: str
    added: str
    revoked: str | None


def cookie_name(*, is_public: bool) -> str:
    """Return the name of the cookie of a sign-in; a public server accepts no other one."""
    # A browser keeps a cookie of this prefix only if it is Secure, without Domain and with Path=/.
    return "__Host-dermpack" if is_public else "dermpack"


def add_person(database: Database, name: str, role: PersonRole) -> str:
    """Add a person and return the token, which cannot be shown again."""
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        what = f"must be a single line of at most {MAX_NAME_CHARACTERS} characters"
        raise InputError(f"NAME {name}", what, "Give a short name.", code="invalid-option")
    token = new_token()
    with database.writing() as session:
        if session.scalar(select(Person).where(Person.name == name)) is not None:
            what, hint = (
                "this person exists already",
                "Choose another name; names of revoked people stay taken.",
            )
            raise InputError(name, what, hint, code="person-exists")
        session.add(Person(name=name, role=role.value, token_sha256=hash_secret(token), added=now()))
        log(session, "person-added", person=name)
    return token


def list_people(database: Database) -> tuple[PersonRecord, ...]:
    """Return everybody who was ever added, in this order."""
    with database.reading() as session:
        return tuple(
            PersonRecord(name=person.name, role=person.role, added=person.added, revoked=person.revoked)
            for person in session.scalars(select(Person).order_by(Person.id))
        )


def revoke_person(database: Database, name: str) -> None:
    """End the token and the open sign-ins of a person; the reviews stay."""
    with database.writing() as session:
        person = session.scalar(select(Person).where(Person.name == name, Person.revoked.is_(None)))
        if person is None:
            what, hint = "no such person with a valid token", 'See "dermpack serve people list".'
            raise InputError(name, what, hint, code="person-not-found")
        # The row stays, because reviews refer to it.
        person.revoked = now()
        session.execute(delete(SignIn).where(SignIn.person_id == person.id))
        log(session, "person-revoked", person=name)


def find_by_token(database: Database, token: str) -> Identity | None:
    """Return who has the token, unless it is unknown or revoked."""
    with database.reading() as session:
        person = session.scalar(
            select(Person).where(Person.token_sha256 == hash_secret(token), Person.revoked.is_(None))
        )
        return _identity(person)


def find_by_cookie(database: Database, cookie: str) -> Identity | None:
    """Return who has signed in in the browser with the cookie, unless the sign-in has ended."""
    with database.reading() as session:
        signed_in = session.get(SignIn, hash_secret(cookie))
        is_valid = signed_in is not None and signed_in.expires > now()
        return _identity(signed_in.person) if is_valid and signed_in is not None else None


def sign_in(database: Database, token: str) -> str:
    """Return the value of a new cookie for the person with the token, or raise RequestError."""
    identity = find_by_token(database, token)
    if identity is None:
        raise unauthorized_error()
    cookie = secrets.token_urlsafe(SECRET_BYTES)
    expires = datetime.now(timezone.utc) + timedelta(hours=SIGN_IN_HOURS)
    with database.writing() as session:
        # Times of one form and zone are ordered as text.
        session.execute(delete(SignIn).where(SignIn.expires <= now()))
        session.add(
            SignIn(
                cookie_sha256=hash_secret(cookie),
                person_id=identity.id,
                expires=expires.isoformat(timespec="seconds"),
            )
        )
        log(session, "signed-in", person=identity.name)
    return cookie


def sign_out(database: Database, cookie: str) -> None:
    """End the sign-in of a browser."""
    with database.writing() as session:
        session.execute(delete(SignIn).where(SignIn.cookie_sha256 == hash_secret(cookie)))


def unauthorized_error() -> RequestError:
    """Return the error for a token that is missing, unknown or revoked."""
    what, hint = "missing, unknown or revoked", 'Get one with "dermpack serve people add".'
    status, headers = HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}
    return RequestError("token", what, hint, code="not-signed-in", status=status, headers=headers)


def new_token() -> str:
    """Return a random token; only its hash is stored."""
    return TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret; it is random, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_secret(secret: str, stored_hash: str) -> bool:
    """Return whether a secret has the stored hash, in a time that does not depend on where they differ."""
    return len(secret) <= MAX_SECRET_CHARACTERS and hmac.compare_digest(hash_secret(secret), stored_hash)


def read_bearer(request: HTTPConnection) -> str | None:
    """Return the token in the Authorization header, or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if kind.lower() == "bearer" and 0 < len(token) <= MAX_SECRET_CHARACTERS else None


def _identity(person: Person | None) -> Identity | None:
    if person is None or person.revoked is not None:
        return None
    return Identity(id=person.id, name=person.name, role=PersonRole(person.role))
