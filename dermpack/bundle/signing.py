"""Read keys and check Ed25519 signatures of bundles; openssl can check the signature files, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.errors import InputError
from dermpack.storage.files import read_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX = ".sig"
MAX_KEY_BYTES = 1 << 14
PRIVATE_HINT = "Create one with: openssl genpkey -algorithm ed25519 -out key.pem"
PUBLIC_HINT = "Create one with: openssl pkey -in key.pem -pubout -out key.pub.pem"


def signature_path(bundle: Path) -> Path:
    """Return the path of the signature file: lesions.zip → lesions.zip.sig."""
    return bundle.with_name(bundle.name + SUFFIX)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 private key from a PEM file without a password."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_bytes(path, most=MAX_KEY_BYTES, hint=PRIVATE_HINT)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = "not a private key in PEM format without a password"
        raise InputError(path, what, PRIVATE_HINT, code="invalid-key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(path, "not an Ed25519 key", PRIVATE_HINT, code="invalid-key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key from a PEM file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = read_bytes(path, most=MAX_KEY_BYTES, hint=PUBLIC_HINT)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(path, "not a public key in PEM format", PUBLIC_HINT, code="invalid-key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(path, "not an Ed25519 key", PUBLIC_HINT, code="invalid-key")
    return key


def check_signature(bundle: bytes, *, where: Path, key: Path) -> None:
    """Check that the owner of the key signed the bundle, and raise InputError otherwise."""
    from cryptography.exceptions import InvalidSignature

    public, path = read_public_key(key), signature_path(where)
    if not path.is_file():
        what = f"the signature {path.name} does not exist"
        hint = "Get the signature as well, or omit --key."
        raise InputError(where, what, hint, code="signature-not-found")
    signature = read_bytes(path, most=MAX_KEY_BYTES, hint="Get the signature again.")
    try:
        public.verify(signature, bundle)
    except InvalidSignature as error:
        what = f"the signature does not match the public key {key}"
        raise InputError(where, what, "Do not use this bundle.", code="invalid-signature") from error
