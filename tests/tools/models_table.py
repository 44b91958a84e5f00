"""Write the tables of FOLDER/README.md, of the reports in it: `python -m tests.tools.models_table FOLDER`."""

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

NAME = "references"  # of the tables, between marks
OTHER_SPLITS = (
    "The same recipes on other splits of the same pictures; report and contract are kept, the files are not:"
)
NONE_YET = "None lies here yet: `make models` (below) makes them."
HEADER = (
    *("model", "bundles", "input", "MB", "pictures of the test split", "balanced accuracy (95 %)"),
    *("macro AUROC (95 %)", "points against float, validation split (95 %)", "ms"),
)
THRESHOLDS = (
    "The thresholds, fitted on the validation split for a sensitivity of 95 %, reach on the test split (the "
    "contracts contain those of split 0):"
)
THRESHOLDS_HEADER = (
    *("model", "label", "split seed", "pictures of the label"),
    *("sensitivity (95 %)", "specificity left (95 %)"),
)
ALIKE_HEADER = (
    *("model", "split seed", "test pictures of inflammatory conditions"),
    *("balanced accuracy (95 %)", "AUROC (95 %)"),
)
ALIKE = "Among the test pictures of inflammatory conditions only, the figures of eczema are:"
LOOK_ALIKES = ("group9", "inflammatory")  # column and value: the conditions that eczema is taken for
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
BUNDLES = {"android": "Android", "web": "web"}  # the end of a bundle's name, and its title
RUNTIME, KERNELS, THREADS = "ai-edge-litert", "xnnpack", 1  # what `ms` is measured with


def write(folder: Path) -> None:
    """Replace what stands between the marks, by the rule of `python -m tests.tools.figures`."""
    page = folder / "README.md"
    if not (page.is_file() and has_table(page, NAME)):
        sys.exit(f"{page}: has no marks for the tables; put the one of models there")
    rewrite(page, {NAME: lambda: tables(folder)})


def tables(folder: Path) -> list[str]:
    """All tables, or the one sentence where there is no model."""
    models = exports(folder)
    if not models:
        return [NONE_YET]
    told = f"`ms`: median of a picture{_how_timed(models)}; never on a phone."
    seeds = [row for model in models for row in _seeds(model)]
    others = (
        ("", OTHER_SPLITS, "", *_table(SEEDS_HEADER, seeds), *_means(models))
        if len(seeds) > len(models)
        else ()
    )
    called = [row for model in models for row in _thresholds(model)]
    thresholds = ("", THRESHOLDS, "", *_table(THRESHOLDS_HEADER, called)) if called else ()
    alike = [row for model in models for row in _look_alikes(model)]
    among = ("", ALIKE, "", *_table(ALIKE_HEADER, alike)) if alike else ()
    return [*_table(HEADER, map(_row, models)), "", told, *thresholds, *among, *others]


def exports(folder: Path) -> list[Path]:
    """The unpacked models, the largest first."""
    found = (path.parent for path in folder.glob("*/model.tflite"))
    return sorted(found, key=lambda of: (-(of / "model.tflite").stat().st_size, of.name))


def _row(model: Path) -> tuple[str, ...]:
    contract, report = _read(model / "model.json"), _read(model / "evaluation" / "report.json")
    side = read_contract(model / "model.json").picture.width
    return (
        f"[{model.name}]({model.name}/MODEL_CARD.md)",
        ", ".join(f"[{title}]({model.name}/{model.name}-{kind}.zip)" for kind, title in BUNDLES.items()),
        *(f"{side}×{side}", f"{contract['size_bytes'] / 1e6:.2f}", f"{report['n']:,}"),
        *(figure(report, "balanced_accuracy"), figure(report, "auroc")),
        points(**_lost(contract, "balanced_accuracy")),
        f"{_timed(model)['median_ms']:.2f}",
    )


def _thresholds(model: Path) -> Iterator[tuple[str, ...]]:
    """What each threshold reaches, and what it costs."""
    for seed, evaluation, _ in _splits(model):
        for reached in _read(evaluation / "report.json")["operating"]:
            figures = (figure(reached, name) for name in ("sensitivity", "specificity"))
            yield (model.name, f"`{reached['label']}`", seed, f"{reached['positives']:,}", *figures)


