"""Sign a bundle with Ed25519, beside it, so that openssl can check it too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.bundle.zipping import refused
from dermpack.errors import InputError
from dermpack.files import read_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX = ".sig"
SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 1 << 14
PRIVATE_CURE = "make one: openssl genpkey -algorithm ed25519 -out key.pem"
PUBLIC_CURE = "make one: openssl pkey -in key.pem -pubout -out key.pub.pem"


def signature_path(bundle: Path) -> Path:
    """lesions.zip → lesions.zip.sig"""
    return bundle.with_name(bundle.name + SUFFIX)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key of a PEM file; read before any work is done."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_bytes(path, most=MAX_KEY_BYTES, cure=PRIVATE_CURE)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(path, "is no private key in PEM without a password", PRIVATE_CURE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(path, "is no Ed25519 key", PRIVATE_CURE)
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = read_bytes(path, most=MAX_KEY_BYTES, cure=PUBLIC_CURE)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(path, "is no public key in PEM", PUBLIC_CURE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(path, "is no Ed25519 key", PUBLIC_CURE)
    return key


def check_signature(bundle: bytes, *, where: Path, key: Path) -> None:
    """Refuse a bundle that the key's owner did not sign."""
    from cryptography.exceptions import InvalidSignature

    public, path = read_public_key(key), signature_path(where)
    if not path.is_file():
        raise refused(where, f"has no {path.name} beside it", "get the signature, too, or leave --key out")
    signature = read_bytes(path, most=MAX_KEY_BYTES, cure="get the signature again")
    try:
        public.verify(signature, bundle)
    except InvalidSignature as error:
        raise refused(where, f"was not signed by the owner of {key}", "do not use it") from error
