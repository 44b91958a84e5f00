"""Describe skin types and other columns that several annotators filled in: distribution and agreement."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from dermpack.dataset.manifest import Dataset
from dermpack.metrics.skin_types import (
    SKIN_TYPE_GROUPS,
    SKIN_TYPES,
    group_skin_type,
    is_skin_type_column,
    parse_skin_type,
)
from dermpack.reporting.page import Block, Callout, Level, Section, Table
from dermpack.reporting.plots import MAX_LABEL, plot_height, plot_image, stacked_bar_plot
from trainer.datasets.exploration.columns import MISSING, Column

MAX_PAIRS = 15  # of the annotators of one question: those of six
MAX_ANSWERS = 20  # different ones; a column with more has names or free text
FEW_DARK = 0.1  # of the pictures with a known skin type
SKIN_TYPE_QUESTION = "skin type"
MONK_TONES = tuple(map(str, range(1, 11)))
MONK_COLUMN = re.compile(r"(?!.*gradable).*monk.*", re.IGNORECASE)
WHOLE_NUMBER = re.compile(r"\A(\d+)\.0+\Z")
# "dermatologist_diagnosis_2", "rater1": the same question, answered by annotators with numbers.
NUMBERED_COLUMN = re.compile(
    r"(.*(?:annotator|rater|grader|reader|reviewer|expert|doctor|dermatologist|physician).*?)_?\d+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two annotators gave the same answer; a group of pictures with equal answers counts once."""

    first: str
    second: str
    n: int  # groups that both annotated
    same: float  # share of them
    within_one: float | None  # share with answers that differ by at most one step; None without an order
    kappa: float | None  # weighted by the squared difference if there is an order; None if it is undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedQuestion:
    """The answers of one or more annotators to a question; `counts[i][j]` is how often i answered j."""

    question: str
    annotators: tuple[str, ...]  # columns
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # pictures
    missing: tuple[int, ...]  # pictures without an answer
    agreements: tuple[Agreement, ...]
    is_ordinal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SkinTypesOfClasses:
    """Pictures by class and group of skin types, by the annotator with the most answers."""

    annotator: str
    groups: tuple[str, ...]  # without those that no picture has
    counts: tuple[tuple[int, ...], ...]  # one row for each class of the dataset


def describe_annotators(dataset: Dataset, columns: Sequence[Column]) -> tuple[AnnotatedQuestion, ...]:
    """Return the skin types if there are any, and each question that several annotators answered."""
    groups = [picture.group or picture.path for picture in dataset.pictures]
    described = []
    for question, members, answers, parse in _find_questions(columns):
        cells = {column.name: [parse(cell) for cell in column.cells] for column in members}
        is_ordinal = bool(answers)
        used = Counter(cell for column in cells.values() for cell in column if cell)
        shown = answers or tuple(sorted(used))
        if len(shown) > MAX_ANSWERS or not used:
            continue
        counts = {name: Counter(column) for name, column in cells.items()}
        pairs = list(combinations(cells, 2))[:MAX_PAIRS]
        agreements = (
            _compare(first, second, list(zip(groups, cells[first], cells[second], strict=True)), answers)
            for first, second in pairs
        )
        described.append(
            AnnotatedQuestion(
                question=question,
                annotators=tuple(cells),
                answers=shown,
                counts=tuple(tuple(counts[name][answer] for answer in shown) for name in cells),
                missing=tuple(counts[name][""] for name in cells),
                agreements=tuple(each for each in agreements if each.n),
                is_ordinal=is_ordinal,
            )
        )
    return tuple(described)


def count_skin_types(dataset: Dataset, columns: Sequence[Column]) -> SkinTypesOfClasses | None:
    """Return the classes within the groups of skin types, or None without a column of skin types."""
    candidates = [column for column in columns if is_skin_type_column(column.name, column.cells)]
    if not candidates:
        return None
    chosen = max(candidates, key=lambda column: sum(map(bool, map(parse_skin_type, column.cells))))
    values = [group_skin_type(cell) or MISSING for cell in chosen.cells]
    counts = Counter(zip((picture.label for picture in dataset.pictures), values, strict=True))
    shown = tuple(group for group in (*SKIN_TYPE_GROUPS, MISSING) if group in values)
    return SkinTypesOfClasses(
        annotator=chosen.name,
        groups=shown,
        counts=tuple(tuple(counts[label, group] for group in shown) for label in dataset.classes),
    )


Question = tuple[str, list[Column], tuple[str, ...], Callable[[str], str]]  # with the answers if ordinal


def _find_questions(columns: Sequence[Column]) -> Iterator[Question]:
    skin_types = [column for column in columns if is_skin_type_column(column.name, column.cells)]
    if skin_types:
        yield SKIN_TYPE_QUESTION, skin_types, SKIN_TYPES, _format_skin_type
    others = [column for column in columns if column not in skin_types]
    tones = [column for column in others if MONK_COLUMN.fullmatch(column.name) and _has_tones(column)]
    if tones:
        yield "Monk skin tone", tones, MONK_TONES, _format_number
    numbered: dict[str, list[Column]] = defaultdict(list)
    for column in others:
        if column not in tones and (match := NUMBERED_COLUMN.fullmatch(column.name)):
            numbered[match[1].rstrip("_")].append(column)
    for question, members in numbered.items():
        if len(members) > 1:
            yield question, members, (), str


