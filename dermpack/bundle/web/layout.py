"""Lay out a web bundle: the client code, the runtime, and the lists of files that the page compares.

    index.html  style.css  js/  i18n/  icons/  app.webmanifest  site.json     the page
    model/                                     the model, its contract, labels and golden vectors
    vendor/litert/                             the runtime, its WebAssembly files compressed
    files.json  sw.js                          each file with its hash, for the page and for its worker

The client code is copied as it is; only the manifest and site.json get the name of the bundle, and the worker
its list.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from dermpack.bundle.android_module import TEMPLATES
from dermpack.bundle.bundle_record import Bundle
from dermpack.bundle.variants import Variant
from dermpack.bundle.web.runtime import (
    GZIP_ENDING,
    MAX_PACKAGE_BYTES,
    RuntimeLock,
    read_lock,
    shipped_name,
    unpack_gzip,
)
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.contract import TensorType
from dermpack.errors import InputError
from dermpack.reporting.page import render_template, to_one_line
from dermpack.storage.files import format_json, parse_json, sha256_of

CLIENT_FOLDER = Path(__file__).parent
MANIFEST_FILE, WORKER_FILE, LIST_FILE, SITE_FILE = "app.webmanifest", "sw.js", "files.json", "site.json"
PAGE_FILE = "index.html"
CLIENT_FILES = (PAGE_FILE, "style.css", SITE_FILE, "js/**/*.js", "i18n/*.json", "icons/*")
RUNTIME_FOLDER = "vendor/litert"
# The line of the worker that is replaced.
WORKER_LIST = b"const BUNDLE = { version: '', files: {} };\n"
FILLED_LIST = re.compile(rb"^const BUNDLE = \{\n.*?^\};\n", re.DOTALL | re.MULTILINE)
VERSION_DIGITS = 16
# A policy applies to what comes after it, so only the character set may come before.
POLICY = re.compile(
    r"""\A<!doctype html>\s*<html[^<>]*>\s*<head>\s*<meta charset="utf-8">\s*"""
    r"""<meta http-equiv="Content-Security-Policy" content="(?P<policy>[^"]*)">"""
)
# The page never loads these; the lists cannot contain their own hashes.
UNLISTED = (LIST_FILE, WORKER_FILE, SUMS_FILE, "README.md")


def shipped_policy() -> str:
    """Return the Content-Security-Policy of the page, for the headers of a server."""
    return read_policy((CLIENT_FOLDER / PAGE_FILE).read_bytes())


def read_policy(page: bytes) -> str:
    """Return the Content-Security-Policy of a page, or "" if it does not begin with one."""
    found = POLICY.search(page.decode("utf-8", "replace"))
    return found["policy"] if found else ""


def check_types(variant: Variant) -> None:
    """Check that LiteRT.js can feed and read the model, or raise InputError."""
    contract = variant.contract
    for name, record in (*contract.inputs.items(), *contract.outputs.items()):
        if record.dtype is TensorType.INT8:
            what = f"{name} is int8, and LiteRT.js supports only uint8 and float32 inputs and outputs"
            hint = "Convert the model with uint8 inputs and outputs, or use --format module."
            raise InputError(variant.where, what, hint, code="web-type-unsupported")


def lay_out_page(bundle: Bundle) -> dict[str, bytes]:
    """Return the client code: it follows from this version of dermpack and the name of the bundle."""
    paths = sorted({path for pattern in CLIENT_FILES for path in CLIENT_FOLDER.glob(pattern)})
    files = {path.relative_to(CLIENT_FOLDER).as_posix(): path.read_bytes() for path in paths}
    manifest = parse_json((CLIENT_FOLDER / MANIFEST_FILE).read_bytes())
    manifest |= {"name": bundle.name, "short_name": bundle.name}
    files[MANIFEST_FILE] = format_json(manifest).encode()
    files[SITE_FILE] = format_json({**parse_json(files[SITE_FILE]), "name": bundle.name}).encode()
    files[WORKER_FILE] = (CLIENT_FOLDER / WORKER_FILE).read_bytes()  # `seal_site` fills its list
    return files


def lay_out_runtime(lock: RuntimeLock, runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the runtime with licence, notice and version."""
    notice = render_template(TEMPLATES / "litert.NOTICE.j2", {"lock": lock}, escape=to_one_line)
    files = {
        **runtime,
        "LICENSE": (TEMPLATES / "LICENSE").read_bytes(),
        "NOTICE": notice.encode(),
        "VERSION": f"{lock.version}\n".encode(),
    }
    return {f"{RUNTIME_FOLDER}/{name}": data for name, data in files.items()}


def seal_site(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with files.json and sw.js, which list them; older ones are replaced.

    Whoever adds or changes a file of a site afterwards seals it again.
    """
    sealed = {name: data for name, data in files.items() if name != LIST_FILE}
    listed = {name: data for name, data in sorted(sealed.items()) if name not in UNLISTED}
    sealed[LIST_FILE] = format_json({name: sha256_of(data) for name, data in listed.items()}).encode()
    listed[LIST_FILE] = sealed[LIST_FILE]
    integrity = {name: _list_integrity(name, data) for name, data in sorted(listed.items())}
    version = sha256_of(format_json(integrity).encode())[:VERSION_DIGITS]
    record = format_json({"version": version, "files": integrity}).rstrip()
    worker = empty_worker(files[WORKER_FILE])
    sealed[WORKER_FILE] = worker.replace(WORKER_LIST, f"const BUNDLE = {record};\n".encode())
    return sealed


def empty_worker(worker: bytes) -> bytes:
    """Return the source of a worker: without the list of files."""
    return FILLED_LIST.sub(WORKER_LIST, worker, count=1)


def _list_integrity(name: str, data: bytes) -> str:
    """Return what the worker accepts: for a file stored with gzip also its content, which some servers send.

    Such a server sends a .gz file with "Content-Encoding: gzip", and the browser unpacks it.
    """
    # Only the known names: a hostile bundle could have thousands of small files that unpack to large ones.
    known = {f"{RUNTIME_FOLDER}/{shipped_name(locked)}" for locked in read_lock().files}
    is_packed = name.endswith(GZIP_ENDING) and name in known
    content = unpack_gzip(data, most=MAX_PACKAGE_BYTES) if is_packed else None
    accepted = (data,) if content is None else (data, content)
    return " ".join(map(format_integrity, accepted))


def format_integrity(data: bytes) -> str:
    """Return the hash as browsers compare it: "sha256-" and base64."""
    return f"sha256-{base64.b64encode(hashlib.sha256(data).digest()).decode()}"
