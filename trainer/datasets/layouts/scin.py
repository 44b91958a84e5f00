"""Read SCIN, Google's Skin Condition Image Network: cases with up to three pictures, and weighted labels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dermpack.dataset.manifest import Finding
from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.csv_table import find_tables
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.source_walk import NamedRow, is_valid_name, match_files, walk_source
from trainer.datasets.layouts.table_reader import (
    SourceRow,
    SourceTable,
    is_single_line,
    read_table,
    rename_metadata,
)
from trainer.datasets.splits.arrange import join_group_names

SHAPE = "scin_cases.csv and scin_labels.csv with pictures"
TABLES_FOLDER = "dataset"  # of the published bucket, which the tables and the folder images are in
CASE, WEIGHTS = "case_id", "weighted_skin_condition_label"
PICTURE_COLUMNS = ("image_1_path", "image_2_path", "image_3_path")
SHOT_TYPE_COLUMNS = ("image_1_shot_type", "image_2_shot_type", "image_3_shot_type")
CASE_COLUMNS, LABEL_COLUMNS = (CASE, PICTURE_COLUMNS[0]), (CASE, WEIGHTS)
# The label is made of these, so they are no metadata.
DIFFERENTIAL_COLUMNS = (
    *("dermatologist_skin_condition_on_label_name", "dermatologist_skin_condition_label_name"),
    *("dermatologist_skin_condition_confidence", WEIGHTS),
)
SHOT_TYPE, WEIGHT = "shot_type", "label_weight"  # metadata columns that are made here
# Columns of one question become one column: body_parts_arm and body_parts_leg → "arm; leg".
QUESTIONS = ("race_ethnicity", "textures", "body_parts", "condition_symptoms", "other_symptoms")
CHECKED = frozenset({"yes", "true", "1", "1.0"})
UNKNOWN = frozenset({"age_unknown", "none_selected", "none_identified"})
WHOLE_NUMBER = re.compile(r"\A(\d+)\.0\Z")  # pandas writes a column of numbers with gaps in this way
DEFAULT_MIN_WEIGHT = 0.5  # more than half: there is at most one such condition
MAX_WEIGHTS_CHARACTERS = 4096  # the longest published text has some 400
# One entry of {'Eczema': 0.69, "Sweet's syndrome": 0.31}, as Python writes it.
ENTRY = re.compile(
    r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*:\s*(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(,|$)"""
)
ESCAPED = re.compile(r"""\\(['"\\])""")


