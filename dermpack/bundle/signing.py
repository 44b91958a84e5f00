"""Write and check Ed25519 signatures of bundles; openssl can check the signature files, too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.errors import InputError, TableError
from dermpack.storage.disk_sync import sync_folder
from dermpack.storage.files import (
    path_exists,
    read_bytes,
    remove_abandoned,
    report_write_errors,
    write_bytes,
    write_files,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX = ".sig"
MAX_KEY_BYTES = 1 << 14
SIGNATURE_BYTES, MAX_SIGNATURES = 64, 8
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


def write_with_signature(output: Path, data: bytes, signature: bytes | None) -> Path | None:
    """Write a bundle and its signature, if any, and return the path of the signature.

    Nothing is removed or replaced before everything is written aside. Two files cannot be renamed in one
    step: between the two, the signature file contains the old and the new signature. So the old or the new
    bundle verifies at every moment, even if the process is killed.
    """
    path = signature_path(output)
    with report_write_errors(output):
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        for each in (output, path):
            remove_abandoned(each)
    if signature is None:
        write_bytes(output, data)
        with report_write_errors(path):
            path.unlink(missing_ok=True)  # an old signature belongs to another bundle
            sync_folder(path.absolute().parent)
        return None
    old = list[bytes]()
    with suppress(TableError):  # not a signature: it is replaced
        old = _read_signatures(path)
    both = b"".join(dict.fromkeys((*old, signature)))
    write_files(*([(path, both)] if old else []), (output, data), (path, signature))
    return path


def check_signature(bundle: bytes, *, where: Path, key: Path) -> None:
    """Check that the owner of the key signed the bundle, and raise InputError otherwise."""
    from cryptography.exceptions import InvalidSignature

    public, path = read_public_key(key), signature_path(where)
    if not path_exists(path):
        what = f"the signature {path.name} does not exist"
        hint = "Get the signature as well, or omit --key."
        raise InputError(where, what, hint, code="signature-not-found")
    for signature in _read_signatures(path):
        with suppress(InvalidSignature):
            public.verify(signature, bundle)
            return
    what = f"the signature does not match the public key {key}"
    raise InputError(where, what, "Do not use this bundle.", code="invalid-signature")


def _read_signatures(path: Path) -> list[bytes]:
    """Return the signatures in a file, or [] if it does not contain any: one, or more after a kill."""
    if not path_exists(path):
        return []
    data = read_bytes(path, most=MAX_KEY_BYTES, hint="Get the signature again.")
    if len(data) % SIGNATURE_BYTES or len(data) > MAX_SIGNATURES * SIGNATURE_BYTES:
        return []
    return [data[start : start + SIGNATURE_BYTES] for start in range(0, len(data), SIGNATURE_BYTES)]