def _look_alikes(model: Path) -> Iterator[tuple[str, ...]]:
    """How well a model does among the conditions that are alike, where the data says which they are."""
    for seed, evaluation, _ in _splits(model):
        for part in _read(evaluation / "report.json").get("slices", ()):
            if (part["column"], part["value"]) == LOOK_ALIKES:
                figures = (figure(part, name) for name in ("balanced_accuracy", "auroc"))
                yield (model.name, seed, f"{part['n']:,}", *figures)


def _means(models: Sequence[Path]) -> Iterator[str]:
    """The splits share pictures: an interval of their mean would be too narrow."""
    yield ""
    for model in models:
        splits = _splits(model)
        reports = [_read(evaluation / "report.json") for _, evaluation, _ in splits]
        balanced, auroc = (fmean(report[of] for report in reports) for of in ("balanced_accuracy", "auroc"))
        lost = [_lost(_read(export / "model.json"), "balanced_accuracy") for _, _, export in splits]
        change = points(fmean(of["difference"] for of in lost), None)
        yield (
            f"- {model.name}, mean of {count_noun(len(splits), 'split')}: balanced accuracy "
            f"{_share(balanced)}, macro AUROC {_share(auroc)}, {change} points against float."
        )


def _splits(model: Path) -> list[tuple[str, Path, Path]]:
    """Seed, folder of the report, folder of the contract."""
    others = sorted((model / "seeds").glob("[0-9]*"), key=lambda of: int(of.name))
    return [("0", model / "evaluation", model), *((other.name, other, other) for other in others)]


def _seeds(model: Path) -> Iterator[tuple[str, ...]]:
    for seed, evaluation, export in _splits(model):
        report, contract = _read(evaluation / "report.json"), _read(export / "model.json")
        yield (
            *(model.name, seed, f"{report['n']:,}"),
            *(figure(report, "balanced_accuracy"), figure(report, "auroc"), contract["recipe"]["method"]),
            *(points(**_lost(contract, "balanced_accuracy")), shares(**_lost(contract, "auroc"))),
        )


def _lost(contract: dict[str, Any], metric: str) -> dict[str, Any]:
    """What the file has more than its network."""
    figures = (of for split in contract["accuracy"] for of in split["figures"])
    found = next(of for of in figures if of["metric"] == metric)
    return {"difference": found["difference"], "ci95": found["ci95"]}


def figure(report: dict[str, Any], name: str) -> str:
    """0.7153 → .715 (.640 to .781)."""
    value, ends = report[name], report[f"{name}_ci95"]
    around = f" ({_share(ends[0])} to {_share(ends[1])})" if ends else ""
    return f"{_share(value)}{around}"


def points(difference: float, ci95: Sequence[float] | None) -> str:
    """-0.0042 → -0.4 (-1.1 to +0.3)."""
    around = f" ({ci95[0] * 100:+.1f} to {ci95[1] * 100:+.1f})" if ci95 else ""
    return f"{difference * 100:+.1f}{around}"


def shares(difference: float, ci95: Sequence[float] | None) -> str:
    """-0.0014 → -.001 (-.005 to +.001)."""
    around = f" ({_signed(ci95[0])} to {_signed(ci95[1])})" if ci95 else ""
    return f"{_signed(difference)}{around}"


def _how_timed(models: Sequence[Path]) -> str:
    """On which device, by what, in how many rounds, and what makes the figures worth less."""
    about = _benchmark(models[0])["targets"][0]["environment"]
    device = ", ".join(filter(None, (about.get("processor"), about.get("machine"), about.get("os"))))
    timed = [_timed(model) for model in models]
    rounds = " and ".join(f"{of['rounds']:,}" for of in timed)
    warm_up = " and ".join(f"{of['warm_up_rounds']:,}" for of in timed)
    how = f"{RUNTIME}, XNNPACK, {THREADS} thread, {rounds} rounds after {warm_up} of warm-up"
    places = (place for model in models for place in _benchmark(model)["targets"])
    notes = dict.fromkeys(
        note.partition(" (load")[0]
        for place in places
        for note in place["notes"]
        if NOTE_OF_PROFILE not in note  # it says nothing about the times
    )
    return "; ".join((f" on {device}", how, *notes))


def _timed(model: Path) -> dict[str, Any]:
    wanted = (RUNTIME, KERNELS, THREADS)
    results: list[dict[str, Any]] = _benchmark(model)["results"]
    return next(of for of in results if (of["runtime"], of["kernels"], of["threads"]) == wanted)


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
