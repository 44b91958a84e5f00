"""Assign the labels of the requested task to the classes of a source.

`--positive "Eczema Photos"` makes two labels, "Eczema" and "not Eczema": the class name as it is spelled,
without a final "photos", "pictures" or "images". Several positives are joined by " or ", or called as
`--name` says; `--negative-name` names the other label. Without `--negative`, every other class is negative;
with it, only the given ones are. Names match in any case, with or without that last word.

`--map FILE.csv` has the columns class, pattern (optional) and label. The first row that matches a picture
gives its label: class is a class name or * for any, pattern a glob on the file's name in any case, an empty
label leaves the picture out. Classes and pictures without a row are left out and reported, one finding a
class.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dermpack.dataset.blank_cells import is_missing
from dermpack.dataset.views import columns_with_imported_label
from dermpack.errors import InputError, count_noun
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.table_reader import SourceRow, is_single_line, read_table, require_columns

PICTURE_WORDS = (" photos", " pictures", " images")
ANY_CLASS = "*"
MIN_SIMILARITY = 0.75  # of the letters: names of different diagnoses are often somewhat similar
MAX_NAMED = 30
MAX_NAME_CHARACTERS = 80  # of a label: the answers of a model are shown on small screens

LabelOf = Callable[[ListedPicture], str | None]  # None: not part of the task; "": left out on request


def apply_task(listing: Listing, request: SourceRequest) -> Listing:
    """Return the listing with the labels of the requested task; unchanged without one."""
    if request.map_file is not None and (request.positive or request.negative):
        what = "cannot be combined with --positive or --negative"
        raise InputError("--map", what, "Use one or the other.", code="conflicting-options")
    if request.negative and not request.positive:
        hint = "Add --positive with the positive class."
        raise InputError("--negative", "requires --positive", hint, code="missing-option")
    _check_names(request)
    if request.label_column:
        listing = _label_by_column(listing, request.label_column)
    if request.map_file is not None:
        listing = _relabel(listing, _labels_from_map(listing, request.map_file))
        if not listing.pictures:
            what, hint = "no picture gets a label", "Assign a label to at least two classes."
            raise InputError(request.map_file, what, hint, code="map-matches-nothing")
    elif request.positive:
        listing = _relabel(listing, _labels_from_names(listing, request))
    return listing


def _label_by_column(listing: Listing, column: str) -> Listing:
    """Return the listing with the cells of a column as labels, and the labels in place of the column."""
    if column not in listing.columns:
        known = ", ".join(listing.columns)
        hint = f"Choose one of its columns: {known}." if known else "Import a table with such a column."
        raise InputError(f"--label {column}", "the source has no such column", hint, code="unknown-column")
    index = listing.columns.index(column)
    pictures = []
    blank = 0
    for picture in listing.pictures:
        cells = list(picture.metadata)
        label = " ".join(cells[index].split())
        cells[index] = picture.label
        if is_missing(label):
            blank += 1
        else:
            pictures.append(replace(picture, label=label, metadata=tuple(cells)))
    columns = columns_with_imported_label(listing.columns, index)
    what = f"{count_noun(blank, 'picture has', 'pictures have')} no value of {column}; left out"
    findings = [create_finding(OmissionReason.UNMAPPED, "(no value)", what)] if blank else []
    refused = (*listing.refused, *findings)
    return replace(listing, pictures=tuple(pictures), columns=columns, refused=refused)


def _check_names(request: SourceRequest) -> None:
    """Raise InputError if --name or --negative-name cannot name one of the two labels."""
    for option, name in (("--name", request.name), ("--negative-name", request.negative_name)):
        if name and not request.positive:
            hint = "Add --positive with each class to join, or rename classes with --map."
            raise InputError(option, "requires --positive", hint, code="missing-option")
        if name and (name != name.strip() or not is_single_line(name) or len(name) > MAX_NAME_CHARACTERS):
            what = f"must be a single line of at most {MAX_NAME_CHARACTERS} characters"
            raise InputError(option, what, "Give a short name.", code="invalid-option")


def normalize_class(name: str) -> str:
    """Return the name in the form that is compared: normalize_class("Eczema Photos") → "eczema"."""
    return _strip_picture_word(name.casefold())


def _strip_picture_word(name: str) -> str:
    """Return the name without a word for pictures: "Eczema Photos" → "Eczema"."""
    text = " ".join(name.split())
    ending = next((word for word in PICTURE_WORDS if text.casefold().endswith(word)), "")
    return text[: len(text) - len(ending)]


def _relabel(listing: Listing, label_of: LabelOf) -> Listing:
    pictures = []
    unmapped: Counter[str] = Counter()
    omitted = []
    for picture in listing.pictures:
        label = label_of(picture)
        if label is None:
            unmapped[picture.label] += 1
        elif label:
            pictures.append(replace(picture, label=label))
        else:
            what = f"of the class {picture.label}; the map gives it an empty label"
            omitted.append(create_finding(OmissionReason.BY_MAP, picture.path, what))
    what = "pictures that the task does not name; left out"
    findings = [
        create_finding(OmissionReason.UNMAPPED, name, f"has {count} {what}")
        for name, count in sorted(unmapped.items())
    ]
    return replace(listing, pictures=tuple(pictures), refused=(*listing.refused, *findings, *omitted))


def _labels_from_names(listing: Listing, request: SourceRequest) -> LabelOf:
    """Return two labels: the positive classes, and the negative ones or else all others."""
    classes = sorted({picture.label for picture in listing.pictures})
    positives = [_find_class(name, classes, "--positive") for name in request.positive]
    negatives = [_find_class(name, classes, "--negative") for name in request.negative]
    if both := sorted(set(positives) & set(negatives)):
        what = f"{both[0]!r} is also given with --positive"
        hint = "Give each class with one of the two options only."
        raise InputError("--negative", what, hint, code="conflicting-options")
    joined = " or ".join(dict.fromkeys(_strip_picture_word(name) for name in positives))
    label = request.name or joined
    others = set(negatives) if negatives else set(classes) - set(positives)
    other = request.negative_name or f"not {label}"
    if other.casefold() == label.casefold():
        what = f"{other!r} is also the name of the positive class"
        raise InputError("--negative-name", what, "Give two different names.", code="conflicting-options")
    label_of_class = {**dict.fromkeys(others, other), **dict.fromkeys(positives, label)}
    return lambda picture: label_of_class.get(picture.label)


def _find_class(name: str, classes: Sequence[str], where: str) -> str:
    """Return the class with this name, or else the only one with the same normalised name."""
    if name in classes:
        return name
    matching = [known for known in classes if normalize_class(known) == normalize_class(name)]
    if len(matching) == 1:
        return matching[0]
    raise InputError(where, f"unknown class {name!r}", _suggest_class(name, classes), code="unknown-label")


def _suggest_class(name: str, classes: Sequence[str]) -> str:
    class_of_name = {normalize_class(known): known for known in classes}
    if similar := difflib.get_close_matches(normalize_class(name), class_of_name, n=1, cutoff=MIN_SIMILARITY):
        return f"Did you mean {class_of_name[similar[0]]!r}?"
    more = f" and {len(classes) - MAX_NAMED} more" if len(classes) > MAX_NAMED else ""
    return f"Choose from {', '.join(map(repr, classes[:MAX_NAMED]))}{more}."


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRule:
    """One row of a map: what it matches, and the label it gives."""

    row: SourceRow
    name: str  # of a class, normalised
    pattern: str
    label: str

    def matches(self, picture: ListedPicture) -> bool:
        if self.name not in (ANY_CLASS, normalize_class(picture.label)):
            return False
        file_name = picture.path.rpartition("/")[2].casefold()
        return self.pattern == "*" or fnmatch.fnmatchcase(file_name, self.pattern)


def _labels_from_map(listing: Listing, path: Path) -> LabelOf:
    """Return the labels of the first matching rule; a rule that matches nothing is an error."""
    table = read_table(path)
    require_columns(table, "class", "label")
    rules = []
    for row in table.rows:
        rule = MapRule(
            row=row,
            name=normalize_class(table.cell(row, "class")),
            pattern=table.cell(row, "pattern").casefold() or "*",
            label=table.cell(row, "label"),
        )
        if not rule.name or not is_single_line(rule.label):
            raise table.error(row, "the class is empty, or the label contains a control character")
        rules.append(rule)
    # All rows are valid; each of them must also match something.
    classes = sorted({picture.label for picture in listing.pictures})
    known = {normalize_class(each) for each in classes} | {ANY_CLASS}
    for rule in rules:
        if rule.name not in known:
            what = f"unknown class {table.cell(rule.row, 'class')!r}"
            raise table.error(rule.row, what, _suggest_class(rule.name, classes), code="unknown-label")
        if not any(rule.matches(picture) for picture in listing.pictures):
            what = f"the pattern {rule.pattern!r} matches no file name of the class"
            raise table.error(rule.row, what, "Fix the pattern.", code="map-matches-nothing")
    return lambda picture: next((rule.label for rule in rules if rule.matches(picture)), None)
