"""Write the tables of FOLDER/README.md from the reports below FOLDER.

python -m tests.tools.models_table FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dermpack.bundle.reports import NOTE_OF_PROFILE
from dermpack.contract import read_contract
from dermpack.errors import count_noun
from tests.tools.figures.marks import has_table, rewrite

NAME = "references"  # of the tables, in the comments around them
OTHER_SPLITS = (
    "The same recipes on other splits of the same pictures; report and contract are kept, the files are not:"
)
NO_MODELS = "There are no models here: `make models` (below) makes them."
HEADER = (
    *("model", "bundles", "input", "MB", "pictures of the test split", "balanced accuracy (95 %)"),
    *("macro AUROC (95 %)", "points against float, validation split (95 %)", "ms"),
)
THRESHOLDS = (
    "The thresholds, fitted on the validation split for a sensitivity of 95 %, reach on the test split (the "
    "contracts contain those of split 0). 1.000 has no interval, because no draw of these pictures contains "
    "a missed one; it does not mean that none is missed:"
)
THRESHOLDS_HEADER = (
    *("model", "label", "split seed", "pictures of the label"),
    *("sensitivity (95 %)", "specificity left (95 %)"),
)
AMONG_HEADER = (
    *("model", "split seed", "test pictures of inflammatory conditions"),
    *("balanced accuracy (95 %)", "AUROC (95 %)"),
)
AMONG = "Among the test pictures of inflammatory conditions only, the figures of eczema are:"
LOOK_ALIKES = ("group9", "inflammatory")  # column and value: the conditions that look like eczema
SEEDS_HEADER = (
    "model",
    "split seed",
    "pictures of the test split",
    "balanced accuracy (95 %)",
    "macro AUROC (95 %)",
    "by",
    "points against float, validation split (95 %)",
    "AUROC against float, validation split (95 %)",
)
BUNDLES = {"android": "Android", "web": "web"}  # the suffix of a bundle's name, and the title of the link
RUNTIME, KERNELS, THREADS = "ai-edge-litert", "xnnpack", 1  # the setting of the column `ms`


def write(folder: Path) -> None:
    """Replace the tables between the two comments that `tests.tools.figures.marks` describes."""
    page = folder / "README.md"
    if not (page.is_file() and has_table(page, NAME)):
        sys.exit(f"{page}: has no <!-- figures: {NAME} --> for the tables")
    rewrite(page, {NAME: lambda: tables(folder)})


def tables(folder: Path) -> list[str]:
    """Return the lines of all tables, or one sentence if there is no model."""
    models = exports(folder)
    if not models:
        return [NO_MODELS]
    timing = f"`ms`: median of a picture{_how_timed(models)}; never on a phone."
    seeds = [row for model in models for row in _seeds(model)]
    other_splits = (
        ("", OTHER_SPLITS, "", *_table(SEEDS_HEADER, seeds), *_means(models))
        if len(seeds) > len(models)
        else ()
    )
    reached = [row for model in models for row in _thresholds(model)]
    thresholds = ("", THRESHOLDS, "", *_table(THRESHOLDS_HEADER, reached)) if reached else ()
    among = [row for model in models for row in _look_alikes(model)]
    look_alikes = ("", AMONG, "", *_table(AMONG_HEADER, among)) if among else ()
    return [*_table(HEADER, map(_row, models)), "", timing, *thresholds, *look_alikes, *other_splits]


def exports(folder: Path) -> list[Path]:
    """Return the folders of the models, the largest model first."""
    found = (path.parent for path in folder.glob("*/model.tflite"))
    return sorted(found, key=lambda model: (-(model / "model.tflite").stat().st_size, model.name))


def _row(model: Path) -> tuple[str, ...]:
    contract, report = _read(model / "model.json"), _read(model / "evaluation" / "report.json")
    side = read_contract(model / "model.json").picture.width
    return (
        f"[{model.name}]({model.name}/MODEL_CARD.md)",
        ", ".join(f"[{title}]({model.name}/{model.name}-{kind}.zip)" for kind, title in BUNDLES.items()),
        *(f"{side}×{side}", f"{contract['size_bytes'] / 1e6:.2f}", f"{report['n']:,}"),
        *(figure(report, "balanced_accuracy"), figure(report, "auroc")),
        points(**_change(contract, "balanced_accuracy")),
        f"{_timed(model)['median_ms']:.2f}",
    )


def _thresholds(model: Path) -> Iterator[tuple[str, ...]]:
    """Yield the sensitivity and the specificity of each threshold, on each split."""
    for seed, evaluation, _ in _splits(model):
        for reached in _read(evaluation / "report.json")["operating"]:
            figures = (figure(reached, name) for name in ("sensitivity", "specificity"))
            yield (model.name, f"`{reached['label']}`", seed, f"{reached['positives']:,}", *figures)


def _look_alikes(model: Path) -> Iterator[tuple[str, ...]]:
    """Yield the scores among the conditions that look alike, if the dataset has a column for them."""
    for seed, evaluation, _ in _splits(model):
        for part in _read(evaluation / "report.json").get("slices", ()):
            if (part["column"], part["value"]) == LOOK_ALIKES:
                figures = (figure(part, name) for name in ("balanced_accuracy", "auroc"))
                yield (model.name, seed, f"{part['n']:,}", *figures)


def _means(models: Sequence[Path]) -> Iterator[str]:
    """Yield the means over the splits, without intervals: the splits share pictures."""
    yield ""
    for model in models:
        splits = _splits(model)
        reports = [_read(evaluation / "report.json") for _, evaluation, _ in splits]
        balanced, auroc = (
            fmean(report[name] for report in reports) for name in ("balanced_accuracy", "auroc")
        )
        changes = [_change(_read(export / "model.json"), "balanced_accuracy") for _, _, export in splits]
        mean_change = points(fmean(each["difference"] for each in changes), None)
        yield (
            f"- {model.name}, mean of {count_noun(len(splits), 'split')}: balanced accuracy "
            f"{_share(balanced)}, macro AUROC {_share(auroc)}, {mean_change} points against float."
        )


def _splits(model: Path) -> list[tuple[str, Path, Path]]:
    """Return, for each split, its seed, the folder of the report and the folder of the contract."""
    others = sorted((model / "seeds").glob("[0-9]*"), key=lambda folder: int(folder.name))
    return [("0", model / "evaluation", model), *((other.name, other, other) for other in others)]


def _seeds(model: Path) -> Iterator[tuple[str, ...]]:
    for seed, evaluation, export in _splits(model):
        report, contract = _read(evaluation / "report.json"), _read(export / "model.json")
        yield (
            *(model.name, seed, f"{report['n']:,}"),
            *(figure(report, "balanced_accuracy"), figure(report, "auroc"), contract["recipe"]["method"]),
            *(points(**_change(contract, "balanced_accuracy")), shares(**_change(contract, "auroc"))),
        )


def _change(contract: dict[str, Any], metric: str) -> dict[str, Any]:
    """Return the figure of the file minus that of its float network."""
    compared = (record for split in contract["accuracy"] for record in split["figures"])
    found = next(record for record in compared if record["metric"] == metric)
    return {"difference": found["difference"], "ci95": found["ci95"]}


def figure(report: dict[str, Any], name: str) -> str:
    """Return a figure with its interval: 0.7153 → .715 (.640 to .781)."""
    value, ends = report[name], report[f"{name}_ci95"]
    around = f" ({_share(ends[0])} to {_share(ends[1])})" if ends else ""
    return f"{_share(value)}{around}"


def points(difference: float, ci95: Sequence[float] | None) -> str:
    """Return a difference in points: -0.0042 → -0.4 (-1.1 to +0.3)."""
    around = f" ({ci95[0] * 100:+.1f} to {ci95[1] * 100:+.1f})" if ci95 else ""
    return f"{difference * 100:+.1f}{around}"


def shares(difference: float, ci95: Sequence[float] | None) -> str:
    """Return a difference of shares: -0.0014 → -.001 (-.005 to +.001)."""
    around = f" ({_signed(ci95[0])} to {_signed(ci95[1])})" if ci95 else ""
    return f"{_signed(difference)}{around}"


def _how_timed(models: Sequence[Path]) -> str:
    """Return the device, the setting, the number of rounds, and the notes that limit the figures."""
    environment = _benchmark(models[0])["targets"][0]["environment"]
    device = ", ".join(filter(None, (environment.get(name) for name in ("processor", "machine", "os"))))
    timed = [_timed(model) for model in models]
    rounds = " and ".join(f"{result['rounds']:,}" for result in timed)
    warm_up = " and ".join(f"{result['warm_up_rounds']:,}" for result in timed)
    setting = f"{RUNTIME}, XNNPACK, {THREADS} thread, {rounds} rounds after {warm_up} of warm-up"
    targets = (target for model in models for target in _benchmark(model)["targets"])
    notes = dict.fromkeys(
        note.partition(" (load")[0]
        for target in targets
        for note in target["notes"]
        if NOTE_OF_PROFILE not in note  # which is not about the times
    )
    return "; ".join((f" on {device}", setting, *notes))


def _timed(model: Path) -> dict[str, Any]:
    setting = (RUNTIME, KERNELS, THREADS)
    results: list[dict[str, Any]] = _benchmark(model)["results"]
    return next(
        result for result in results if (result["runtime"], result["kernels"], result["threads"]) == setting
    )


def _benchmark(model: Path) -> dict[str, Any]:
    return _read(model / "benchmark" / "report.json")


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}".replace("0.", ".", 1)  # no -.000


def _table(header: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    write(Path(sys.argv[1]))
