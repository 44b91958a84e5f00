"""Make the asked task of the classes that a source has.

`--positive "Eczema Photos"` makes two labels, "Eczema" and "not Eczema": the class name as it is spelled,
without a final "photos", "pictures" or "images". Several positives are joined by " or ". Without
`--negative`, every other class is negative; with it, only the named ones are. Names are matched in any
case, with or without that last word.

`--map FILE.csv` has the columns class, pattern (optional) and label. The first row that fits a picture
gives its label: class is a class name or * for any, pattern a glob on the file's name in any case, an empty
label leaves the picture out. Classes and pictures without a row are left out and reported, one finding a
class.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError, TableError
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.omission import OmissionReason, refused
from trainer.datasets.layouts.source_request import SourceRequest
from trainer.datasets.layouts.table_reader import is_one_line, need, read_table

WORDS_FOR_PICTURES = (" photos", " pictures", " images")
ANY_CLASS = "*"
NEAR = 0.75  # of the letters: a diagnosis that is only somewhat alike is another diagnosis
MOST_NAMED = 30

LabelOf = Callable[[ListedPicture], str | None]  # None: nobody asked for the picture; "": left out as asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of a map: what it fits, and the label it gives."""

    place: str
    written: str  # the name of a class
    name: str  # the same, in the plain spelling
    pattern: str
    label: str


def apply_task(listing: Listing, request: SourceRequest) -> Listing:
    """The listing under the asked labels; unchanged where no task was asked."""
    _refuse_unclear(request)
    if request.map_file is not None:
        listing = _relabelled(listing, by_map(listing, request.map_file))
        if not listing.pictures:
            what, hint = "no picture gets a label", "Assign a label to at least two classes."
            raise InputError(request.map_file, what, hint, code="map-matches-nothing")
        return listing
    if request.positive:
        return _relabelled(listing, by_names(listing, request.positive, request.negative))
    return listing


def by_names(listing: Listing, positive: tuple[str, ...], negative: tuple[str, ...]) -> LabelOf:
    """Two labels from class names: the positive ones, and the negative ones or all others."""
    classes = _classes(listing.pictures)
    positives = [_matching(name, classes, "--positive") for name in positive]
    negatives = [_matching(name, classes, "--negative") for name in negative]
    both = sorted(set(positives) & set(negatives))
    if both:
        what = f"{both[0]!r} is also given with --positive"
        hint = "Give each class with one of the two options only."
        raise InputError("--negative", what, hint, code="conflicting-options")
    label = " or ".join(dict.fromkeys(as_label(name) for name in positives))
    others = set(negatives) if negatives else set(classes) - set(positives)
    label_of = {**dict.fromkeys(others, f"not {label}"), **dict.fromkeys(positives, label)}
    return lambda picture: label_of.get(picture.label)


def by_map(listing: Listing, path: Path) -> LabelOf:
    """Labels from the first fitting row of a map; a row that fits nothing is an error."""
    rules = _rules(path)
    _refuse_idle(rules, listing)

    def label_of(picture: ListedPicture) -> str | None:
        return next((rule.label for rule in rules if _fits(rule, picture)), None)

    return label_of


def as_label(name: str) -> str:
    """The name without a word for pictures: as_label("Eczema Photos") → "Eczema"."""
    text = " ".join(name.split())
    ending = next((word for word in WORDS_FOR_PICTURES if text.casefold().endswith(word)), "")
    return text[: len(text) - len(ending)]


def plain(name: str) -> str:
    """The name in whatever spelling: plain("Eczema Photos") → "eczema"."""
    return as_label(name.casefold())


def _refuse_unclear(request: SourceRequest) -> None:
    if request.map_file is not None and (request.positive or request.negative):
        what = "cannot be combined with --positive or --negative"
        raise InputError("--map", what, "Use one or the other.", code="conflicting-options")
    if request.negative and not request.positive:
        hint = "Add --positive with the positive class."
        raise InputError("--negative", "requires --positive", hint, code="missing-option")


def _classes(pictures: Iterable[ListedPicture]) -> tuple[str, ...]:
    return tuple(sorted({picture.label for picture in pictures}))


def _matching(name: str, classes: tuple[str, ...], where: str) -> str:
    """The class that the name means: itself, or else the one with its plain spelling."""
    if name in classes:
        return name
    fitting = [known for known in classes if plain(known) == plain(name)]
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(where, f"unknown class {name!r}", _nearest(name, classes), code="unknown-label")


def _nearest(name: str, classes: tuple[str, ...]) -> str:
    spelled = {plain(known): known for known in classes}
    near = difflib.get_close_matches(plain(name), list(spelled), n=1, cutoff=NEAR)
    if near:
        return f"Did you mean {spelled[near[0]]!r}?"
    more = f" and {len(classes) - MOST_NAMED} more" if len(classes) > MOST_NAMED else ""
    return f"Choose from {', '.join(map(repr, classes[:MOST_NAMED]))}{more}."


def _rules(path: Path) -> tuple[Rule, ...]:
    table = read_table(path)
    name, label, pattern = need(table, "class"), need(table, "label"), table.position("pattern")
    rules = []
    for row in table.rows:
        glob = row.cells[pattern] if pattern is not None else ""
        rule = Rule(
            place=table.place(row),
            written=row.cells[name],
            name=plain(row.cells[name]),
            pattern=glob.casefold() or "*",
            label=row.cells[label],
        )
        if not rule.name or not is_one_line(rule.label):
            what = "the class is empty, or the label contains a control character"
            raise TableError(rule.place, what, "Fix the line.", code="invalid-table")
        rules.append(rule)
    return tuple(rules)


def _fits(rule: Rule, picture: ListedPicture) -> bool:
    if rule.name not in (ANY_CLASS, plain(picture.label)):
        return False
    name = picture.path.rpartition("/")[2].casefold()
    return rule.pattern == "*" or fnmatch.fnmatchcase(name, rule.pattern)


def _refuse_idle(rules: tuple[Rule, ...], listing: Listing) -> None:
    classes = _classes(listing.pictures)
    known = {plain(name) for name in classes} | {ANY_CLASS}
    for rule in rules:
        if rule.name not in known:
            hint = _nearest(rule.name, classes)
            raise TableError(rule.place, f"unknown class {rule.written!r}", hint, code="unknown-label")
        if not any(_fits(rule, picture) for picture in listing.pictures):
            what = f"the pattern {rule.pattern!r} matches no file name of the class"
            raise TableError(rule.place, what, "Fix the pattern.", code="map-matches-nothing")


def _relabelled(listing: Listing, label_of: LabelOf) -> Listing:
    labels = [(picture, label_of(picture)) for picture in listing.pictures]
    return replace(
        listing,
        pictures=tuple(replace(picture, label=label) for picture, label in labels if label),
        refused=(*listing.refused, *_unmapped(picture for picture, label in labels if label is None)),
    )


def _unmapped(pictures: Iterable[ListedPicture]) -> Iterable[Finding]:
    for name, count in sorted(Counter(picture.label for picture in pictures).items()):
        yield refused(
            OmissionReason.UNMAPPED, name, f"has {count} pictures that the task does not name; left out"
        )
