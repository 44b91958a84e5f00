"""Print the table of quantizations in the documentation.

    python -m tests.tools.conversion_table RUN DATASET FOLDER

RUN is converted to each quantization, then all files are measured in turns on this machine, with one thread,
on the test split of DATASET. The exports and the report are kept in FOLDER; existing ones are used again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tools.models_table import points

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
RECIPES = ("--float32", "--float16", "--dynamic", "--int8", "--int16x8")
CONVERSIONS = {  # folder → options; with any loss of accuracy, which the table shows
    "measured": (*RECIPES, "--method", "ptq", "--max-drop", "100"),
    "trained": ("--int8", "--method", "qat", "--max-drop", "100"),
}
FILES = {  # name in the table → export, relative to the folder
    "float32": "measured/float32",
    "float16": "measured/float16",
    "dynamic": "measured/dynamic",
    "int8 PTQ": "measured/int8",
    "int8 QAT": "trained",
    "int16x8": "measured/int16x8",
}
HEADER = ("file", "balanced accuracy (95 %)", "points against float32", "same label", "MB", "conversion, s")


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "dataset", "folder"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    seconds = {name: _convert(arguments, name) for name in CONVERSIONS}
    report = _benchmark(arguments)
    sys.stdout.write("\n".join([*table(report, seconds), *_describe_measurement(report)]) + "\n")


def _convert(arguments: argparse.Namespace, name: str) -> dict[str, float]:
    """Convert the run, unless that was done before; return the recorded seconds of each quantization."""
    record = arguments.folder / f"{name}.json"
    if not record.is_file():
        output = str(arguments.folder / name)
        options = ("--data", str(arguments.dataset), "-o", output, "--overwrite", *CONVERSIONS[name])
        record.write_bytes(_dermpack("convert", str(arguments.run), *options, "--json"))
    seconds: dict[str, float] = json.loads(record.read_bytes())["seconds"]
    return seconds


def _benchmark(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all files, unless that was done before; return the report."""
    report = arguments.folder / "report"
    if not report.is_dir():
        models = [str(arguments.folder / export) for export in FILES.values()]
        options = ("--data", str(arguments.dataset), "--threads", "1", "--kernels", "xnnpack")
        _dermpack("benchmark", *models, *options, "--no-pictures", "-o", str(report))
    record: dict[str, Any] = json.loads((report / "report.json").read_bytes())
    return record


def _dermpack(*arguments: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "dermpack", *arguments], stdout=subprocess.PIPE, check=True
    ).stdout


def table(report: dict[str, Any], seconds: dict[str, dict[str, float]]) -> list[str]:
    """Return the table from a benchmark report and the seconds of each conversion."""
    header = (*HEADER, *(f"median ms, {runtime}" for runtime in RUNTIMES))
    rows: list[Sequence[str]] = [header]
    for (title, export), model in zip(FILES.items(), report["models"], strict=True):
        folder, _, quantization = export.partition("/")
        conversion_s = seconds[folder][quantization or "int8"]
        medians = _medians(report, model["name"])
        rows.append((title, *_scores(report, model), f"{conversion_s:.1f}", *medians))
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown; the first row is the header."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return [f"| {' | '.join(row)} |" for row in ruled]


def _describe_measurement(report: dict[str, Any]) -> list[str]:
    data, environment = report["data"], report["targets"][0]["environment"]
    counts = f"{data['n']} pictures in {data['groups']} groups, split {data['split']}; 1 thread, XNNPACK"
    return ["", counts, json.dumps(environment, sort_keys=True)]


def _scores(report: dict[str, Any], model: dict[str, Any]) -> tuple[str, ...]:
    answer = _of_newer_runtime(report["answers"], model["name"])
    drop = _of_newer_runtime(report["drops"], model["name"])
    scored, size = answer["balanced_accuracy"], f"{model['size_bytes'] / 1e6:.2f}"
    figure = f"{scored['value']:.3f} ({scored['ci95'][0]:.3f} to {scored['ci95'][1]:.3f})"
    if drop is None:
        return figure, "–", "–", size
    change = drop["balanced_accuracy"]
    return figure, points(change["difference"], change["ci95"]), f"{drop['top1_agreement']:.1%}", size


def _of_newer_runtime(parts: list[dict[str, Any]], name: str) -> Any:
    """Return the part about a model on the newer runtime with XNNPACK, as in an app, or None."""
    for part in parts:
        for setting in part["where"]:
            if (part["model"], setting["runtime"], setting["kernels"]) == (name, RUNTIMES[0], "xnnpack"):
                return part
    return None


def _medians(report: dict[str, Any], name: str) -> list[str]:
    by_runtime = {
        result["runtime"]: result.get("median_ms")
        for result in report["results"]
        if result["model"] == name and result["kernels"] == "xnnpack"
    }
    shown = [by_runtime.get(runtime) for runtime in RUNTIMES]
    return [f"{ms:.2f}" if ms is not None else "does not run" for ms in shown]


if __name__ == "__main__":
    main()
