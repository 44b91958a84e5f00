"""Say an option's value as a person would give it."""

from __future__ import annotations

from typing import Any

from dermpack.report.evaluation import NOTHING


def option_text(value: Any) -> str:
    """[] → "none", [4, 8] → "4,8", {"flips": true, "zoom_in": 0.1, "shift": 0} → "flips yes, zoom in 0.1"."""
    match value:
        case None:
            return "all"
        case bool():
            return "yes" if value else "no"
        case {"sha256": str(sha256)}:
            return f"a file, sha256 {sha256[:12]}…"
        case dict():
            given = {name.replace("_", " "): option_text(item) for name, item in value.items() if item}
            return ", ".join(f"{name} {item}" for name, item in given.items()) or "none"
        case list() if value and isinstance(value[0], list):
            return ", ".join(f"{label} {wanted:g}" for label, wanted in value)
        case list():
            return ",".join(map(option_text, value)) or "none"
        case float():
            return f"{value:g}"
    return str(value) or NOTHING
