"""Read a .tflite and all that is known of it: its contract, or the labels that somebody names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE, Contract, OperatingPointRecord, contract_from
from dermpack.errors import DermpackError, InputError
from dermpack.imaging import Policy
from dermpack.inference import ModelSettings, find_sidecar, read_labels, read_sidecar
from dermpack.inference.model_bytes import read_model
from dermpack.inference.predict.picture_search import is_folder
from dermpack.metrics.calibration import Temperature, temperature_from
from dermpack.storage.files import read_json, sha256_of

MODEL_FILE, RUN_FILE = "model.tflite", "training.json"
GIVE_MODEL = "Give a .tflite file or an export folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """What to run, and what to make of its outputs; without a contract, the labels alone."""

    path: Path
    data: bytes
    sha256: str
    labels: tuple[str, ...]
    policy: Policy = Policy.CENTRE_SQUARE
    name: str = ""
    version: str = ""
    size: int | None = None  # side of its input, where the contract says so
    temperature: Temperature | None = None
    abstain_below: float | None = None
    points: tuple[OperatingPointRecord, ...] = ()


def open_model(path: Path, *, labels_file: Path | None = None) -> OpenedModel:
    """The model that is a .tflite or lies in an export folder; a contract of another file is refused."""
    file = model_file(path)
    data = read_model(file)
    if labels_file is not None:
        return _plain(file, data, read_labels(labels_file))
    beside = find_sidecar(file)
    if beside is None:
        return _plain(file, data, ModelSettings(labels=_labels_inside(file, data)))
    record = read_json(beside)
    if "schema" not in record:
        return _plain(file, data, read_sidecar(beside))
    return _contracted(file, data, contract_from(record, where=beside), beside)


def model_file(path: Path) -> Path:
    """The .tflite itself, or the one in an export folder; any other folder is refused, a run by its name."""
    if not is_folder(path):
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if (path / RUN_FILE).is_file():
        hint = f'Convert it with "dermpack convert {path} -o EXPORT".'
        raise InputError(path, "a run, not a .tflite file", hint, code="model-not-found")
    what = f"the folder does not contain {MODEL_FILE}"
    raise InputError(path, what, _hint(path), code="model-not-found")


def _hint(folder: Path) -> str:
    """Return what to give instead: an export inside the folder, or the model of an unpacked bundle."""
    if inside := sorted(model.parent.name for model in folder.glob(f"*/{MODEL_FILE}")):
        return f"Give one of the exports inside it: {', '.join(inside)}."
    bundled = sorted(folder.glob("src/main/assets/*/*.tflite"))
    return f"Give {bundled[0]}, the model of this unpacked bundle." if bundled else GIVE_MODEL


def _plain(path: Path, data: bytes, sidecar: ModelSettings) -> OpenedModel:
    return OpenedModel(
        path=path, data=data, sha256=sha256_of(data), labels=sidecar.labels, policy=sidecar.policy
    )


def _contracted(path: Path, data: bytes, contract: Contract, beside: Path) -> OpenedModel:
    sha256 = sha256_of(data)
    if contract.sha256 != sha256:
        what = f"describes another model, not {path.name}"
        hint = "Export the model again, or give --labels FILE to ignore the contract."
        raise InputError(beside, what, hint, code="contract-mismatch")
    abstention = contract.abstention
    return OpenedModel(
        path=path,
        data=data,
        sha256=sha256,
        labels=contract.labels,
        policy=read_sidecar(beside).policy,
        name=contract.name,
        version=contract.version,
        size=contract.input.width,
        temperature=_temperature(contract, beside),
        abstain_below=abstention.threshold if abstention else None,
        points=contract.thresholds,
    )


def _temperature(contract: Contract, beside: Path) -> Temperature | None:
    """The temperature as the scores know it: the thresholds were found on what these make of outputs."""
    given = contract.output.temperature
    if given is None:
        return None
    try:
        return temperature_from(asdict(given))
    except ValueError as error:
        what = f"invalid temperature ({error})"
        raise InputError(beside, what, "Export the model again.", code="invalid-contract") from error


def _labels_inside(path: Path, data: bytes) -> tuple[str, ...]:
    """The labels that TFLite metadata carries, of a file that lies alone."""
    what = f"the labels are unknown (no {CONTRACT_FILE} next to the model and no labels inside it)"
    unnamed = InputError(path, what, "Give --labels FILE.", code="missing-labels")
    try:
        from dermpack.tflite import read_model as read_flatbuffer

        metadata = read_flatbuffer(data, where=path).metadata
    except (ModuleNotFoundError, DermpackError) as error:  # the schema comes with one interpreter only
        raise unnamed from error
    labels = tuple(metadata.labels) if metadata else ()
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise unnamed
    return labels
