"""Read TOML files written by users, and format plain values as TOML."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermpack.errors import TableError
from dermpack.storage.files import read_error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file; raise TableError with the position of a syntax error."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(path, "larger than 1 MiB", "Check the path.", code="file-too-large")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise read_error(path, error) from error
    except ValueError as error:  # of tomllib, or of a file that is not UTF-8
        what = f"not valid TOML ({error})"
        raise TableError(path, what, "Correct the syntax.", code="invalid-toml") from error


def format_toml(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Return one line per key: format_toml({"size": 160, "dense": [8]}) → "size = 160\\ndense = [8]\\n"."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{key} = {_format_value(value)}" for key, value in values.items())]) + "\n"


def _format_value(value: Any) -> str:
    match value:
        case bool():  # before int, of which bool is a subclass
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _format_string(value)
        case list() | tuple():
            return f"[{', '.join(map(_format_value, value))}]"
        case Mapping():
            pairs = (f"{_format_string(str(key))} = {_format_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TypeError(f"{value!r} cannot be written as TOML")


def _format_string(text: str) -> str:
    # The escapes of JSON are valid in TOML, which also requires DEL to be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
