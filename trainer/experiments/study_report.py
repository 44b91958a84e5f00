"""Render a study: the record, a Markdown table, and an HTML page with plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dermpack.evaluation.report import figure_text, short_figure_text
from dermpack.metrics.intervals import Difference
from dermpack.metrics.summary import Figure
from dermpack.reporting.page import (
    NO_VALUE,
    RESEARCH_ONLY,
    Block,
    Facts,
    Gallery,
    Section,
    Table,
    callouts,
    markdown_cell,
    option_text,
    render_page,
    render_template,
    select_images,
)
from dermpack.storage.files import format_json
from trainer.experiments.study_plots import ALT, study_plots
from trainer.experiments.study_record import COMPARED, Study, tested_figure

RECORD_FILE, MARKDOWN_FILE, PAGE_FILE = "study.json", "study.md", "study.html"
MARKDOWN_TEMPLATE = Path(__file__).parent / "study.md.j2"
PLOT_SECTIONS = {
    "Accuracy and cost": ("accuracy-parameters.png", "accuracy-size.png", "accuracy-time.png"),
    "Histories": ("history-validation.png", "history-loss.png"),
}
BEST = "★"
SPLITS = ("train", "validation", "test")
MEGA = 1_000_000
HEADER = ("recipe", *SPLITS, "balanced accuracy", "AUROC", "time", "parameters", "size")
SHORT_HEADER = ("recipe", "train", "valid.", "test", "balanced", "AUROC", "time", "weights", "size")
TESTED_HEADER = ("recipe", *COMPARED.values())
POINTS_HEADER = (f"{name}, points" for name in COMPARED.values())
COMPARISON_HEADER = ("recipe", *POINTS_HEADER, "only base right", "only this right", "p")
SHORT_COMPARISON_HEADER = ("recipe", "balanced", "AUROC", "accuracy", "p")
METHOD_NOTE = (
    "In brackets: the 95 % interval of 1,000 bootstrap draws over the groups of the test split. A difference "
    "is this recipe minus the base, in points, on the same pictures and draws. p is McNemar's exact test "
    "on the pictures that only one of the two gets right; it treats pictures as independent."
)
COSTS_NOTE = (
    "Train, validation and test are the accuracies on these splits; balanced accuracy and AUROC are from the "
    "test split. Time is the training time over all attempts, without preparing pictures; parameters counts "
    "all weights, and size is the size of the weights file in the run."
)


def study_files(study: Study) -> dict[str, bytes]:
    """Return the content of each file of a study, by file name: record, table, page and plots."""
    plots = study_plots(study)
    texts = {
        RECORD_FILE: format_json(study.record()),
        MARKDOWN_FILE: study_markdown(study),
        PAGE_FILE: study_page(study, plots),
    }
    return {**plots, **{name: text.encode("utf-8") for name, text in texts.items()}}


def study_markdown(study: Study) -> str:
    """Return the tables of a study as Markdown."""
    others = [
        (dataset, _tested_rows(study, index, short_figure_text))
        for index, dataset in enumerate(study.datasets[1:], start=1)
    ]
    values = {
        "study": study,
        "counts": count_text(study),
        "header": HEADER,
        "rows": list(result_rows(study)),
        "best": best_sentence(study),
        "notes": list(study_notes(study)),
        "comparison_header": COMPARISON_HEADER,
        "comparisons": list(comparison_rows(study)),
        "method_note": METHOD_NOTE,
        "costs_note": COSTS_NOTE,
        "tested_header": TESTED_HEADER,
        "others": others,
        "research_only": RESEARCH_ONLY,
    }
    return render_template(MARKDOWN_TEMPLATE, values, escape=markdown_cell)


def _tested_rows(study: Study, dataset: int, form: Callable[[Figure], str]) -> list[tuple[str, ...]]:
    """Return the cells of each recipe with its figures on one of the datasets."""
    return [
        (row.name, *(form(tested_figure(trained, name, dataset=dataset)) for name in COMPARED))
        for row, trained in study.finished
    ]


def study_page(study: Study, plots: Mapping[str, bytes]) -> str:
    """Return the HTML page: the table first, then costs, histories, other datasets and options."""
    sections = [
        Section("Recipes compared", _result_blocks(study)),
        Section(f"Compared with {study.base}", _comparison_blocks(study, 0)),
    ]
    for title, names in PLOT_SECTIONS.items():
        if images := select_images(plots, names, ALT):
            sections.append(Section(title, [Gallery(images)]))
    # A section for each dataset that no recipe was trained on.
    for index, dataset in enumerate(study.datasets[1:] if study.finished else (), start=1):
        caption = f"{dataset.counts[dataset.split]:,} pictures of the {dataset.split} split"
        tested = _tested_rows(study, index, figure_text)
        table = Table(caption, TESTED_HEADER, tested)
        blocks = [table, *callouts(dataset.notes), *_comparison_blocks(study, index)]
        sections.append(Section(f"Tested on {dataset.source}", blocks))
    if study.finished:
        # The recall of each label is shown, because a mean over labels hides a weak one.
        rows = [
            (row.name, *(figure_text(label.figures["recall"]) for label in trained.tests[0].scores.per_class))
            for row, trained in study.finished
        ]
        table = Table("Recall on the test split", ("recipe", *study.classes), rows)
        sections.append(Section("Labels", [table]))
    # The options come last, because most of them are equal in all recipes.
    sections.append(Section("Options", _option_blocks(study)))
    subtitle = f"{len(study.rows)} recipes on {study.datasets[0].source}: {count_text(study)}"
    return render_page(f"Study {study.name}", subtitle=subtitle, sections=sections)


def _result_blocks(study: Study) -> list[Block]:
    """Return the best figures, the table of all recipes, the warnings and the notes on the columns."""
    facts = [("best recipe", study.best)] if study.best else []
    for row, trained in study.finished:
        for name, label in COMPARED.items():
            value = tested_figure(trained, name).value
            if row.name == study.best and value is not None:
                facts.append((f"{label}, test split", f"{value:.3f}"))
    return [
        *([Facts(facts)] if facts else []),
        Table(count_text(study), HEADER, list(result_rows(study))),
        *callouts(study_notes(study)),
        best_sentence(study),
        COSTS_NOTE,
    ]


def _comparison_blocks(study: Study, dataset: int) -> list[Block]:
    rows = list(comparison_rows(study, dataset=dataset))
    if not rows:
        return ["There is no other trained recipe to compare."]
    caption = f"Recipe minus {study.base}, test split of {study.datasets[dataset].source}"
    table = Table(caption, COMPARISON_HEADER, rows)
    return [table, METHOD_NOTE] if dataset == 0 else [table]


def _option_blocks(study: Study) -> list[Block]:
    """Return the options in which the recipes differ, and one sentence with the others."""
    names = sorted({name for row in study.rows for name in row.recipe})
    texts = {
        row.name: {name: option_text(name, row.recipe.get(name)) for name in names} for row in study.rows
    }
    # A study of one recipe has no differing options; its table shows all of them.
    varying = [name for name in names if len({each[name] for each in texts.values()}) > 1 or len(texts) == 1]
    first = next(iter(texts.values()), {})
    shared = [f"{name} {text}" for name, text in first.items() if name not in varying]
    rows = [(name.replace("_", "-"), *(texts[row.name][name] for row in study.rows)) for name in varying]
    header = ("option", *(row.name for row in study.rows))
    blocks: list[Block] = [Table("Options in which the recipes differ", header, rows)]
    if shared:
        blocks.append(f"Equal in all recipes: {', '.join(shared).replace('_', '-')}.")
    return blocks


def best_sentence(study: Study) -> str:
    """Return which recipe is the best one, and how it was selected."""
    if not study.best:
        return "No recipe was trained."
    best = next(trained for row, trained in study.finished if row.name == study.best)
    value = best.splits["validation"][study.metric]
    return (
        f"{BEST} {study.best} has the best {COMPARED[study.metric]} on the validation split, {value:.3f}. "
        "The test split is not used for the selection, because its figures would then be optimistic."
    )


def count_text(study: Study) -> str:
    """Return the sizes of the splits: "721 training, 155 validation and 154 test pictures"."""
    trained, validated, tested = (f"{study.datasets[0].counts[split]:,}" for split in SPLITS)
    return f"{trained} training, {validated} validation and {tested} test pictures"


def result_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each recipe, in the order of the file; a failed one has dashes."""
    for row in study.rows:
        name = f"{BEST} {row.name}" if row.name == study.best else row.name
        trained = row.trained
        if trained is None:
            yield (name, *(NO_VALUE,) * (len(HEADER) - 1))
            continue
        tested = (tested_figure(trained, figure) for figure in ("accuracy", "balanced_accuracy", "auroc"))
        seen = (f"{trained.splits[split]['accuracy']:.2f}" for split in ("train", "validation"))
        time = duration_text(trained.training_seconds)
        sizes = (parameters_text(trained.parameters), size_text(trained.size_bytes))
        yield (name, *seen, *map(short_figure_text, tested), time, *sizes)


