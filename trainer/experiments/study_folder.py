"""The folder of a study while it grows: runs, what they answered, and who works in it.

runs/NAME            a run folder each
state/study.json     which dataset it is of
state/lock           held by the one process that works in it
state/NAME/          clock.json (seconds trained), log.txt (of a process that died), answers of the network
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import OutputError
from dermpack.metrics.predictions import Floats
from dermpack.storage.files import json_text, read_json, write_text
from trainer.data.array_file import read_arrays
from trainer.fitting.checkpoint import CHECKPOINT_FILE
from trainer.recipe.recipe import RUN_FILE, Recipe
from trainer.runs.folder_lock import held
from trainer.runs.partial_run import ASKED_FILE, DATASET, partial_of

MARKER = "state/study.json"
PROBABILITIES = "probabilities"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipePaths:
    """Where one recipe's things are."""

    folder: Path
    name: str

    @property
    def run(self) -> Path:
        return self.folder / "runs" / self.name

    @property
    def state(self) -> Path:
        return self.folder / "state" / self.name

    @property
    def clock(self) -> Path:
        return self.state / "clock.json"

    @property
    def log(self) -> Path:
        return self.state / "log.txt"

    @property
    def is_trained(self) -> bool:
        return (self.run / RUN_FILE).is_file()

    def answers(self, dataset: Dataset, split: Split) -> Path:
        return self.state / f"{split.value}-{dataset.sha256[:16]}.npz"

    def seconds(self) -> float:
        """Trained, over all attempts."""
        return float(read_json(self.clock)["seconds"]) if self.clock.is_file() else 0.0

    def clear(self) -> None:
        for folder in (self.run, partial_of(self.run), self.state):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def study_folder(folder: Path, dataset: Dataset, *, overwrite: bool) -> Iterator[None]:
    """Hold the folder, new or as a study of the same dataset left it."""
    with held(folder, marker=MARKER):
        (folder / "runs").mkdir(exist_ok=True)
        _claim(folder, dataset, overwrite=overwrite)
        yield


def changed(place: RecipePaths, recipe: Recipe) -> str:
    """The first option that differs from what was trained, or is being trained, under this name."""
    old = _asked(place)
    new = recipe.record()
    differing = [name for name in sorted(new) if old is not None and old.get(name) != new[name]]
    return f"{differing[0]}: {(old or {}).get(differing[0])}, now {new[differing[0]]}" if differing else ""


def read_answers(path: Path) -> Floats:
    found: Floats = read_arrays(path)[PROBABILITIES]
    return found


def _asked(place: RecipePaths) -> Mapping[str, Any] | None:
    partial = partial_of(place.run)
    begun = partial / ASKED_FILE if any(partial.rglob(CHECKPOINT_FILE)) else None
    for path in (place.run / RUN_FILE, begun):
        if path is not None and path.is_file():
            recipe: Mapping[str, Any] = read_json(path).get("recipe", {})
            return recipe
    return None


def _claim(folder: Path, dataset: Dataset, *, overwrite: bool) -> None:
    path = folder / MARKER
    asked = {"schema": SCHEMA, DATASET: dataset.sha256}
    if path.is_file() and read_json(path) != asked:
        if not overwrite:
            what = "already contains a study of another dataset"
            hint = "Choose another output, or add --overwrite to start again."
            raise OutputError(folder, what, hint, code="output-mismatch")
        for name in ("runs", "state"):
            for child in (folder / name).iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
    write_text(path, json_text(asked))
