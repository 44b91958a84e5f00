"""Write plain values as TOML, as far as a recipe needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_text(values: Mapping[str, Any], *, comment: str = "") -> str:
    """A line a key: toml_text({"size": 160, "dense": [8]}) → "size = 160\\ndense = [8]\\n"."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{key} = {_value(value)}" for key, value in values.items())]) + "\n"


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            pairs = (f"{_string(str(key))} = {_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TypeError(f"{value!r} cannot be written as TOML")


def _string(text: str) -> str:
    """JSON's escapes are TOML's too; other control characters TOML wants escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
