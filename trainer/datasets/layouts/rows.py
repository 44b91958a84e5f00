"""Say why no row of a table is a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dermpack.errors import TableError
from dermpack.files import safe_relative
from dermpack.manifest import Finding
from trainer.datasets.layouts.refusal import Refusal
from trainer.datasets.layouts.walk import entries_of, is_own_file
from trainer.datasets.tables import Row, Table

OTHER_CURES: Mapping[str, str] = {
    Refusal.NO_LABEL.value: "write a label into each row",
    Refusal.LINK.value: "put the files themselves where the links are",
    Refusal.TWO_LABELS.value: "keep one label for each picture",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row that cannot be a picture, and why."""

    row: Row
    finding: Finding


def refuse_all(table: Table, faults: Sequence[Fault], *, root: Path, is_apart: bool) -> NoReturn:
    """Of a table without a usable row show the first one with the fault that most of them have."""
    kinds = Counter(fault.finding.kind for fault in faults)
    kind, count = kinds.most_common(1)[0]
    first = next(fault for fault in faults if fault.finding.kind == kind)
    alike = f"{count} of {len(table.rows)} rows are like it" if count < len(table.rows) else "every row is so"
    what = f"'{first.finding.picture}' {first.finding.detail}, and no row can be used ({alike})"
    cure = OTHER_CURES.get(kind) or _cure(root, table, first.finding.picture, is_apart=is_apart)
    raise TableError(table.place(first.row), what, cure)


def _cure(root: Path, table: Table, path: str, *, is_apart: bool) -> str:
    """What is meant may lie one folder deeper, or the table beside a folder of pictures elsewhere."""
    if folder := _meant(root, path):
        return f"it is in {folder}: give that as SOURCE, and --metadata {table.where}"
    cure = f"write paths relative to {root}, with / between folders and the file's extension at the end"
    elsewhere = "; or give the folder they are relative to as SOURCE, and the table as --metadata"
    return cure + ("" if is_apart else elsewhere)


def _meant(root: Path, path: str) -> Path | None:
    """The folder just below, that the path is relative to."""
    inside = safe_relative(path.replace("\\", "/"))
    if inside is None:
        return None
    folders = sorted(Path(entry.path) for entry in entries_of(root) if entry.is_dir(follow_symlinks=False))
    return next((folder for folder in folders if is_own_file(folder / inside)), None)
