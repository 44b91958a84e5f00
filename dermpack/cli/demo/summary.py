"""What a demo made, read from its folders."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dermpack.cli.demo.progress_file import FinishedSteps, StepCost
from dermpack.cli.demo.steps import ANSWERS_FILE, DemoStep
from dermpack.storage.files import read_json

if TYPE_CHECKING:
    from benchmarks.report.schema import Record
    from dermpack.contract import Contract

SCHEMA = 1  # of the JSON
SCORE = "balanced_accuracy"
Interval: TypeAlias = "tuple[float, float]"
PLACES = {
    "report/report.html": "the pictures, before training",
    "run/report.html": "how the training went",
    "evaluation/report.html": "the network's scores on pictures it never saw",
    "export/model.json": "the contract: what goes in, what comes out",
    "benchmark/report.html": "its speed here, what each runtime answers",
    "skin.zip": "what an Android app embeds; its README says how",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoScore:
    """Balanced accuracy on pictures of the test split."""

    value: float
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Loss:
    """Points of balanced accuracy that integers cost, where conversion measured them."""

    points: float
    ci95: Interval | None
    split: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FastestSetting:
    """The quickest setting of those that were measured."""

    median_ms: float
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePrediction:
    """One picture's first label; `is_sure` where it is the answer too."""

    picture: str
    label: str
    probability: float
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDuration:
    """One step's time."""

    title: str
    seconds: float
    processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """All that a person wants to know at the end."""

    pictures: int
    classes: tuple[str, ...]
    tested: int  # pictures
    tested_groups: int
    network: DemoScore
    file_scored: DemoScore
    file: Path
    size_bytes: int
    recipe: str
    lost: Int8Loss
    speed: FastestSetting
    asked: SamplePrediction
    places: Mapping[Path, str]
    steps: tuple[StepDuration, ...]
    seconds: float
    processor_seconds: float

    def record(self) -> dict[str, Any]:
        """What `--json` prints."""
        places = {str(path): what for path, what in self.places.items()}
        return {**asdict(self), "schema": SCHEMA, "file": str(self.file), "places": places}


def read_summary(folder: Path, steps: Sequence[DemoStep], kept: FinishedSteps) -> DemoSummary:
    """Believe the files, not the walk: a step may have been done days before."""
    from benchmarks.report.record_file import read_record
    from dermpack.contract import read_contract
    from dermpack.dataset.manifest import read_dataset

    dataset, contract = read_dataset(folder / "dataset"), read_contract(folder / "export" / "model.json")
    tested = read_json(folder / "evaluation" / "report.json")
    speed, scored = _measured(read_record(folder / "benchmark" / "report.json"))
    took = tuple(_took(step, kept.spent[step.name]) for step in steps)
    return DemoSummary(
        pictures=len(dataset.pictures),
        classes=dataset.classes,
        tested=tested["n"],
        tested_groups=tested["groups"],
        network=DemoScore(value=tested[SCORE], ci95=tested[f"{SCORE}_ci95"]),
        file_scored=scored,
        file=folder / "export" / "model.tflite",
        size_bytes=contract.size_bytes,
        recipe=f"{contract.recipe.name} {contract.recipe.method}",
        lost=_lost(contract),
        speed=speed,
        asked=_asked(folder / ANSWERS_FILE),
        places={folder / name: what for name, what in PLACES.items()},
        steps=took,
        seconds=sum(of.seconds for of in took),
        processor_seconds=sum(of.processor_seconds for of in took),
    )


def _measured(record: Record) -> tuple[FastestSetting, DemoScore]:
    """The quickest median, and what the file answers under that very setting."""
    from benchmarks.report.record_lookup import answer_at, median_ms

    timed = [(ms, of) for of in record.results if (ms := median_ms(of)) is not None]
    ms, result = min(timed, key=lambda pair: pair[0])
    answer = answer_at(record, result.model, result.where)
    figure = answer.balanced_accuracy if answer else None
    assert figure is not None and figure.value is not None, "the benchmark was given the dataset"
    speed = FastestSetting(median_ms=ms, setting=str(result.where.setting))
    return speed, DemoScore(value=figure.value, ci95=figure.ci95)


def _lost(contract: Contract) -> Int8Loss:
    found: Iterator[Int8Loss] = (
        Int8Loss(
            points=_points(of.difference),
            ci95=(_points(of.ci95[1]), _points(of.ci95[0])) if of.ci95 else None,
            split=accuracy.split,
            n=accuracy.n,
        )
        for accuracy in contract.accuracy
        for of in accuracy.figures
        if of.metric == SCORE
    )
    return next(found)


def _points(difference: float) -> float:
    """What was lost, of a difference: -0.012 → 1.2; never -0.0."""
    return round(-100 * difference, 1) + 0.0


def _asked(path: Path) -> SamplePrediction:
    with path.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    label, probability = row["label_1"], float(row["probability_1"])
    picture = Path(row["picture"]).name
    return SamplePrediction(
        picture=picture, label=label, probability=probability, is_sure=row["answer"] == label
    )


def _took(step: DemoStep, spent: StepCost) -> StepDuration:
    return StepDuration(title=step.title, seconds=spent.seconds, processor_seconds=spent.processor_seconds)
