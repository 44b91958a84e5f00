"""Read and write TOML files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermpack.errors import TableError
from dermpack.storage.files import read_bytes

MAX_TOML_BYTES = 1 << 20


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file; raise TableError with the position of a syntax error."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # of an extra: not at the top

    data = read_bytes(path, most=MAX_TOML_BYTES, hint="Check the path.")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError as error:  # tomllib calls itself for each bracket
        what = "not valid TOML (values are nested too deeply)"
        raise TableError(path, what, "Correct the syntax.", code="invalid-toml") from error
    except ValueError as error:  # of tomllib, or of a file that is not UTF-8
        what = f"not valid TOML ({error})"
        raise TableError(path, what, "Correct the syntax.", code="invalid-toml") from error


def format_toml(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Return one line per key: format_toml({"size": 160, "dense": [8]}) → "size = 160\\ndense = [8]\\n"."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{key} = {_format_value(value)}" for key, value in values.items())]) + "\n"


def _format_value(value: Any) -> str:
    match value:
        case str() | int() | float():
            # They are written as in JSON, but TOML also requires DEL to be escaped.
            return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(map(_format_value, value))}]"
        case Mapping():
            pairs = (f"{_format_value(str(key))} = {_format_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TypeError(f"{value!r} cannot be written as TOML")
