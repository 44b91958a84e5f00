"""Read a .tflite and the settings next to it: its labels, the policy of its pictures, its temperature."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.contract import CONTRACT_FILE, parse_contract
from dermpack.errors import InputError, TableError
from dermpack.imaging import Policy
from dermpack.storage.files import read_error, read_json, sha256_of

MAX_MODEL_BYTES = 512 << 20  # five times the largest network we know of
IDENTIFIER, IDENTIFIER_OFFSET = b"TFL3", 4  # of the flatbuffer
ZIP = b"PK\x03\x04"  # the first bytes of a bundle
GIVE_TFLITE = "Give the path of a .tflite file."
MAX_LABELS_BYTES = 1 << 20
MAX_LABELS = 10_000
AGAIN = "Convert the run again, or give the labels with --labels FILE."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The labels in the order of the outputs; the other fields have the program's defaults."""

    labels: tuple[str, ...]
    policy: Policy = Policy.CENTRE_SQUARE
    temperature: float = 1.0
    floor: float = 0.0  # probabilities are raised to it before the temperature is applied


def read_model(path: Path) -> bytes:
    """Return the content of a .tflite after checking its type and size, or raise InputError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(path, "not a regular file", GIVE_TFLITE, code="not-a-file")
        if status.st_size > MAX_MODEL_BYTES:
            what = f"larger than {MAX_MODEL_BYTES >> 20} MiB"
            raise InputError(path, what, "Give a smaller model.", code="file-too-large")
        data = path.read_bytes()
    except FileNotFoundError as error:
        hint = "Give a .tflite file or an export folder."
        raise InputError(path, "the model does not exist", hint, code="model-not-found") from error
    except OSError as error:
        raise read_error(path, error) from error
    # The interpreters check little of a file, so it must at least claim to be a model.
    if data.startswith(ZIP):
        hint = "Give the export folder, or unpack the bundle and give the model.tflite in it."
        raise InputError(path, "a zip file (a bundle?), not a .tflite", hint, code="invalid-model")
    if data[IDENTIFIER_OFFSET : IDENTIFIER_OFFSET + len(IDENTIFIER)] != IDENTIFIER:
        raise InputError(path, "not a TensorFlow Lite model", GIVE_TFLITE, code="invalid-model")
    return data


def find_sidecar(model: Path) -> Path | None:
    """Return the JSON file that describes the model: a.tflite → a.json, or else model.json, or None."""
    candidates = (model.with_suffix(".json"), model.with_name(CONTRACT_FILE))
    return next((path for path in candidates if path.is_file()), None)


def read_sidecar(path: Path, *, of: Path | None = None) -> ModelSettings:
    """Return the settings in a contract, or the labels in any other JSON file.

    With `of`, the contract must describe that model.
    """
    record = read_json(path)
    if "schema" not in record:
        return ModelSettings(labels=_check_labels(record.get("labels"), path))
    contract = parse_contract(record, where=path)
    # A copied contract next to another model would give it wrong labels.
    if of is not None and contract.sha256 != sha256_of(read_model(of)):
        hint = "Convert the run again, or give --labels FILE to ignore the contract."
        raise TableError(path, f"describes another model than {of.name}", hint, code="contract-mismatch")
    policies = {policy.value: policy for policy in Policy}
    if contract.input.policy not in policies:
        what = f"the input policy {contract.input.policy!r} is not one of {', '.join(policies)}"
        raise TableError(path, what, AGAIN, code="invalid-contract")
    temperature = contract.output.temperature
    return ModelSettings(
        labels=contract.labels,
        policy=policies[contract.input.policy],
        temperature=temperature.value if temperature else 1.0,
        floor=temperature.floor if temperature else 0.0,
    )


def read_labels(path: Path) -> ModelSettings:
    """Return the labels in a file: one per line, or a JSON list."""
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            what = f"larger than {MAX_LABELS_BYTES >> 20} MiB"
            raise TableError(path, what, "Give a list of labels.", code="file-too-large")
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            labels = json.loads(text)
        else:
            labels = [line.strip() for line in text.splitlines() if line.strip()]
    except OSError as error:
        raise read_error(path, error) from error
    except (ValueError, RecursionError) as error:
        what = f"not a list of labels ({error})"
        raise TableError(path, what, "Write one label per line.", code="invalid-labels") from error
    return ModelSettings(labels=_check_labels(labels, path))


def _check_labels(value: Any, path: Path) -> tuple[str, ...]:
    labels = value if isinstance(value, list) else []
    if not 2 <= len(labels) <= MAX_LABELS or not all(isinstance(label, str) and label for label in labels):
        what = f"must contain a list of 2 to {MAX_LABELS} labels"
        raise TableError(path, what, AGAIN, code="invalid-labels")
    if repeated := sorted(label for label in set(labels) if labels.count(label) > 1):
        raise TableError(path, f"contains the label {repeated[0]!r} twice", AGAIN, code="invalid-labels")
    return tuple(labels)