def _format_skin_type(cell: str) -> str:
    number = parse_skin_type(cell)
    return SKIN_TYPES[number - 1] if number else ""


def _format_number(cell: str) -> str:
    return WHOLE_NUMBER.sub(r"\1", cell)


def _has_tones(column: Column) -> bool:
    cells = {_format_number(cell) for cell in column.cells if cell}
    return bool(cells) and cells <= set(MONK_TONES)


def _compare(
    first: str, second: str, rows: Sequence[tuple[str, str, str]], order: tuple[str, ...]
) -> Agreement:
    """Compare the answers of two annotators; `rows` has the group and both answers for each picture."""
    # The pictures of a case have the same annotation, which is one decision.
    pairs = [(a, b) for _, a, b in dict.fromkeys(rows) if a and b]
    same = sum(a == b for a, b in pairs)
    within_one = sum(abs(order.index(a) - order.index(b)) <= 1 for a, b in pairs) if order else 0
    return Agreement(
        first=first,
        second=second,
        n=len(pairs),
        same=same / max(len(pairs), 1),
        within_one=within_one / max(len(pairs), 1) if order else None,
        kappa=_kappa(pairs, order),
    )


def _kappa(pairs: Sequence[tuple[str, str]], order: tuple[str, ...]) -> float | None:
    """Return Cohen's kappa: 0 is the agreement of chance at these frequencies, 1 is perfect."""
    if len({answer for pair in pairs for answer in pair}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    first, second = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without variation it is undefined
        kappa = float(
            cohen_kappa_score(
                first, second, labels=list(order) or None, weights="quadratic" if order else None
            )
        )
    return kappa if kappa == kappa else None


def create_annotator_sections(
    questions: Sequence[AnnotatedQuestion], skin_types: SkinTypesOfClasses | None, classes: Sequence[str]
) -> list[Section]:
    """Return a section about skin types and one about the other questions, if there are any."""
    sections = []
    about_skin = [each for each in questions if each.question == SKIN_TYPE_QUESTION]
    if about_skin and skin_types is not None:
        blocks = [*_warn_of_few_dark(skin_types), *_create_blocks(about_skin[0])]
        blocks.append(_create_class_table(skin_types, classes))
        sections.append(Section("Skin types", blocks))
    others = [each for each in questions if each not in about_skin]
    if others:
        blocks = [block for question in others for block in _create_blocks(question)]
        sections.append(Section("Annotators", blocks))
    return sections


def _warn_of_few_dark(skin_types: SkinTypesOfClasses) -> Iterator[Callout]:
    totals = dict(zip(skin_types.groups, map(sum, zip(*skin_types.counts, strict=True)), strict=True))
    known = sum(total for group, total in totals.items() if group != MISSING)
    dark = totals.get(SKIN_TYPE_GROUPS[-1], 0)
    if known and dark < FEW_DARK * known:
        text = (
            f"Only {dark:,} of {known:,} pictures with a known skin type show the types V–VI "
            f"({dark / known:.1%}). Whether a model works on dark skin can hardly be measured with them."
        )
        yield Callout(Level.WARNING if not dark else Level.NOTE, text)


def _create_blocks(question: AnnotatedQuestion) -> list[Block]:
    """Return the distribution of the answers, and the agreement of each pair of annotators."""
    parts = {
        answer: [float(counts[index]) for counts in question.counts]
        for index, answer in enumerate(question.answers)
        if any(counts[index] for counts in question.counts)
    }
    # The names of annotators often differ in their last letters only.
    names = [f"…{name[1 - MAX_LABEL :]}" if len(name) > MAX_LABEL else name for name in question.annotators]
    caption = f"Pictures by {question.question}, as each annotator answered."
    plot = stacked_bar_plot(names, parts, unit="pictures")
    rows = []
    for name, counts, missing in zip(question.annotators, question.counts, question.missing, strict=True):
        rows.append([name, *(f"{count:,}" for count in counts), f"{missing:,}"])
    blocks: list[Block] = [
        plot_image(plot, caption=caption, height_inches=plot_height(len(question.annotators))),
        Table(f"Pictures by {question.question}", ["annotator", *question.answers, MISSING], rows),
    ]
    if not question.agreements:
        return blocks
    header = ["annotators", "both answered", "same answer"]
    header += ["at most one step apart", "weighted kappa"] if question.is_ordinal else ["kappa"]
    rows = []
    for each in question.agreements:
        row = [f"{each.first}, {each.second}", f"{each.n:,}", f"{each.same:.1%}"]
        if each.within_one is not None:
            row.append(f"{each.within_one:.1%}")
        rows.append([*row, "–" if each.kappa is None else f"{each.kappa:.2f}"])
    weights = ", weighted by the squared difference of the answers," if question.is_ordinal else ""
    text = (
        "Pictures of one group with the same answers count once. Kappa corrects for chance: "
        f"Cohen's kappa{weights} is 0 if the annotators agree as often as chance makes them, and 1 if they "
        "always agree."
    )
    return [*blocks, Table(f"Agreement: {question.question}", header, rows), text]


def _create_class_table(skin_types: SkinTypesOfClasses, classes: Sequence[str]) -> Table:
    rows = [
        [label, *(f"{count:,}" for count in counts)]
        for label, counts in zip(classes, skin_types.counts, strict=True)
    ]
    caption = f"Pictures by class and group of skin types ({skin_types.annotator})"
    return Table(caption, ["class", *skin_types.groups], rows)
