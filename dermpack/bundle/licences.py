"""Describe a licence by the SPDX name that its text begins with: "CC-BY-4.0; by A. Author"."""

from __future__ import annotations

from dataclasses import dataclass

from dermpack.reporting.markdown import to_one_line

CREATIVE_COMMONS = "https://creativecommons.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceTerms:
    """A known licence, and its conditions for those who embed the model, as Markdown."""

    name: str
    address: str
    conditions: str
    is_noncommercial: bool = False


KNOWN_LICENCES = {
    "CC0-1.0": LicenceTerms(
        name="CC0 1.0",
        address=f"{CREATIVE_COMMONS}/publicdomain/zero/1.0/",
        conditions="It has no conditions.",
    ),
    "CC-BY-4.0": LicenceTerms(
        name="CC BY 4.0",
        address=f"{CREATIVE_COMMONS}/licenses/by/4.0/",
        conditions="Whoever distributes the model must name the authors and the licence.",
    ),
    "CC-BY-NC-4.0": LicenceTerms(
        name="CC BY-NC 4.0",
        address=f"{CREATIVE_COMMONS}/licenses/by-nc/4.0/",
        conditions="**For research and demonstration, not for commerce**: an app that is sold or earns money "
        "must not embed it. Whoever distributes the model must name the authors and the licence.",
        is_noncommercial=True,
    ),
    "Apache-2.0": LicenceTerms(
        name="Apache License 2.0",
        address="https://www.apache.org/licenses/LICENSE-2.0",
        conditions="Whoever distributes the model must include the licence and its notices.",
    ),
    "MIT": LicenceTerms(
        name="MIT License",
        address="https://opensource.org/license/mit",
        conditions="Whoever distributes the model must include the licence.",
    ),
}
ALIASES = {"CC0": "CC0-1.0", **{terms.name: spdx for spdx, terms in KNOWN_LICENCES.items()}}


def find_spdx_name(text: str) -> str:
    """Return the SPDX name of a known licence, or "": "CC-BY-4.0; by A. Author" → "CC-BY-4.0"."""
    name = text.partition(";")[0].strip()
    name = ALIASES.get(name, name)
    return name if name in KNOWN_LICENCES else ""


def licence_source(text: str) -> str:
    """Return who owns the pictures: the text after a known name, or a whole unknown text."""
    return to_one_line(text.partition(";")[2] if find_spdx_name(text) else text)


def licence_name(text: str) -> str:
    """Return the common name and the source in one line: "CC BY 4.0; by A. Author"."""
    spdx = find_spdx_name(text)
    parts = (KNOWN_LICENCES[spdx].name if spdx else "", licence_source(text))
    return "; ".join(filter(None, parts)) or "not stated"
