"""Open a .tflite with everything that is known about it: its contract, or only its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE, OperatingPoint, Temperature, parse_contract
from dermpack.errors import DermpackError, InputError
from dermpack.imaging import Policy
from dermpack.inference import ModelSettings, find_sidecar, read_labels, read_sidecar
from dermpack.inference.model_files import read_model
from dermpack.inference.predict.picture_search import is_directory
from dermpack.storage.files import read_json, sha256_of

MODEL_FILE, RUN_FILE = "model.tflite", "training.json"
GIVE_MODEL = "Give a .tflite file or an export folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A model and the interpretation of its outputs; without a contract, only the labels are known."""

    path: Path
    data: bytes
    sha256: str
    labels: tuple[str, ...]
    policy: Policy = Policy.CENTRE_SQUARE
    name: str = ""
    version: str = ""
    size: int | None = None  # the side of its input, if a contract declares it
    temperature: Temperature | None = None
    abstain_below: float | None = None
    points: tuple[OperatingPoint, ...] = ()


def open_model(path: Path, *, labels_file: Path | None = None) -> OpenedModel:
    """Return the model in a .tflite or an export folder; a contract of another model is an error."""
    file = find_model_file(path)
    data = read_model(file)
    if labels_file is not None:
        return _without_contract(file, data, read_labels(labels_file))
    sidecar = find_sidecar(file)
    if sidecar is None:
        what = f"the labels are unknown (no {CONTRACT_FILE} next to the model and no labels inside it)"
        missing = InputError(file, what, "Give --labels FILE.", code="missing-labels")
        try:
            from dermpack.tflite import read_model as read_flatbuffer

            metadata = read_flatbuffer(data, where=file).metadata
        except (ModuleNotFoundError, DermpackError) as error:  # only one of the interpreters has the schema
            raise missing from error
        embedded = tuple(metadata.labels) if metadata else ()
        if len(embedded) < 2 or len(set(embedded)) < len(embedded):
            raise missing
        return _without_contract(file, data, ModelSettings(labels=embedded))
    record = read_json(sidecar)
    if "schema" not in record:
        return _without_contract(file, data, read_sidecar(sidecar))
    contract, sha256 = parse_contract(record, where=sidecar), sha256_of(data)
    # Labels and thresholds of another model would give wrong answers that look correct.
    if contract.sha256 != sha256:
        what = f"describes another model, not {file.name}"
        hint = "Export the model again, or give --labels FILE to ignore the contract."
        raise InputError(sidecar, what, hint, code="contract-mismatch")
    abstention = contract.abstention
    return OpenedModel(
        path=file,
        data=data,
        sha256=sha256,
        labels=contract.labels,
        policy=read_sidecar(sidecar).policy,
        name=contract.name,
        version=contract.version,
        size=contract.input.width,
        temperature=contract.output.temperature,
        abstain_below=abstention.threshold if abstention else None,
        points=contract.thresholds,
    )


def find_model_file(path: Path) -> Path:
    """Return the path itself, or the model in an export folder; for a run, the error names the command."""
    if not is_directory(path):
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if (path / RUN_FILE).is_file():
        hint = f'Convert it with "dermpack convert {path} -o EXPORT".'
        raise InputError(path, "a run, not a .tflite file", hint, code="model-not-found")
    if exports := sorted(model.parent.name for model in path.glob(f"*/{MODEL_FILE}")):
        hint = f"Give one of the exports inside it: {', '.join(exports)}."
    elif bundled := sorted(path.glob("src/main/assets/*/*.tflite")):
        hint = f"Give {bundled[0]}, the model of this unpacked bundle."
    else:
        hint = GIVE_MODEL
    raise InputError(path, f"the folder does not contain {MODEL_FILE}", hint, code="model-not-found")


def _without_contract(path: Path, data: bytes, settings: ModelSettings) -> OpenedModel:
    return OpenedModel(
        path=path, data=data, sha256=sha256_of(data), labels=settings.labels, policy=settings.policy
    )
