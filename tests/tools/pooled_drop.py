"""Print the loss of int8 over several test splits: `python -m tests.tools.pooled_drop FLOAT.csv INT8.csv …`.

The files are tables of `dermpack evaluate --predictions`, in pairs. The bootstrap draws a group that is in
several splits as one.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dermpack.metrics.definitions import weighted_accuracy, weighted_auroc, weighted_balanced_accuracy
from dermpack.metrics.intervals import compare_metric, mcnemar, top1_agreement
from dermpack.metrics.predictions import Predictions, as_truth

METRICS = {
    "balanced_accuracy": weighted_balanced_accuracy,
    "accuracy": weighted_accuracy,
    "auroc": weighted_auroc,
}


def main() -> None:
    """Print the paired differences as JSON."""
    paths = [Path(name) for name in sys.argv[1:]]
    first, second = pooled(paths[0::2]), pooled(paths[1::2])
    record = {
        **{name: asdict(compare_metric(first, second, metric)) for name, metric in METRICS.items()},
        "n": len(first),
        "groups": int(first.group_codes().max()) + 1,
        "agreement": top1_agreement(first, second),
        "mcnemar": asdict(mcnemar(first, second)),
    }
    sys.stdout.write(json.dumps(record, indent=2) + "\n")


def pooled(paths: Sequence[Path]) -> Predictions:
    """Return the predictions of all tables as one set."""
    tables = [list(csv.reader(path.open(encoding="utf-8", newline=""))) for path in paths]
    classes = tuple(tables[0][0][4:])
    assert all(tuple(table[0][4:]) == classes for table in tables), "the tables have different classes"
    rows = [(index, row) for index, table in enumerate(tables) for row in table[1:]]
    return Predictions(
        classes=classes,
        pictures=tuple(f"{index}/{row[0]}" for index, row in rows),
        groups=tuple(row[1] for _, row in rows),
        truth=as_truth([classes.index(row[2]) for _, row in rows]),
        probabilities=np.array([[float(cell) for cell in row[4:]] for _, row in rows]),
    )


if __name__ == "__main__":
    main()
