"""Generate the Java constants for the patient metadata of a model: its fields, ranges and categories."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence

from dermpack.contract import MetadataColumn, NumericColumn

FIELDS_CLASS = "MetadataFields"
TEMPLATE = """package dermpack.bundle;

/** The fields of what this model may know about a patient: names, ranges and categories, as in model.json. */
public final class {name} {{
    private {name}() {{}}

{constants}
}}
"""


def format_metadata_fields(columns: Sequence[MetadataColumn]) -> dict[str, bytes]:
    """Return the Java file with the constants, or nothing for a model without metadata.

    A field "sex" with the category "female" → SEX = "sex", SEX_FEMALE = "female".
    """
    if not columns:
        return {}
    used: set[str] = set()
    lines = []
    for kind, wanted, value in _constants(columns):
        # Two categories may differ only in characters that a name cannot have.
        name, number = wanted, 2
        while name in used:
            name, number = f"{wanted}_{number}", number + 1
        used.add(name)
        lines.append(f"    public static final {kind} {name} = {value};")
    source = TEMPLATE.format(name=FIELDS_CLASS, constants="\n".join(lines))
    return {f"{FIELDS_CLASS}.java": source.encode()}


def _constants(columns: Sequence[MetadataColumn]) -> Iterator[tuple[str, str, str]]:
    """Yield type, name and value of each constant."""
    for column in columns:
        field = constant_name(column.name)
        yield "String", field, json.dumps(column.name)
        if isinstance(column, NumericColumn):
            yield "double", f"{field}_MINIMUM", repr(column.minimum)
            yield "double", f"{field}_MAXIMUM", repr(column.maximum)
        else:
            for category in column.categories:
                yield "String", f"{field}_{constant_name(category)}", json.dumps(category)


def constant_name(text: str) -> str:
    """Return the name of a constant: "lower extremity" → LOWER_EXTREMITY, "5 mm" → N5_MM."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain)
    name = "_".join(words).upper() or "VALUE"
    return f"N{name}" if name[0].isdigit() else name
