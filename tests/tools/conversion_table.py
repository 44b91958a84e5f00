"""The README's table of files: `python -m tests.tools.conversion_table RUN DATASET FOLDER`.

Each recipe is converted from RUN, then all files are measured in turns on this machine, one thread, on the
test split of DATASET. FOLDER keeps the exports and the whole report; what is there is not made again.
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
WAYS = {  # folder → what is converted into it, whatever it loses: the table states it
    "measured": (*RECIPES, "--method", "ptq", "--max-drop", "100"),
    "trained": ("--int8", "--method", "qat", "--max-drop", "100"),
}
FILES = {  # what the table calls it → its export, below the folder
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
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    seconds = {way: _converted(asked, way) for way in WAYS}
    report = _measured(asked)
    sys.stdout.write("\n".join([*table(report, seconds), *_told_below(report)]) + "\n")


def _converted(asked: argparse.Namespace, way: str) -> dict[str, float]:
    """Seconds a recipe; of what was converted before, as it was written down then."""
    noted = asked.folder / f"{way}.json"
    if not noted.is_file():
        arguments = (
            str(asked.run),
            "--data",
            str(asked.dataset),
            "-o",
            str(asked.folder / way),
            "--overwrite",
        )
        noted.write_bytes(_dermpack("convert", *arguments, *WAYS[way], "--json"))
    told: dict[str, float] = json.loads(noted.read_bytes())["seconds"]
    return told


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    report = asked.folder / "report"
    if not report.is_dir():
        models = [str(asked.folder / below) for below in FILES.values()]
        how = ("--data", str(asked.dataset), "--threads", "1", "--kernels", "xnnpack", "--no-pictures")
        _dermpack("benchmark", *models, *how, "-o", str(report))
    record: dict[str, Any] = json.loads((report / "report.json").read_bytes())
    return record


def _dermpack(*arguments: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "dermpack", *arguments], stdout=subprocess.PIPE, check=True
    ).stdout


def table(report: dict[str, Any], seconds: dict[str, dict[str, float]]) -> list[str]:
    """The table, of a benchmark's report and of what each conversion took."""
    header = (*HEADER, *(f"median ms, {runtime}" for runtime in RUNTIMES))
    rows: list[Sequence[str]] = [header]
    for (title, below), model in zip(FILES.items(), report["models"], strict=True):
        way, _, recipe = below.partition("/")
        made = seconds[way][recipe or "int8"]
        rows.append((title, *_scores(report, model), f"{made:.1f}", *_medians(report, model["name"])))
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows, the first of which is the header."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return [f"| {' | '.join(row)} |" for row in ruled]


def _told_below(report: dict[str, Any]) -> list[str]:
    data, place = report["data"], report["targets"][0]["environment"]
    counted = f"{data['n']} pictures in {data['groups']} groups, split {data['split']}; 1 thread, XNNPACK"
    return ["", counted, json.dumps(place, sort_keys=True)]


def _scores(report: dict[str, Any], model: dict[str, Any]) -> tuple[str, ...]:
    answer = _told(report["answers"], model["name"])
    drop = _told(report["drops"], model["name"])
    scored, size = answer["balanced_accuracy"], f"{model['size_bytes'] / 1e6:.2f}"
    figure = f"{scored['value']:.3f} ({scored['ci95'][0]:.3f} to {scored['ci95'][1]:.3f})"
    if drop is None:
        return figure, "–", "–", size
    change = drop["balanced_accuracy"]
    return figure, points(change["difference"], change["ci95"]), f"{drop['top1_agreement']:.1%}", size


def _told(parts: list[dict[str, Any]], name: str) -> Any:
    """What the newer runtime said with XNNPACK, as an app would have it."""
    return next((of for of in parts if of["model"] == name and any(map(_is_usual, of["where"]))), None)


def _is_usual(where: dict[str, Any]) -> bool:
    return bool(where["runtime"] == RUNTIMES[0] and where["kernels"] == "xnnpack")


def _medians(report: dict[str, Any], name: str) -> list[str]:
    mine = [of for of in report["results"] if of["model"] == name and of["kernels"] == "xnnpack"]
    by_runtime = {of["runtime"]: of.get("median_ms") for of in mine}
    shown = [by_runtime.get(runtime) for runtime in RUNTIMES]
    return [f"{ms:.2f}" if ms is not None else "does not run" for ms in shown]


if __name__ == "__main__":
    main()
