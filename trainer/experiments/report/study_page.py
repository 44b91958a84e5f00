"""The page of a study: the table first, then what it cost, how it came about, and every recipe."""

from __future__ import annotations

from collections.abc import Mapping

from dermpack.evaluation.report_page import figure_text
from dermpack.reporting.option_text import option_text
from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Gallery,
    Image,
    Level,
    Section,
    Table,
    Text,
    render_page,
)
from trainer.experiments.report import study_text as words
from trainer.experiments.report.study_plots import ALT
from trainer.experiments.report.study_record import COMPARED, Study, tested_figure

ACROSS = ("accuracy-parameters.png", "accuracy-size.png", "accuracy-time.png")
HISTORIES = ("history-validation.png", "history-loss.png")


def study_page(study: Study, plots: Mapping[str, bytes]) -> str:
    """One HTML page with everything."""
    sections = [
        Section(title="Recipes compared", blocks=_result(study)),
        Section(title=f"Against {study.base}", blocks=_versus(study, 0)),
        *_figures("What accuracy costs", ACROSS, plots),
        *_figures("Histories", HISTORIES, plots),
        *(_elsewhere(study, at) for at in range(1, len(study.datasets)) if study.finished),
        *_labels(study),
        Section(title="Options", blocks=_options(study)),
    ]
    subtitle = f"{len(study.rows)} recipes on {study.datasets[0].source}: {words.counted(study)}"
    return render_page(f"Study {study.name}", subtitle=subtitle, sections=sections)


def _result(study: Study) -> list[Block]:
    table = Table(caption=words.counted(study), header=words.HEADER, rows=list(words.result_rows(study)))
    best = [row for row in study.finished if row[0].name == study.best]
    facts = [
        (f"{label}, test split", f"{value:.3f}")
        for _, trained in best
        for name, label in COMPARED.items()
        if (value := tested_figure(trained, name).value) is not None
    ]
    shown: list[Block] = [Facts(facts=[("best recipe", study.best), *facts])] if study.best else []
    warnings = (*words.failures(study), *words.remarks(study))
    called = [Callout(level=Level.WARNING, text=text) for text in warnings]
    return [*shown, table, *called, Text(text=words.best_sentence(study)), Text(text=words.COSTS)]


def _versus(study: Study, dataset: int) -> list[Block]:
    rows = list(words.versus_rows(study, dataset=dataset))
    if not rows:
        return [Text(text="There is nothing to hold against it.")]
    source = study.datasets[dataset].source
    table = Table(caption=f"This minus {study.base}, test split of {source}", header=words.VERSUS, rows=rows)
    return [table, Text(text=words.METHOD)] if dataset == 0 else [table]


def _figures(title: str, names: tuple[str, ...], plots: Mapping[str, bytes]) -> list[Section]:
    images = [Image(data=plots[name], alt=ALT[name], caption=ALT[name]) for name in names if name in plots]
    return [Section(title=title, blocks=[Gallery(images=images)])] if images else []


def _elsewhere(study: Study, at: int) -> Section:
    """The same recipes on a dataset that none of them was trained on."""
    of = study.datasets[at]
    rows = [
        (row.name, *(figure_text(tested_figure(trained, name, dataset=at)) for name in COMPARED))
        for row, trained in study.finished
    ]
    caption = f"{of.counts[of.split]:,} pictures of the {of.split} split"
    table = Table(caption=caption, header=("recipe", *COMPARED.values()), rows=rows)
    notes = [Callout(level=Level.WARNING, text=note) for note in of.notes]
    return Section(title=f"Tested on {of.source}", blocks=[table, *notes, *_versus(study, at)])


def _labels(study: Study) -> list[Section]:
    """The recall of each label: what a mean of them hides."""
    if not study.finished:
        return []
    rows = [
        (row.name, *(figure_text(of.figures["recall"]) for of in trained.tests[0].scores.per_class))
        for row, trained in study.finished
    ]
    table = Table(caption="Recall on the test split", header=("recipe", *study.classes), rows=rows)
    return [Section(title="Labels", blocks=[table])]


def _options(study: Study) -> list[Block]:
    """The options in which the recipes differ; study.json has all of them."""
    names = sorted({name for row in study.rows for name in row.recipe})
    texts = {of.name: {name: option_text(name, of.recipe.get(name)) for name in names} for of in study.rows}
    told = [name for name in names if len({of[name] for of in texts.values()}) > 1 or len(texts) == 1]
    same = [f"{name} {of}" for name, of in next(iter(texts.values()), {}).items() if name not in told]
    rows = [(name.replace("_", "-"), *(texts[row.name][name] for row in study.rows)) for name in told]
    header = ("option", *(row.name for row in study.rows))
    table = Table(caption="Options in which the recipes differ", header=header, rows=rows)
    rest = Text(text=f"The same for all: {', '.join(same).replace('_', '-')}.")
    return [table, *([rest] if same else [])]
