"""Read a .tflite and what is known about it: its contract, or only its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import (
    CONTRACT_FILE,
    MAX_MODEL_BYTES,
    Contract,
    OperatingPoint,
    QualityGates,
    Temperature,
    TensorInterface,
    parse_contract,
)
from dermpack.errors import DermpackError, InputError, TableError
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.label_list import check_label_list, read_labels
from dermpack.inference.model_formats import check_format, format_error, is_tflite_content
from dermpack.storage.files import is_directory, read_bytes, read_json, sha256_of

MODEL_FILE, RUN_FILE = "model.tflite", "training.json"
GIVE_MODEL = "Give a .tflite file or an export folder."
AGAIN = "Convert the run again, or give the labels with --labels FILE."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The labels in the order of the outputs; the other fields have the program's defaults."""

    labels: tuple[str, ...]
    policy: Policy = Policy.CENTRE_SQUARE
    temperature: float = 1.0
    floor: float = 0.0  # probabilities are raised to it before the temperature is applied
    interface: TensorInterface | None = None  # without a contract: one picture in, one output


def read_model(path: Path) -> bytes:
    """Return the content of a .tflite after checking its type and size, or raise InputError."""
    try:
        data = read_bytes(path, most=MAX_MODEL_BYTES, hint="Give a smaller model.")
    except TableError as error:
        if error.code != "file-not-found":
            raise
        raise InputError(path, "the model does not exist", GIVE_MODEL, code="model-not-found") from error
    # The interpreters check little of a file, so it must at least claim to be a model.
    if not is_tflite_content(data):
        raise format_error(path, data)
    return data


def find_sidecar(model: Path) -> Path | None:
    """Return the JSON file that describes the model: a.tflite → a.json, or else model.json, or None."""
    candidates = (model.with_suffix(".json"), model.with_name(CONTRACT_FILE))
    return next((path for path in candidates if path.is_file()), None)


def find_contract(model: Path) -> Contract | None:
    """Return the contract next to the model; a JSON file without a schema belongs to another tool."""
    sidecar = find_sidecar(model)
    record = read_json(sidecar) if sidecar else {}
    return parse_contract(record, where=sidecar) if "schema" in record else None


def read_sidecar(path: Path, *, of: Path | None = None) -> ModelSettings:
    """Return the settings in a contract, or the labels in any other JSON file.

    With `of`, the contract must describe that model.
    """
    record = read_json(path)
    if "schema" not in record:
        return ModelSettings(labels=check_label_list(record.get("labels"), path))
    contract = parse_contract(record, where=path)
    # A copied contract next to another model would give it wrong labels.
    if of is not None and contract.sha256 != sha256_of(read_model(of)):
        hint = "Convert the run again, or give --labels FILE to ignore the contract."
        raise TableError(path, f"describes another model than {of.name}", hint, code="contract-mismatch")
    policy, temperature = _parse_policy(contract, path), contract.probabilities.temperature
    return make_settings(contract.labels, policy, temperature, contract)


def make_settings(
    labels: tuple[str, ...],
    policy: Policy,
    temperature: Temperature | None,
    interface: TensorInterface | None = None,
) -> ModelSettings:
    """Return the settings of a model; without a temperature, its probabilities are not changed."""
    value, floor = (temperature.value, temperature.floor) if temperature else (1.0, 0.0)
    return ModelSettings(labels=labels, policy=policy, temperature=value, floor=floor, interface=interface)


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
    interface: TensorInterface | None = None
    quality: QualityGates | None = None


def open_model(path: Path, *, given_labels: str | None = None) -> OpenedModel:
    """Return the model in a .tflite or an export folder; a contract of another model is an error."""
    file = find_model_file(path)
    data = read_model(file)
    if given_labels is not None:
        return _without_contract(file, data, ModelSettings(labels=read_labels(given_labels)))
    sidecar = find_sidecar(file)
    if sidecar is None:
        what = f"the labels are unknown (no {CONTRACT_FILE} next to the model and no labels inside it)"
        missing = InputError(file, what, "Give --labels FILE.", code="missing-labels")
        try:
            from dermpack.tflite.reading import read_model as read_flatbuffer

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
    return apply_contract(file, data, parse_contract(record, where=sidecar), where=sidecar)


def apply_contract(path: Path, data: bytes, contract: Contract, *, where: Path) -> OpenedModel:
    """Return a model with its contract, read from `where`; a contract of another model is an error."""
    sha256 = sha256_of(data)
    # Labels and thresholds of another model would give wrong answers that look correct.
    if contract.sha256 != sha256:
        what = f"describes another model, not {path.name}"
        hint = "Export the model again, or give --labels FILE to ignore the contract."
        raise InputError(where, what, hint, code="contract-mismatch")
    abstention = contract.abstention
    return OpenedModel(
        path=path,
        data=data,
        sha256=sha256,
        labels=contract.labels,
        policy=_parse_policy(contract, where),
        name=contract.name,
        version=contract.version,
        size=contract.picture.width,
        temperature=contract.probabilities.temperature,
        abstain_below=abstention.threshold if abstention else None,
        points=contract.thresholds,
        quality=contract.quality,
        interface=contract,
    )


def _parse_policy(contract: Contract, where: Path) -> Policy:
    policies = {policy.value: policy for policy in Policy}
    if contract.picture.policy not in policies:
        what = f"the input policy {contract.picture.policy!r} is not one of {', '.join(policies)}"
        raise TableError(where, what, AGAIN, code="invalid-contract")
    return policies[contract.picture.policy]


def find_model_file(path: Path) -> Path:
    """Return the path itself, or the model in an export folder; for a run, the error names the command."""
    if not is_directory(path):
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if (path / RUN_FILE).is_file():
        hint = f'Convert it with "dermpack convert {path} -o EXPORT".'
        raise InputError(path, "a run, not a .tflite file", hint, code="model-not-found")
    check_format(path)
    if exports := sorted(str(model.parent) for model in path.glob(f"*/{MODEL_FILE}")):
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