def recognises(source: Path) -> bool:
    """Return whether the folder contains both tables, and pictures below it."""
    return _find_tables(source) is not None and bool(walk_source(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Return the pictures of each case with a dominant condition; the case is the group."""
    tables = _find_tables(source)
    if tables is None:
        what = f"no {SHAPE} found"
        hint = "Give the folder that contains both tables and the folder with the pictures."
        raise InputError(source, what, hint, code="table-not-found")
    cases = _read_cases(read_table(tables[0]), read_table(tables[1]))
    min_weight = DEFAULT_MIN_WEIGHT if request.min_weight is None else request.min_weight
    findings: list[Finding] = []
    rows: list[NamedRow] = []
    passed_over: set[str] = set()
    for case in cases.cases:
        weights = sorted(case.weights.items(), key=lambda pair: (-pair[1], pair[0]))
        if problem := _find_problem(case, weights, min_weight):
            findings.append(problem)
            passed_over.update(name for name, _ in case.pictures)
            continue
        label, weight = weights[0]
        for name, shot_type in case.pictures:
            metadata = (*case.metadata, shot_type, f"{weight:g}")
            picture = ListedPicture(path=name, label=label, group=case.name, metadata=metadata)
            rows.append((case.line, picture))
    rows, repeated = _join_cases(rows)
    passed_over.update(finding.picture for finding in repeated)
    listed, problems = match_files(source, rows, passed_over=passed_over, track=track)
    return Listing(
        root=source,
        pictures=tuple(listed),
        columns=(*cases.columns, SHOT_TYPE, WEIGHT),
        group_column=CASE,
        refused=(*findings, *repeated, *problems),
    )


def parse_weights(text: str) -> dict[str, float]:
    """Return condition → weight: parse_weights("{'Eczema': 0.69, 'Psoriasis': 0.31}"); ValueError if invalid.

    The text is Python source, which is never evaluated: only names in quotes and numbers are accepted.
    """
    text = text.strip()
    if text in ("", "{}"):
        return {}
    if len(text) > MAX_WEIGHTS_CHARACTERS or not (text.startswith("{") and text.endswith("}")):
        raise ValueError(f"{text[:20]!r} is not a list of conditions with weights")
    inside, position, weights = text[1:-1], 0, {}
    while position < len(inside):
        entry = ENTRY.match(inside, position)
        if entry is None:
            raise ValueError(f"{inside[position : position + 20]!r} is not a condition with a weight")
        single, double, number, _ = entry.groups()
        name = " ".join(ESCAPED.sub(r"\1", single or double or "").split())
        weight = float(number)
        if not name or not is_single_line(name) or name in weights or not math.isfinite(weight):
            raise ValueError(f"the condition {name[:20]!r} is invalid or listed twice")
        weights[name] = weight
        position = entry.end()
    return weights


def _find_tables(source: Path) -> tuple[Path, Path] | None:
    """Return the tables of the cases and of the labels; they have these columns under any name."""
    for folder in (source, source / TABLES_FOLDER):
        if folder.is_dir():
            cases, labels = find_tables(folder, CASE_COLUMNS), find_tables(folder, LABEL_COLUMNS)
            if len(cases) == 1 and len(labels) == 1 and cases != labels:
                return cases[0], labels[0]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A row of scin_cases.csv with its row of scin_labels.csv."""

    name: str
    line: int  # in scin_cases.csv
    pictures: tuple[tuple[str, str], ...]  # the name of a file without extension, and its shot type
    weights: Mapping[str, float]
    metadata: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cases:
    cases: tuple[_Case, ...]
    columns: tuple[str, ...]


def _read_cases(table: SourceTable, labels: SourceTable) -> _Cases:
    """Return the cases in the order of their table, and the names of their metadata columns."""
    row_of_case = _index_cases(labels)
    used = {CASE, *PICTURE_COLUMNS, *SHOT_TYPE_COLUMNS, *DIFFERENTIAL_COLUMNS}
    questions = {
        question: [name for name in table.index_of if name.startswith(f"{question}_")]
        for question in QUESTIONS
    }
    joined = {name for names in questions.values() for name in names}
    case_columns = [name for name in table.header if name.casefold() not in used | joined]
    label_columns = [name for name in labels.header if name.casefold() not in used | set(table.index_of)]
    asked = [question for question in QUESTIONS if questions[question]]
    cases = []
    for name, row in _index_cases(table).items():
        label_row = row_of_case.get(name)
        cells = [_clean(table.cell(row, column.casefold())) for column in case_columns]
        for question in asked:
            checked = [each for each in questions[question] if table.cell(row, each).casefold() in CHECKED]
            words = (each.removeprefix(f"{question}_").replace("_", " ") for each in checked)
            cells.append("; ".join(words))
        for column in label_columns:
            cells.append("" if label_row is None else _clean(labels.cell(label_row, column.casefold())))
        try:
            weights = {} if label_row is None else parse_weights(labels.cell(label_row, WEIGHTS))
        except ValueError as error:
            assert label_row is not None
            raise labels.error(label_row, str(error)) from error
        pictures = tuple(_case_pictures(table, row))
        cases.append(
            _Case(name=name, line=row.line, pictures=pictures, weights=weights, metadata=tuple(cells))
        )
    made_here = (*asked, SHOT_TYPE, WEIGHT)
    renamed = rename_metadata(table.where, (*case_columns, *label_columns), made_here)
    columns = (*renamed[: len(case_columns)], *asked, *renamed[len(case_columns) :])
    return _Cases(cases=tuple(cases), columns=columns)


def _index_cases(table: SourceTable) -> dict[str, SourceRow]:
    rows: dict[str, SourceRow] = {}
    for row in table.rows:
        name = table.cell(row, CASE)
        if not name or not is_single_line(name):
            raise table.error(row, f"{CASE} is empty or contains a control character")
        if name in rows:
            what = f"the case {name} is listed already in line {rows[name].line}"
            raise table.error(row, what, "Keep one of the rows.", code="conflicting-rows")
        rows[name] = row
    return rows


def _case_pictures(table: SourceTable, row: SourceRow) -> Iterator[tuple[str, str]]:
    """Yield the name and the shot type of each picture; the folders of a path are those of the bucket."""
    for path_column, shot_type_column in zip(PICTURE_COLUMNS, SHOT_TYPE_COLUMNS, strict=True):
        path = table.cell(row, path_column)
        if not path:
            continue
        name = PurePosixPath(path).stem
        if not name or not is_valid_name(name):
            raise table.error(row, f"{path_column} is not the path of a picture")
        yield name, table.cell(row, shot_type_column)


def _clean(cell: str) -> str:
    return "" if cell.casefold() in UNKNOWN else WHOLE_NUMBER.sub(r"\1", cell)


def _find_problem(case: _Case, weights: Sequence[tuple[str, float]], min_weight: float) -> Finding | None:
    """Return why the case has no label, or None; `weights` begins with the largest."""
    if not case.pictures:
        return create_finding(OmissionReason.NO_FILE, case.name, f"line {case.line} names no picture")
    if not weights:
        return create_finding(OmissionReason.UNCERTAIN, case.name, "has no weighted condition")
    label, weight = weights[0]
    if weight <= min_weight:
        detail = f"{label} has a weight of {weight:g}, not more than {min_weight:g}"
        return create_finding(OmissionReason.UNCERTAIN, case.name, detail)
    if len(weights) > 1 and weights[1][1] == weight:
        detail = f"{label} and {weights[1][0]} have the same weight, {weight:g}"
        return create_finding(OmissionReason.UNCERTAIN, case.name, detail)
    return None


def _join_cases(rows: Sequence[NamedRow]) -> tuple[list[NamedRow], list[Finding]]:
    """Return one row for each file, with groups that join the cases of a file, and files of two labels."""
    groups = join_group_names([picture.path for _, picture in rows], [picture.group for _, picture in rows])
    first_rows: dict[str, NamedRow] = {}
    contradicted: dict[str, Finding] = {}
    for (line, picture), group in zip(rows, groups, strict=True):
        first_line, first = first_rows.setdefault(picture.path, (line, replace(picture, group=group)))
        if first.label != picture.label:
            detail = f"is {first.label} in line {first_line} and {picture.label} in line {line}"
            contradicted[picture.path] = create_finding(OmissionReason.TWO_LABELS, picture.path, detail)
    kept = [row for name, row in first_rows.items() if name not in contradicted]
    return kept, list(contradicted.values())
