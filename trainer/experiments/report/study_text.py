"""The cells of a study's table, as a person reads them; every rendering has the same."""

from __future__ import annotations

from collections.abc import Iterator

from dermpack.evaluation.report_page import brief
from dermpack.metrics.paired_difference import Difference
from dermpack.reporting.option_text import NOTHING
from trainer.experiments.report.study_record import COMPARED, Study, TrainedRecipe, tested_figure

BEST = "★"
SPLITS = ("train", "validation", "test")
MEGA = 1_000_000
SHORT = ("recipe", "train", "valid.", "test", "balanced", "AUROC", "time", "weights", "size")
SHORT_VERSUS = ("recipe", "balanced", "AUROC", "accuracy", "p")
HEADER = (
    *("recipe", "train", "validation", "test", "balanced accuracy", "AUROC", "time", "parameters", "size"),
)
VERSUS = (
    "recipe",
    *(f"{name}, points" for name in COMPARED.values()),
    "only base right",
    "only this right",
    "p",
)
METHOD = (
    "In brackets the 95 % interval: 1,000 bootstrap draws over groups of the test split. Differences are "
    "this recipe minus the base, in points, on the same pictures and under the same draws; p is McNemar's "
    "exact test on the pictures that only one of both gets right, which takes pictures for independent."
)
COSTS = (
    "Train, validation and test are accuracies on these splits; balanced accuracy and AUROC are of the test "
    "split. Time is that of training alone, over all attempts, pictures already prepared; parameters are all "
    "weights, size that of the weights as they lie in the run."
)


def best_sentence(study: Study) -> str:
    """How the best was found, and why so."""
    if not study.best:
        return "No recipe was trained."
    figure = COMPARED[study.metric]
    value = next(
        of.splits["validation"][study.metric] for row, of in study.finished if row.name == study.best
    )
    return (
        f"{BEST} {study.best} has the best {figure} of the validation split, {value:.3f}: the test split has "
        "no say in it, else its figures would flatter the winner."
    )


def counted(study: Study) -> str:
    """721 pictures trained on, 155 validated, 154 tested."""
    trained, validated, tested = (f"{study.datasets[0].counts[split]:,}" for split in SPLITS)
    return f"{trained} pictures trained on, {validated} validated, {tested} tested"


def result_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """A row a recipe, in the order of the file; a failed one has dashes."""
    for row in study.rows:
        name = f"{BEST} {row.name}" if row.name == study.best else row.name
        yield (name, *(_result_cells(row.trained) if row.trained else [NOTHING] * (len(HEADER) - 1)))


def short_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """The same for a terminal: one interval, that of balanced accuracy."""
    tested, auroc = HEADER.index("test"), HEADER.index("AUROC")
    for row in result_rows(study):
        yield tuple(cell.partition(" ")[0] if at in (tested, auroc) else cell for at, cell in enumerate(row))


def short_versus_rows(study: Study) -> Iterator[tuple[str, ...]]:
    """The differences in points, and p."""
    return ((*row[: len(SHORT_VERSUS) - 1], row[-1]) for row in versus_rows(study))


def versus_rows(study: Study, *, dataset: int = 0) -> Iterator[tuple[str, ...]]:
    """A row a recipe that was held against the base."""
    for row, trained in study.finished:
        versus = trained.tests[dataset].versus
        if versus is not None:
            of = versus.discordance
            cells = (points(versus.differences[name]) for name in COMPARED)
            yield row.name, *cells, f"{of.only_first}", f"{of.only_second}", f"{of.p_value:.3g}"


def failures(study: Study) -> Iterator[str]:
    return (f"{row.name} was not trained: {row.reason}" for row in study.rows if row.trained is None)


def remarks(study: Study) -> Iterator[str]:
    """What must be known of single recipes and datasets."""
    for row, trained in study.finished:
        yield from (f"{row.name}: {remark}" for remark in trained.remarks)
    for dataset in study.datasets:
        yield from (f"{dataset.source}: {note}" for note in dataset.notes)
    if study.waiting:
        yield f"not ended yet: {', '.join(study.waiting)}"


def points(of: Difference) -> str:
    """A difference in points: "+2.1 (-0.4 to 4.6)"."""
    if of.difference != of.difference:
        return NOTHING
    interval = f" ({100 * of.ci95[0]:.1f} to {100 * of.ci95[1]:.1f})" if of.ci95 else f" ({NOTHING})"
    return f"{100 * of.difference:+.1f}{interval}"


def duration(seconds: float) -> str:
    """duration(57) → "57 s", duration(204) → "3.4 min", duration(7560) → "2.1 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def millions(count: int) -> str:
    """millions(2_257_984) → "2.26 M", millions(1_234) → "1,234"."""
    return f"{count / MEGA:.2f} M" if count >= MEGA / 10 else f"{count:,}"


def megabytes(size_bytes: int) -> str:
    """megabytes(9_056_120) → "9.1 MB", megabytes(2_300) → "2.3 KB"."""
    return f"{size_bytes / MEGA:.1f} MB" if size_bytes >= MEGA / 10 else f"{size_bytes / 1000:.1f} KB"


def _result_cells(trained: TrainedRecipe) -> tuple[str, ...]:
    seen = (f"{trained.splits[split]['accuracy']:.2f}" for split in ("train", "validation"))
    tested = (brief(tested_figure(trained, name)) for name in ("accuracy", "balanced_accuracy", "auroc"))
    costs = (
        duration(trained.training_seconds),
        millions(trained.parameters),
        megabytes(trained.size_bytes),
    )
    return (*seen, *tested, *costs)
