"""Train a table of recipes on one dataset, and hold them against each other on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import DatasetError, DermpackError, InputError, OutputError
from dermpack.storage.files import write_bytes
from trainer.experiments.report.study_files import study_files
from trainer.experiments.report.study_record import Study, StudyRow, TestedDataset
from trainer.experiments.study_file import StudyEntry, StudyPlan
from trainer.experiments.study_folder import RecipePaths, changed, study_folder
from trainer.experiments.study_scores import SEEN, ScoredRecipe, answered, held_against, scored
from trainer.runs.preflight import check_alone, check_asked
from trainer.runs.subprocess_training import RecipeStarted, SplitRequest, Told, TrainingJob, train_apart

Event: TypeAlias = Told | StudyRow
Listen: TypeAlias = Callable[[Event], None]


def unheard(event: Event) -> None:
    """Nobody listens."""
    del event


def run_study(
    dataset: Dataset,
    plan: StudyPlan,
    folder: Path,
    *,
    also: Sequence[Dataset] = (),
    overwrite: bool = False,
    listen: Listen = unheard,
) -> Study:
    """Train what is not trained yet, and write the study anew after each recipe.

    Killed at any moment, the same call goes on. A recipe that cannot be trained is a row that says why.
    """
    folder = folder.absolute()
    datasets = (dataset, *also)
    check_study(dataset, plan, folder, also=also)
    found: dict[str, ScoredRecipe | str] = {}
    with study_folder(folder, dataset, overwrite=overwrite):
        _settle(plan, folder, overwrite=overwrite)
        for number, entry in enumerate(_base_first(plan), start=1):
            listen(RecipeStarted(name=entry.name, number=number, of=len(plan.entries)))
            is_new = bool(_asks(RecipePaths(folder=folder, name=entry.name), datasets))
            found[entry.name] = _trained(entry, folder, datasets, listen)
            study = _study(plan, found, datasets)
            listen(next(row for row in study.rows if row.name == entry.name))
            if is_new or not study.waiting:
                write_study(study, folder)
    return study


def check_study(dataset: Dataset, plan: StudyPlan, folder: Path, *, also: Sequence[Dataset] = ()) -> None:
    """Raise what would fail every recipe, or is a mistake in one, before any of them is trained."""
    for entry in plan.entries:
        try:
            check_alone(entry.recipe)
            check_asked(dataset, folder / "runs" / entry.name, entry.recipe, overwrite=True)
        except InputError as error:
            where = f"[recipes.{entry.name}] {error.where}" if error.where.startswith("--") else error.where
            raise InputError(where, error.what, error.hint, code=error.code) from error
    for other in (dataset, *also):
        if not other.manifest.of(Split.TEST):
            hint = "Import the dataset with a test share."
            raise DatasetError(other.folder, "the test split is empty", hint, code="empty-split")
        answered(other, Split.TEST, dataset.classes, None)


def write_study(study: Study, folder: Path) -> None:
    for name, data in study_files(study).items():
        write_bytes(folder / name, data)


def _settle(plan: StudyPlan, folder: Path, *, overwrite: bool) -> None:
    """A name stands for one recipe: what was trained otherwise is refused, or removed."""
    for entry in plan.entries:
        place = RecipePaths(folder=folder, name=entry.name)
        if change := changed(place, entry.recipe):
            if not overwrite:
                what = f"already trained with different options ({change})"
                hint = "Give the recipe another name, or add --overwrite to train it again."
                raise OutputError(f"[recipes.{entry.name}]", what, hint, code="output-mismatch")
            place.clear()


def _base_first(plan: StudyPlan) -> list[StudyEntry]:
    """The others are held against it."""
    return sorted(plan.entries, key=lambda entry: entry.name != plan.base)


def _trained(
    entry: StudyEntry, folder: Path, datasets: Sequence[Dataset], listen: Listen
) -> ScoredRecipe | str:
    """What came of a recipe, or why nothing did."""
    if entry.lacks:
        return f"{entry.lacks}. Put the file into the folder of the study, or choose other weights."
    place = RecipePaths(folder=folder, name=entry.name)
    try:
        if asks := _asks(place, datasets):
            train_apart(_job(entry, place, datasets[0], asks), tell=listen)
        return scored(place, datasets)
    except DermpackError as error:
        return _reason(error)


def _asks(place: RecipePaths, datasets: Sequence[Dataset]) -> tuple[SplitRequest, ...]:
    """What the network was not asked yet: everything, as long as it is not trained."""
    wanted = [*((datasets[0], split) for split in SEEN), *((dataset, Split.TEST) for dataset in datasets)]
    asks = (
        SplitRequest(dataset=dataset.folder.absolute(), split=split, answers=place.answers(dataset, split))
        for dataset, split in wanted
    )
    return tuple(ask for ask in asks if not (place.is_trained and ask.answers.is_file()))


def _job(
    entry: StudyEntry, place: RecipePaths, dataset: Dataset, asks: tuple[SplitRequest, ...]
) -> TrainingJob:
    return TrainingJob(
        dataset=dataset.folder,
        run=place.run,
        recipe=entry.recipe,
        asks=asks,
        clock=place.clock,
        log=place.log,
    )


def _reason(error: DermpackError) -> str:
    """Without the path of this machine: "weights.h5: ends before layer Conv1. Give the …"."""
    where = error.where.rpartition("/")[2] if error.where.startswith("/") else error.where
    return f"{where}: {error.what}. {error.hint}"


def _study(plan: StudyPlan, found: dict[str, ScoredRecipe | str], datasets: Sequence[Dataset]) -> Study:
    base = found.get(plan.base)
    rows = (
        _row(entry, found[entry.name], base if isinstance(base, ScoredRecipe) else None)
        for entry in plan.entries
        if entry.name in found
    )
    return Study(
        name=plan.name,
        classes=datasets[0].classes,
        datasets=tuple(_pictures(dataset, datasets[0]) for dataset in datasets),
        base=plan.base,
        metric=plan.metric.value,
        rows=tuple(rows),
        waiting=tuple(entry.name for entry in plan.entries if entry.name not in found),
    )


def _row(entry: StudyEntry, found: ScoredRecipe | str, base: ScoredRecipe | None) -> StudyRow:
    recipe = entry.recipe.record()
    if isinstance(found, str):
        absent = {"weights": entry.lacks} if entry.lacks else {}
        return StudyRow(name=entry.name, recipe={**recipe, **absent}, trained=None, reason=found)
    return StudyRow(name=entry.name, recipe=recipe, trained=held_against(found, base))


def _pictures(dataset: Dataset, trained_on: Dataset) -> TestedDataset:
    counts = {split.value: len(dataset.manifest.of(split)) for split in Split}
    return TestedDataset(
        source=dataset.source,
        sha256=dataset.sha256,
        split=Split.TEST.value,
        counts=counts,
        notes=tuple(_notes(dataset, trained_on)),
    )


def _notes(dataset: Dataset, trained_on: Dataset) -> Iterator[str]:
    if dataset is trained_on:
        return
    seen = {picture.sha256 for picture in trained_on.pictures if picture.split in SEEN}
    if same := sum(picture.sha256 in seen for picture in dataset.manifest.of(Split.TEST)):
        yield f"{same} of its test pictures are among those that were trained on: it flatters all recipes"
