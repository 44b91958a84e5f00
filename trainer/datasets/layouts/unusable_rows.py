"""Say why no row of a table is a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dermpack.dataset.manifest import Finding
from dermpack.errors import TableError
from dermpack.storage.files import safe_relative
from trainer.datasets.layouts.omission import OmissionReason
from trainer.datasets.layouts.source_walk import entries_of, is_own_file
from trainer.datasets.layouts.table_reader import SourceRow, SourceTable

HINT_OF_KIND: Mapping[str, str] = {
    OmissionReason.NO_LABEL.value: "Write a label into each row.",
    OmissionReason.LINK.value: "Replace the links with the files themselves.",
    OmissionReason.TWO_LABELS.value: "Keep one label for each picture.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """A row that cannot be a picture, and why."""

    row: SourceRow
    finding: Finding


def refuse_all(table: SourceTable, faults: Sequence[RowProblem], *, root: Path, is_apart: bool) -> NoReturn:
    """Raise TableError for a table without a usable row; it shows the first row with the commonest fault."""
    kinds = Counter(fault.finding.kind for fault in faults)
    kind, count = kinds.most_common(1)[0]
    first = next(fault for fault in faults if fault.finding.kind == kind)
    alike = f"the same problem in {count} of {len(table.rows)} rows"
    what = f"no usable row in the table: '{first.finding.picture}' {first.finding.detail} ({alike})"
    hint = HINT_OF_KIND.get(kind) or _path_hint(root, table, first.finding.picture, is_apart=is_apart)
    raise TableError(table.place(first.row), what, hint, code="no-usable-rows")


def _path_hint(root: Path, table: SourceTable, path: str, *, is_apart: bool) -> str:
    """Return the hint for a path that does not fit: the pictures may be one folder deeper, or elsewhere."""
    if folder := _meant(root, path):
        return f"The file is in {folder}: give that folder as SOURCE, and --metadata {table.where}."
    hint = f"Write paths relative to {root}, with / between folders and with the file extension."
    elsewhere = " Or give the folder that they are relative to as SOURCE, and the table with --metadata."
    return hint + ("" if is_apart else elsewhere)


def _meant(root: Path, path: str) -> Path | None:
    """The folder just below, that the path is relative to."""
    inside = safe_relative(path.replace("\\", "/"))
    if inside is None:
        return None
    folders = sorted(Path(entry.path) for entry in entries_of(root) if entry.is_dir(follow_symlinks=False))
    return next((folder for folder in folders if is_own_file(folder / inside)), None)
