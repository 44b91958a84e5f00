"""What labels mean, in the words of a person: akiec → actinic keratosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dermpack.errors import InputError
from dermpack.report.markdown import cell, table

MAX_CHARACTERS = 200
Meanings = Mapping[str, str]  # label → words; labels that nobody described are not in it


def read_meanings(given: Sequence[str], labels: Sequence[str]) -> Meanings:
    """LABEL=WORDS each, of labels that the model has."""
    meanings: dict[str, str] = {}
    for text in given:
        label, _, words = (part.strip() for part in text.partition("="))
        if not words.isprintable() or not 0 < len(words) <= MAX_CHARACTERS:
            cure = f"write --describe mel=melanoma, in at most {MAX_CHARACTERS} characters"
            raise InputError(f"--describe {text[:80]!r}", "is no LABEL=WORDS in one line", cure)
        if label not in labels:
            known = ", ".join(labels)
            raise InputError(
                f"--describe {label[:80]}", "is no label of this model", f"choose one of: {known}"
            )
        if label in meanings:
            raise InputError(f"--describe {label}", "is given twice", "describe each label once")
        meanings[label] = words
    return meanings


def meaning_table(labels: Sequence[str], meanings: Meanings) -> Iterator[str]:
    """Every label in the order of the outputs; nothing where none is described."""
    if meanings:
        rows = [(cell(label), cell(meanings.get(label, ""))) for label in labels]
        yield from table(("label", "what it means"), rows, words=2)
