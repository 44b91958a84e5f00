"""What the import found: pictures left out, and notes on kept ones."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.dataset.manifest import Dataset, Finding
from dermpack.reporting.page import Section, Table
from trainer.datasets.exploration.explore import Exploration

MAX_LISTED = 20


def refused_section(dataset: Dataset, exploration: Exploration) -> Section | None:
    if not exploration.refused:
        return None
    blocks = _finding_tables("reason", exploration.refused, dataset.refused)
    return Section(title="Pictures left out", blocks=blocks)


def notes_section(dataset: Dataset, exploration: Exploration) -> Section | None:
    if not exploration.notes:
        return None
    return Section(
        title="Notes on kept pictures", blocks=_finding_tables("note", exploration.notes, dataset.notes)
    )


def _finding_tables(
    word: str, counts: Sequence[tuple[str, int]], findings: Sequence[Finding]
) -> tuple[Table, Table]:
    counted = Table(
        caption=f"Pictures by {word}",
        header=[word, "pictures"],
        rows=[[kind, f"{n:,}"] for kind, n in counts],
    )
    listed = findings[:MAX_LISTED]
    each = Table(
        caption=f"One by one ({len(listed):,} of {len(findings):,}; dataset.json has all)",
        header=["picture", word, "detail"],
        rows=[[finding.picture, finding.kind, finding.detail] for finding in listed],
    )
    return counted, each
