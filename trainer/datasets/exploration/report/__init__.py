"""The sections of the page that shows a dataset before training."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.dataset.manifest import Dataset
from dermpack.reporting.page import Section
from trainer.datasets.exploration.explore import Exploration
from trainer.datasets.exploration.report.findings import notes_section, refused_section
from trainer.datasets.exploration.report.metadata import crossing_section, importance_section, missing_section
from trainer.datasets.exploration.report.overview import classes_section, first_section, origin_section
from trainer.datasets.exploration.report.pictures import kinship_section, lineups_section, resolution_section
from trainer.datasets.exploration.sample_sheets import SampleSheet


def portrait(
    dataset: Dataset, exploration: Exploration, *, lineups: Sequence[SampleSheet], near: SampleSheet | None
) -> tuple[Section, ...]:
    """Findings first, then what they rest on; a section without anything to say is left out."""
    sections = [
        first_section(exploration),
        classes_section(exploration),
        lineups_section(lineups),
        *(crossing_section(crossing, exploration) for crossing in exploration.crossings),
        resolution_section(exploration.resolution),
        kinship_section(exploration.kinship, near),
        refused_section(dataset, exploration),
        notes_section(dataset, exploration),
        missing_section(exploration.imputations, exploration.pictures),
        importance_section(exploration.importance, exploration.imputations),
        origin_section(dataset),
    ]
    return tuple(section for section in sections if section is not None)
