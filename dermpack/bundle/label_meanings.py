"""What labels mean, in the words of a person: akiec → actinic keratosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dermpack.errors import InputError
from dermpack.reporting.markdown import cell, table

MAX_CHARACTERS = 200
Meanings = Mapping[str, str]  # label → words; labels that nobody described are not in it


def read_meanings(given: Sequence[str], labels: Sequence[str]) -> Meanings:
    """LABEL=WORDS each, of labels that the model has."""
    meanings: dict[str, str] = {}
    for text in given:
        label, _, words = (part.strip() for part in text.partition("="))
        if not words.isprintable() or not 0 < len(words) <= MAX_CHARACTERS:
            what = f"must be LABEL=WORDS in a single line, with at most {MAX_CHARACTERS} characters of words"
            hint = "Write it like --describe mel=melanoma."
            raise InputError(f"--describe {text[:80]!r}", what, hint, code="invalid-option")
        if label not in labels:
            known = ", ".join(labels)
            what, hint = "not a label of this model", f"Choose one of: {known}."
            raise InputError(f"--describe {label[:80]}", what, hint, code="unknown-label")
        if label in meanings:
            what, hint = "the label is described twice", "Describe each label once."
            raise InputError(f"--describe {label}", what, hint, code="invalid-option")
        meanings[label] = words
    return meanings


def meaning_table(labels: Sequence[str], meanings: Meanings) -> Iterator[str]:
    """Every label in the order of the outputs; nothing where none is described."""
    if meanings:
        rows = [(cell(label), cell(meanings.get(label, ""))) for label in labels]
        yield from table(("label", "what it means"), rows, words=2)
