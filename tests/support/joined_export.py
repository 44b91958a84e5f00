"""Make files with everything at once: patient metadata in, evidence maps and distances out."""

from __future__ import annotations

from pathlib import Path

from dermpack.cli import main
from tests.conftest import TINY
from tests.support.known_patients import METADATA, write_known_patients

OUTPUTS = frozenset(("probabilities", "evidence", "metadata_evidence", "familiarity"))
ASKED = ("--evidence", "--familiarity", "--max-drop", "100", "--quiet")


def train_both(folder: Path) -> tuple[Path, Path]:
    """Train a tiny network on pictures and metadata; return its dataset and its run."""
    dataset, run = folder / "dataset", folder / "both"
    write_known_patients(dataset)
    options = (*TINY, *METADATA, "--rate", "0.005", "--epochs", "3", "--quiet")
    assert main(["train", str(dataset), "-o", str(run), *options]) == 0
    return dataset, run


def convert_joined(run: Path, folder: Path, *recipes: str, method: str = "ptq") -> Path:
    """Convert the run with evidence map and distance; return the folder."""
    options = (*(f"--{recipe}" for recipe in recipes), "--method", method, *ASKED)
    assert main(["convert", str(run), "-o", str(folder), *options]) == 0
    return folder
