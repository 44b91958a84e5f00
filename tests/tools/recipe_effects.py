"""Print what each change of a recipe gives: `python -m tests.tools.recipe_effects DATASET BASE RUN…`.

The runs are those of `dermpack study DATASET trainer/studies/recipe-steps.toml`. Each is scored on the
validation split of the dataset, and compared with the first one on the same pictures. The split must be one
that no published figure is from, because recipes are chosen by it. The file RUN.seconds, next to a run,
contains the time of its training.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import OVERALL
from dermpack.metrics.intervals import compare_metric
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import overall_figures
from dermpack.storage.codec import encode
from tests.tools.eczema_tasks import rounded
from tests.tools.pooled_drop import pooled

METRICS = ("balanced_accuracy", "auroc")


def main() -> None:
    """Score the runs, and print the record."""
    dataset, *runs = map(Path, sys.argv[1:])
    scored = {run: _predictions(run, dataset) for run in runs}
    base = scored[runs[0]]
    record = {
        "split_seed": json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["options"]["seed"],
        "n": len(base),
        "base": runs[0].name,
        "recipes": {
            run.name: {
                **_figures(predictions),
                "seconds": _seconds(run),
                "minus_base": {
                    metric: encode(compare_metric(base, predictions, OVERALL[metric])) for metric in METRICS
                },
            }
            for run, predictions in scored.items()
        },
    }
    sys.stdout.write(json.dumps(rounded(record), indent=1, sort_keys=True) + "\n")


def _predictions(run: Path, dataset: Path) -> Predictions:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "predictions.csv"
        command = [sys.executable, "-m", "dermpack", "evaluate", str(run), str(dataset), "--split"]
        command += ["validation", "--predictions", str(table), "--quiet", "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return pooled([table])


def _seconds(run: Path) -> float | None:
    path = run.with_name(f"{run.name}.seconds")
    return float(path.read_text(encoding="utf-8")) if path.is_file() else None


def _figures(predictions: Predictions) -> dict[str, Any]:
    overall = overall_figures(predictions, resamples=RESAMPLES, seed=0)
    return {
        key: value
        for name in METRICS
        for key, value in ((name, overall[name].value), (f"{name}_ci95", overall[name].ci95))
    }


if __name__ == "__main__":
    main()
