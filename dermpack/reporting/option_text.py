"""Say an option's value as a person would give it."""

from __future__ import annotations

from typing import Any

NOTHING = "–"

WITHOUT_LIMIT = ("fine_tune",)  # options of which nothing given means all


def option_text(name: str, value: Any) -> str:
    """[] → "none", [4, 8] → "4,8", {"flips": true, "zoom_in": 0.1, "shift": 0} → "flips yes, zoom in 0.1"."""
    match value:
        case None:
            return "all" if name in WITHOUT_LIMIT else "none"
        case bool():
            return "yes" if value else "no"
        case {"sha256": str(sha256)}:
            return f"a file, sha256 {sha256[:12]}…"
        case dict():
            given = {part.replace("_", " "): option_text(part, item) for part, item in value.items() if item}
            return ", ".join(f"{part} {item}" for part, item in given.items()) or "none"
        case list() if value and isinstance(value[0], list):
            return ", ".join(f"{label} {wanted:g}" for label, wanted in value)
        case list():
            return ",".join(option_text(name, item) for item in value) or "none"
        case float():
            return f"{value:g}"
    return str(value) or NOTHING
