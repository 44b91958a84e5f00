"""The corpus: small generated inputs of each class to begin with, and every input that once failed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
# The folders of what once failed, in the folder of each class; the slow ones are repeated by make slow.
FAILED, SLOW = "failed", "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input: the name, which decides how it is read, and the content."""

    name: str
    data: bytes = field(repr=False)  # Hypothesis shows a case that fails


def read_corpus(class_name: str) -> list[Case]:
    """Return the cases of a class, sorted by their paths."""
    folder = CORPUS / class_name
    seeds = [Case(name=path.name, data=path.read_bytes()) for path in _files(folder)]
    return [*seeds, *read_failed(class_name)]


def read_failed(class_name: str, folder: str = FAILED) -> list[Case]:
    """Return the cases of a class that once failed; the name follows the hash and a dash."""
    files = _files(CORPUS / class_name / folder)
    return [Case(name=path.name.partition("-")[2], data=path.read_bytes()) for path in files]


def store_failed(class_name: str, case: Case) -> Path:
    """Write a case that failed into the corpus, where a test repeats it."""
    digest = hashlib.sha256(case.data).hexdigest()[:12]
    path = CORPUS / class_name / FAILED / f"{digest}-{case.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.data)
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
