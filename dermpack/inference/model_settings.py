"""Read what a model needs to be told of: its labels, how pictures become squares, its temperature."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.contract import CONTRACT_FILE, contract_from
from dermpack.errors import TableError
from dermpack.imaging import Policy
from dermpack.inference.model_bytes import read_model
from dermpack.storage.files import cannot_read, read_json, sha256_of

MAX_LABELS_BYTES = 1 << 20
MAX_LABELS = 10_000
AGAIN = "Convert the run again, or give the labels with --labels FILE."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The labels in the order of the outputs; what is left out has the program's own default."""

    labels: tuple[str, ...]
    policy: Policy = Policy.CENTRE_SQUARE
    temperature: float = 1.0
    floor: float = 0.0  # what a probability below it is taken for, before the temperature


def find_sidecar(model: Path) -> Path | None:
    """The file that speaks of the model: a.tflite → a.json, else model.json, else None."""
    beside = (model.with_suffix(".json"), model.with_name(CONTRACT_FILE))
    return next((path for path in beside if path.is_file()), None)


def read_sidecar(path: Path, *, of: Path | None = None) -> ModelSettings:
    """Read the contract beside a model; of a JSON file that is none, the labels alone.

    A contract of another model than `of`, where that is named, is refused.
    """
    record = read_json(path)
    if "schema" not in record:
        return ModelSettings(labels=_checked(record.get("labels"), path))
    contract = contract_from(record, where=path)
    if of is not None and contract.sha256 != sha256_of(read_model(of)):
        hint = "Convert the run again, or give --labels FILE to ignore the contract."
        raise TableError(path, f"describes another model than {of.name}", hint, code="contract-mismatch")
    known = {policy.value: policy for policy in Policy}
    if contract.input.policy not in known:
        what = f"the input policy {contract.input.policy!r} is not one of {', '.join(known)}"
        raise TableError(path, what, AGAIN, code="invalid-contract")
    temperature = contract.output.temperature
    return ModelSettings(
        labels=contract.labels,
        policy=known[contract.input.policy],
        temperature=temperature.value if temperature else 1.0,
        floor=temperature.floor if temperature else 0.0,
    )


def read_labels(path: Path) -> ModelSettings:
    """Read a list of labels: one a line, or a JSON list."""
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            what = f"larger than {MAX_LABELS_BYTES >> 20} MiB"
            raise TableError(path, what, "Give a list of labels.", code="file-too-large")
        text = path.read_text(encoding="utf-8-sig")
        listed = json.loads(text) if text.lstrip().startswith("[") else _lines(text)
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, RecursionError) as error:
        what = f"not a list of labels ({error})"
        raise TableError(path, what, "Write one label per line.", code="invalid-labels") from error
    return ModelSettings(labels=_checked(listed, path))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _checked(listed: Any, path: Path) -> tuple[str, ...]:
    names = listed if isinstance(listed, list) else []
    if not 2 <= len(names) <= MAX_LABELS or not all(isinstance(name, str) and name for name in names):
        what = f"must contain a list of 2 to {MAX_LABELS} labels"
        raise TableError(path, what, AGAIN, code="invalid-labels")
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise TableError(path, f"contains the label {twice[0]!r} twice", AGAIN, code="invalid-labels")
    return tuple(names)
