"""Everything that a study writes, by file name: the record is the truth, the others are rendered from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dermpack.evaluation.report_page import brief
from dermpack.reporting.markdown import cell, table
from dermpack.reporting.page import RESEARCH_ONLY
from dermpack.storage.files import json_text
from trainer.experiments.report import study_text as words
from trainer.experiments.report.study_page import study_page
from trainer.experiments.report.study_plots import study_plots
from trainer.experiments.report.study_record import COMPARED, Study, tested_figure

RECORD_FILE, MARKDOWN_FILE, PAGE_FILE = "study.json", "study.md", "study.html"


def study_files(study: Study) -> dict[str, bytes]:
    """File name → bytes."""
    plots = study_plots(study)
    texts = {
        RECORD_FILE: json_text(study.record()),
        MARKDOWN_FILE: study_markdown(study),
        PAGE_FILE: study_page(study, plots),
    }
    return {**plots, **{name: text.encode("utf-8") for name, text in texts.items()}}


def study_markdown(study: Study) -> str:
    """The tables as Markdown."""
    return "\n\n".join(_paragraphs(study)) + "\n"


def _paragraphs(study: Study) -> Iterator[str]:
    yield f"# Study {cell(study.name)}"
    yield f"{cell(study.datasets[0].source)}: {words.counted(study)}."
    yield _table(words.HEADER, list(words.result_rows(study)))
    yield cell(words.best_sentence(study))
    if notes := [*words.failures(study), *words.remarks(study)]:
        yield "\n".join(f"- {cell(note)}" for note in notes)
    if rows := list(words.versus_rows(study)):
        yield f"Against {cell(study.base)}:"
        yield _table(words.VERSUS, rows)
        yield words.METHOD
    yield words.COSTS
    for at, dataset in enumerate(study.datasets[1:], start=1):
        counted_here = f"{dataset.counts[dataset.split]:,} pictures of the {dataset.split} split"
        yield f"Tested on {cell(dataset.source)}, {counted_here}:"
        yield _table(("recipe", *COMPARED.values()), _elsewhere(study, at))
    yield RESEARCH_ONLY


def _elsewhere(study: Study, at: int) -> list[tuple[str, ...]]:
    return [
        (row.name, *(brief(tested_figure(trained, name, dataset=at)) for name in COMPARED))
        for row, trained in study.finished
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column is text, the others are figures of ours."""
    return "\n".join(table(header, [(cell(name), *figures) for name, *figures in rows]))