def short_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """Yield the same cells for a terminal, with an interval for balanced accuracy only."""
    # Three intervals in a row would not fit into the width of a terminal.
    without_interval = (HEADER.index("test"), HEADER.index("AUROC"))
    for row in result_rows(study):
        yield tuple(
            cell.partition(" ")[0] if index in without_interval else cell for index, cell in enumerate(row)
        )


def comparison_rows(study: Study, *, dataset: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each recipe that was compared with the base."""
    for row, trained in study.finished:
        versus = trained.tests[dataset].versus
        if versus is not None:
            only = versus.mcnemar
            cells = (points_text(versus.differences[name]) for name in COMPARED)
            yield row.name, *cells, f"{only.only_first}", f"{only.only_second}", f"{only.p_value:.3g}"


def short_comparison_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """Yield the differences in points and p, for a terminal."""
    return ((*row[: len(SHORT_COMPARISON_HEADER) - 1], row[-1]) for row in comparison_rows(study))


def study_notes(study: Study) -> Iterator[str]:
    """Yield why recipes were not trained, and notes on single recipes and datasets."""
    yield from (f"{row.name} was not trained: {row.reason}" for row in study.rows if row.trained is None)
    for row, trained in study.finished:
        yield from (f"{row.name}: {remark}" for remark in trained.remarks)
    for dataset in study.datasets:
        yield from (f"{dataset.source}: {note}" for note in dataset.notes)
    if study.waiting:
        yield f"not finished yet: {', '.join(study.waiting)}"


def points_text(difference: Difference) -> str:
    """Return a difference in points: "+2.1 (-0.4 to 4.6)"."""
    # NaN is the only value that differs from itself.
    if difference.difference != difference.difference:
        return NO_VALUE
    ci95 = difference.ci95
    interval = f" ({100 * ci95[0]:.1f} to {100 * ci95[1]:.1f})" if ci95 else f" ({NO_VALUE})"
    return f"{100 * difference.difference:+.1f}{interval}"


def duration_text(seconds: float) -> str:
    """Return a duration in a suitable unit: 57 → "57 s", 204 → "3.4 min", 7560 → "2.1 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def parameters_text(count: int) -> str:
    """Return a number of weights: parameters_text(2_257_984) → "2.26 M", parameters_text(1_234) → "1,234"."""
    return f"{count / MEGA:.2f} M" if count >= MEGA / 10 else f"{count:,}"


def size_text(size_bytes: int) -> str:
    """Return a file size: size_text(9_056_120) → "9.1 MB", size_text(2_300) → "2.3 KB"."""
    return f"{size_bytes / MEGA:.1f} MB" if size_bytes >= MEGA / 10 else f"{size_bytes / 1000:.1f} KB"
