"""Know every file of a bundle by its sha256."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dermpack.bundle.zip_archive import AGAIN, NOT_OURS, refused
from dermpack.errors import TableError
from dermpack.storage.files import sha256_of

SUMS_FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  ([ -~]+)\Z")


def sums_text(files: Mapping[str, bytes]) -> str:
    """A line a file, as sha256sum -c reads them."""
    return "".join(
        f"{sha256_of(data)}  {name}\n" for name, data in sorted(files.items()) if name != SUMS_FILE
    )


def check_sums(files: Mapping[str, bytes], *, where: object) -> None:
    """Refuse files that are missing, too many or changed; only then is anything else of them believed."""
    if SUMS_FILE not in files:
        raise refused(where, f"contains no {SUMS_FILE}", NOT_OURS)
    said = _read(files[SUMS_FILE], where)
    found = {name: sha256_of(data) for name, data in files.items() if name != SUMS_FILE}
    for what, names in (
        ("missing files", said.keys() - found.keys()),
        (f"files that {SUMS_FILE} does not list", found.keys() - said.keys()),
        ("changed files", {name for name in said.keys() & found.keys() if said[name] != found[name]}),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise refused(where, f"{what}: {min(names)}{more}")


def _read(data: bytes, where: object) -> dict[str, str]:
    try:
        lines = [LINE.match(line) for line in data.decode("ascii").splitlines()]
    except UnicodeDecodeError:
        lines = [None]
    named = {match[2]: match[1] for match in lines if match}
    if len(named) != len(lines):
        raise TableError(where, f"{SUMS_FILE} is malformed", AGAIN, code="invalid-bundle")
    return named
