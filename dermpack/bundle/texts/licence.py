"""Say what a licence asks, by the SPDX name that its text begins with."""

from __future__ import annotations

from dataclasses import dataclass

from dermpack.reporting.markdown import cell, one_line

UNSTATED = "Not stated by the dataset that it was trained on: ask whose the pictures are before you ship it."
CREATIVE_COMMONS = "https://creativecommons.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceTerms:
    """One known licence; `asks` is what somebody who embeds the model must keep to."""

    name: str
    address: str
    asks: str


KNOWN = {
    "CC0-1.0": LicenceTerms(
        name="CC0 1.0", address=f"{CREATIVE_COMMONS}/publicdomain/zero/1.0/", asks="It asks nothing."
    ),
    "CC-BY-4.0": LicenceTerms(
        name="CC BY 4.0",
        address=f"{CREATIVE_COMMONS}/licenses/by/4.0/",
        asks="Whoever passes the model on names the authors and the licence.",
    ),
    "CC-BY-NC-4.0": LicenceTerms(
        name="CC BY-NC 4.0",
        address=f"{CREATIVE_COMMONS}/licenses/by-nc/4.0/",
        asks="**For research and demonstration, not for commerce**: no app that is sold or earns money may "
        "embed it. Whoever passes the model on names the authors and the licence.",
    ),
    "Apache-2.0": LicenceTerms(
        name="Apache License 2.0",
        address="https://www.apache.org/licenses/LICENSE-2.0",
        asks="Whoever passes the model on keeps the licence and its notices.",
    ),
    "MIT": LicenceTerms(
        name="MIT License",
        address="https://opensource.org/license/mit",
        asks="Whoever passes the model on keeps the licence.",
    ),
}
ALSO_CALLED = {"CC0": "CC0-1.0", **{of.name: spdx for spdx, of in KNOWN.items()}}


def spdx_of(text: str) -> str:
    """The SPDX name, or "": "CC-BY-4.0; by A. Author" → "CC-BY-4.0"."""
    name = text.partition(";")[0].strip()
    name = ALSO_CALLED.get(name, name)
    return name if name in KNOWN else ""


def source_of(text: str) -> str:
    """What stands behind the name, or all of a text that begins with none: whose the pictures are."""
    return one_line(text.partition(";")[2] if spdx_of(text) else text)


def licence_name(text: str) -> str:
    """As a person says it, with what follows the name; one line."""
    spdx = spdx_of(text)
    parts = (KNOWN[spdx].name if spdx else "", source_of(text))
    return "; ".join(filter(None, parts)) or "not stated"


def licence_lines(text: str) -> tuple[str, ...]:
    """Sentences for a reader, as Markdown."""
    if not text.strip():
        return (UNSTATED,)
    spdx, source = spdx_of(text), source_of(text)
    if not spdx:
        return (f"That of the pictures it was trained on: {cell(source)}.",)
    of = KNOWN[spdx]
    return (f"[{of.name}]({of.address}), that of the pictures it was trained on. {of.asks}", cell(source))
