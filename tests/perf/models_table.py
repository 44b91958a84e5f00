"""Write the tables of models/README.md: `python -m tests.perf.models_table FOLDER`, of the reports in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- written by make models-table -->", "<!-- until here -->"
OTHER_SPLITS = "The same recipes on other splits of the same pictures; of those nothing else is kept:"
NONE_YET = "None lies here yet: `make models` (below) makes them."
HEADER = (
    *("model", "bundle", "input", "MB", "pictures of the test split", "balanced accuracy (95 %)"),
    *("macro AUROC (95 %)", "points against float, validation split (95 %)", "ms"),
)
SEEDS_HEADER = (
    "model",
    "split seed",
    "pictures of the test split",
    "balanced accuracy (95 %)",
    "macro AUROC (95 %)",
)
RUNTIME, KERNELS, THREADS = "ai-edge-litert", "xnnpack", 1  # what `ms` is measured with


def main() -> None:
    """Replace what stands between the two marks."""
    readme = Path(sys.argv[1]) / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n\n{tables(readme.parent)}\n\n{END}{after}", encoding="utf-8")


def tables(folder: Path) -> str:
    """Both tables, or the one sentence where there is no model."""
    models = exports(folder)
    if not models:
        return NONE_YET
    device = _speed(models[0])[1]
    told = f"`ms`: median of a picture on {device}; {RUNTIME}, XNNPACK, {THREADS} thread; never on a phone."
    seeds = [row for model in models for row in _seeds(model)]
    others = ("", OTHER_SPLITS, "", *_table(SEEDS_HEADER, seeds)) if len(seeds) > len(models) else ()
    return "\n".join((*_table(HEADER, map(_row, models)), "", told, *others))


def exports(folder: Path) -> list[Path]:
    """The unpacked models, the largest first."""
    found = (path.parent for path in folder.glob("*/model.tflite"))
    return sorted(found, key=lambda of: (-(of / "model.tflite").stat().st_size, of.name))


def _row(model: Path) -> tuple[str, ...]:
    contract, report = _read(model / "model.json"), _read(model / "evaluation" / "report.json")
    side = contract["input"]["width"]
    lost = next(
        of for split in contract["accuracy"] for of in split["figures"] if of["metric"] == "balanced_accuracy"
    )
    return (
        f"[{model.name}]({model.name}/MODEL_CARD.md)",
        f"[zip]({model.name}.zip)",
        *(f"{side}×{side}", f"{contract['size_bytes'] / 1e6:.2f}", f"{report['n']:,}"),
        *(figure(report, "balanced_accuracy"), figure(report, "auroc")),
        points(lost["difference"], lost["ci95"]),
        _speed(model)[0],
    )


def _seeds(model: Path) -> Iterator[tuple[str, ...]]:
    reports = {"0": model / "evaluation" / "report.json"}
    reports |= {path.stem: path for path in sorted((model / "seeds").glob("*.json"))}
    for seed, path in reports.items():
        report = _read(path)
        yield (
            *(model.name, seed, f"{report['n']:,}"),
            *(figure(report, "balanced_accuracy"), figure(report, "auroc")),
        )


def figure(report: dict[str, Any], name: str) -> str:
    """0.7153 → .715 (.640 to .781)."""
    value, ends = report[name], report[f"{name}_ci95"]
    around = f" ({_share(ends[0])} to {_share(ends[1])})" if ends else ""
    return f"{_share(value)}{around}"


def points(difference: float, ci95: Sequence[float] | None) -> str:
    """-0.0042 → -0.4 (-1.1 to +0.3)."""
    around = f" ({ci95[0] * 100:+.1f} to {ci95[1] * 100:+.1f})" if ci95 else ""
    return f"{difference * 100:+.1f}{around}"


def _speed(model: Path) -> tuple[str, str]:
    """Milliseconds, and on which device."""
    report = _read(model / "benchmark" / "report.json")
    wanted = (RUNTIME, KERNELS, THREADS)
    of = next(of for of in report["results"] if (of["runtime"], of["kernels"], of["threads"]) == wanted)
    about = report["targets"][0]["environment"]
    device = ", ".join(filter(None, (about.get("processor"), about.get("machine"), about.get("os"))))
    return f"{of['median_ms']:.2f}", device


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _table(header: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    main()
