"""Read a TOML file that a person wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dermpack.errors import TableError
from dermpack.storage.files import cannot_read

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20


def read_toml(path: Path) -> dict[str, Any]:
    """Its values, or an error that says where it is broken."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(path, "larger than 1 MiB", "Check the path.", code="file-too-large")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise cannot_read(path, error) from error
    except ValueError as error:  # tomllib's own error, and that of a file that is no text
        raise TableError(
            path, f"not valid TOML ({error})", "Correct the syntax.", code="invalid-toml"
        ) from error
