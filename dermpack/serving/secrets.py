"""Secrets that are shown once and stored as hashes: tokens of people, and codes for a withdrawal."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.requests import HTTPConnection

TOKEN_PREFIX = "dp_"  # lets scanners of leaked secrets recognise it
SECRET_BYTES = 32
MAX_CHARACTERS = 128  # of a secret that is compared


def new_token() -> str:
    """Return a random token; only its hash is stored."""
    return TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret; it is random, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_secret(secret: str, stored_hash: str) -> bool:
    """Return whether a secret has the stored hash, in a time that does not depend on where they differ."""
    return len(secret) <= MAX_CHARACTERS and hmac.compare_digest(hash_secret(secret), stored_hash)


def read_bearer(request: HTTPConnection) -> str | None:
    """Return the token in the Authorization header, or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if kind.lower() == "bearer" and 0 < len(token) <= MAX_CHARACTERS else None
