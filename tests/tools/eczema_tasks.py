"""Import, train, convert and score each task of docs/eczema.md on three splits, and pool the splits.

Usage: `python -m tests.tools.eczema_tasks SOURCE FOLDER [WEIGHTS] > docs/results/eczema-tasks.json`, or
`make eczema`. WEIGHTS is Keras's file of MobileNetV2 1.0 without its top; without it, Keras downloads it.

FOLDER gets, for each task and split seed, the dataset (`a0`), the run, the export, and for both the table and
the record of `dermpack evaluate`. Existing files are used again, so the command can be interrupted. The
bootstrap draws a group that is in several test splits as one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.dataset.manifest import Split, read_dataset
from dermpack.evaluation.evaluate import column_cells
from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import compare_metric, top1_agreement
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.skin_type_gap import measure_skin_type_gap
from dermpack.metrics.slices import score_slices
from dermpack.metrics.summary import overall_figures
from dermpack.metrics.thresholds import share_figures
from dermpack.storage.codec import encode
from tests.support.paths import REPOSITORY
from tests.tools.pooled_drop import pooled

STUDIES = REPOSITORY / "trainer/studies"
EITHER = ("--positive", "eczema", "--positive", "dyshidrotic-eczema", "--name", "eczema")
IMPORTS = {  # task → how its labels are made
    "a": ("--map", str(STUDIES / "eczema-look-alikes.csv")),
    "b": (*EITHER, "--negative-name", "other"),
    "c": (),
    "d": ("--map", str(STUDIES / "eczema-four.csv")),
}
ECZEMA, WANTED = "eczema", "eczema=0.95"  # the label, and its sensitivity
SEEDS = ("0", "1", "2")
KINDS = ("float", "int8")
SHOWN = ("balanced_accuracy", "auroc", "accuracy", "top5", "macro_f1")
COMPARED = ("balanced_accuracy", "auroc", "accuracy")
SLICED = ("skin_type", "source")
DIGITS = 5


def main() -> None:
    """Make what is missing, and print the record of every task."""
    source, folder, *weights = map(Path, sys.argv[1:])
    starting = ("--weights", str(weights[0])) if weights else ()
    for seed in SEEDS:
        for task in IMPORTS:
            _make(source, folder, task, seed, starting)
    record = {task: _task(folder, task) for task in IMPORTS}
    sys.stdout.write(json.dumps(rounded(record), indent=1, sort_keys=True) + "\n")


def _make(source: Path, folder: Path, task: str, seed: str, starting: tuple[str, ...]) -> None:
    """Import, train, convert and score one task on one split."""
    name = f"{task}{seed}"
    dataset, run, export = (str(folder / each) for each in (name, f"run-{name}", f"int8-{name}"))
    steps = {
        dataset: ("data", "import", str(source), "--group", "series", "--seed", seed, *IMPORTS[task]),
        run: ("train", dataset, "--recipe", "eczema", "--sensitivity", WANTED, *starting),
        export: ("convert", run, "--int8", "--method", "ptq", "--max-drop", "100"),
    }
    for output, arguments in steps.items():
        if not Path(output).exists():
            _dermpack(*arguments, "-o", output)
    sliced = [word for column in SLICED for word in ("--slice", column)]
    for kind, model in zip(KINDS, (run, export), strict=True):
        table = folder / f"{kind}-{name}.csv"
        if not table.is_file():
            scored = _dermpack("evaluate", model, dataset, *sliced, "--predictions", str(table), "--json")
            table.with_suffix(".json").write_text(scored, encoding="utf-8")


def _dermpack(*arguments: str) -> str:
    command = [sys.executable, "-m", "dermpack", *arguments, "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _task(folder: Path, task: str) -> dict[str, Any]:
    seeds = [seed for seed in SEEDS if (folder / f"int8-{task}{seed}.csv").is_file()]
    tables = {kind: [folder / f"{kind}-{task}{seed}.csv" for seed in seeds] for kind in KINDS}
    predictions = {kind: pooled(paths) for kind, paths in tables.items()}
    cells = {column: _cells(folder, task, seeds, column) for column in SLICED}
    counts = [read_dataset(folder / f"{task}{seed}").counts() for seed in seeds]
    first = predictions["float"]
    gap = measure_skin_type_gap(first, "skin_type", cells["skin_type"])
    differences = {
        name: encode(compare_metric(first, predictions["int8"], OVERALL[name])) for name in COMPARED
    }
    return {
        "classes": list(first.classes),
        "seeds": [int(seed) for seed in seeds],
        "counts": counts,
        "pooled": {"n": len(first), "groups": int(first.group_codes().max()) + 1},
        **{kind: _figures(folder, task, seeds, kind, predictions[kind]) for kind in KINDS},
        "int8_minus_float": {**differences, "agreement": top1_agreement(first, predictions["int8"])},
        "slices": [
            _slice(part.record()) for column in SLICED for part in score_slices(first, column, cells[column])
        ],
        "skin_type_gap": gap and {**gap.record(), "sentence": gap.sentence},
    }


def _cells(folder: Path, task: str, seeds: Sequence[str], column: str) -> list[str]:
    datasets = [read_dataset(folder / f"{task}{seed}") for seed in seeds]
    return [cell for dataset in datasets for cell in column_cells(dataset, Split.TEST, column)]


def _figures(
    folder: Path, task: str, seeds: Sequence[str], kind: str, predictions: Predictions
) -> dict[str, Any]:
    """Return the pooled figures, those of each split, and what the fitted sensitivities cost."""
    records = [json.loads((folder / f"{kind}-{task}{seed}.json").read_text()) for seed in seeds]
    overall = overall_figures(predictions, resamples=RESAMPLES, seed=0)
    pooled_figures = {
        name: value
        for name in SHOWN
        for name, value in ((name, overall[name].value), (f"{name}_ci95", overall[name].ci95))
    }
    splits = [
        {key: record[key] for name in SHOWN for key in (name, f"{name}_ci95")} | {"n": record["n"]}
        for record in records
    ]
    return {"pooled": pooled_figures, "splits": splits, "operating": _operating(records, predictions)}


def _operating(records: Sequence[dict[str, Any]], predictions: Predictions) -> dict[str, Any]:
    """Return what the thresholds of eczema reach, each split with that of its own run."""
    index = predictions.classes.index(ECZEMA)
    thresholds = np.array(
        [next(p["threshold"] for p in record["operating"] if p["label"] == ECZEMA) for record in records]
    )
    of_split = np.repeat(thresholds, [record["n"] for record in records])
    is_flagged, is_eczema = predictions.probabilities[:, index] >= of_split, predictions.truth == index
    parts = {"sensitivity": (is_flagged, is_eczema), "specificity": (~is_flagged, ~is_eczema)}
    figures = share_figures(predictions, parts, resamples=RESAMPLES, seed=0)
    return {"positives": int(is_eczema.sum()), "figures": encode(figures)}


def _slice(record: dict[str, Any]) -> dict[str, Any]:
    names = ("column", "value", "n", "groups", "labels", "warning")
    figures = (key for name in ("balanced_accuracy", "auroc") for key in (name, f"{name}_ci95"))
    return {name: record[name] for name in (*names, *figures)}


def rounded(value: Any) -> Any:
    """Return a record with fewer digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return round(value, DIGITS) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
