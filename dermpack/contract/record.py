"""Read and write model.json, the contract of a .tflite: every tensor by name, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from dermpack.contract.measured import Abstention, Accuracy, Calibration, OperatingPoint, Runtimes
from dermpack.contract.metadata_row import MetadataColumn
from dermpack.contract.tensors import (
    Activation,
    EvidenceOutput,
    FamiliarityOutput,
    InputRecord,
    MetadataEvidenceOutput,
    MetadataInput,
    OutputRecord,
    PictureInput,
    ProbabilitiesOutput,
    QualityGates,
    check_labels_of_outputs,
    check_names,
)
from dermpack.errors import TableError
from dermpack.storage.codec import check, check_sha256, check_share, decode, encode
from dermpack.storage.files import format_json, read_json

CONTRACT_FILE = "model.json"
SCHEMA = 2
FIRST_SCHEMA = 1  # with one input and one output, which had no names
TASK = "image-classification"
PICTURE, METADATA = "picture", "metadata"  # the names of the inputs of our own files: their roles
PROBABILITIES, EVIDENCE = "probabilities", "evidence"  # and of the outputs
METADATA_EVIDENCE, FAMILIARITY = "metadata_evidence", "familiarity"
SIGNATURE = "serving_default"  # the signature of our own files with several inputs or outputs
MAX_MODEL_BYTES = 512 << 20  # five times the largest network we know of
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 200
MAX_MEANING_CHARACTERS = 200
AGAIN = "Convert the run again."

Role = TypeVar("Role")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationRecord:
    """How the trained network was converted to this file."""

    name: str  # int8, float16 …
    method: str  # ptq, qat, selective; "none" if nothing was measured
    float_layers: tuple[str, ...] = ()  # excluded by selective quantization
    versions: Mapping[str, str] = field(default_factory=dict)  # of the converter's libraries

    def __post_init__(self) -> None:
        check(bool(self.name), "name", self.name, "a recipe")
        check(bool(self.method), "method", self.method, "a method")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredOperator:
    """An operator that an interpreter must support to run the file."""

    name: str
    version: int

    def __post_init__(self) -> None:
        check(bool(self.name), "name", self.name, "an operator")
        check(self.version > 0, "version", self.version, "above 0")


class SourceKind(Enum):
    """What a file was made from."""

    RUN = "run"
    KERAS = "keras"  # a Keras file of any origin
    TFLITE = "tflite"  # a .tflite of any origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents:
    """The sha256 of the sources of the file; the kind decides which of them are known.

    A run: training.json, its weights and the manifest.csv of its dataset. Another source: the original
    file and, if a dataset was given, its manifest.csv.
    """

    kind: SourceKind = SourceKind.RUN
    run: str | None = None
    weights: str | None = None
    dataset: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        of_run = ("run", "weights", "dataset")
        for name in (*of_run, "file"):
            value = getattr(self, name)
            if value is not None:
                check_sha256(name, value)
        needed, foreign = (of_run, ("file",)) if self.kind is SourceKind.RUN else (("file",), of_run[:2])
        for name in needed:
            check(getattr(self, name) is not None, name, None, "a SHA-256 for a source of this kind")
        for name in foreign:
            check(getattr(self, name) is None, name, getattr(self, name), "null for a source of this kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCandidate:
    """One way to feed a picture, and its accuracy on `n` pictures."""

    name: str
    n: int
    accuracy: float
    ci95: tuple[float, float] | None

    def __post_init__(self) -> None:
        check_share("accuracy", self.accuracy)
        check(self.n > 0, "n", self.n, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """How the preprocessing of a file of unknown origin was found.

    The candidates were tried on the same pictures; the worse ones only on the first of them.
    """

    split: str
    n: int  # pictures on which the best ones were tried
    candidates: tuple[InputCandidate, ...]
    chosen: str

    def __post_init__(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        check(self.chosen in names, "chosen", self.chosen, "the name of a candidate")
        check(self.n > 0, "n", self.n, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInterface:
    """The inputs and outputs of a file, by the names of its signature.

    `signature` is the key of the signature by whose names the tensors are bound. It is null for a file with
    one input and one output, which needs no names.
    """

    signature: str | None = None
    inputs: Mapping[str, InputRecord]
    outputs: Mapping[str, OutputRecord]

    def __post_init__(self) -> None:
        """Check that each role occurs as often as it may."""
        for kind, needed, records in (
            ("inputs", PICTURE, self.inputs),
            ("outputs", PROBABILITIES, self.outputs),
        ):
            check_names(kind, records)
            roles = [record.role for record in records.values()]
            check(needed in roles, kind, sorted(records), f"tensors, one with the role {needed}")
            check(len(set(roles)) == len(roles), kind, roles, "tensors with different roles")
        is_plain = (len(self.inputs), len(self.outputs)) == (1, 1)
        has_names = self.signature is not None and bool(self.signature)
        check(is_plain or has_names, "signature", self.signature, "the key of a signature")
        has_both = self.metadata is not None and self.evidence is not None
        is_share = self.metadata_evidence is None or has_both
        check(
            is_share,
            "outputs",
            sorted(self.outputs),
            f"no {METADATA_EVIDENCE} without {EVIDENCE} and metadata",
        )

    @property
    def picture(self) -> PictureInput:
        """The input for the picture."""
        return _only(self.inputs, PictureInput)

    @property
    def metadata(self) -> MetadataInput | None:
        """The input for the patient metadata, if the file has one."""
        return _find(self.inputs, MetadataInput)

    @property
    def metadata_columns(self) -> tuple[MetadataColumn, ...]:
        """The columns of the patient metadata; none if the file takes none."""
        return self.metadata.columns if self.metadata else ()

    @property
    def probabilities(self) -> ProbabilitiesOutput:
        """The output with the probabilities, or the logits."""
        return _only(self.outputs, ProbabilitiesOutput)

    @property
    def evidence(self) -> EvidenceOutput | None:
        """The output with the evidence map, if the file has one."""
        return _find(self.outputs, EvidenceOutput)

    @property
    def metadata_evidence(self) -> MetadataEvidenceOutput | None:
        """The output with the share of the metadata in each logit, if the file has one."""
        return _find(self.outputs, MetadataEvidenceOutput)

    @property
    def familiarity(self) -> FamiliarityOutput | None:
        """The output with the distance to the training pictures, if the file has one."""
        return _find(self.outputs, FamiliarityOutput)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract(TensorInterface):
    """The content of model.json; nothing in it depends on the machine, the folder or the time."""

    schema: int = SCHEMA
    task: str = TASK
    name: str
    version: str
    source: str = "dermpack run"  # what the file was made from, in words
    labels: tuple[str, ...]
    meanings: Mapping[str, str] = field(default_factory=dict)  # label → what it means, in words for people
    quality: QualityGates | None = None
    thresholds: tuple[OperatingPoint, ...]
    abstention: Abstention | None
    recipe: QuantizationRecord
    calibration: Calibration | None
    operators: tuple[RequiredOperator, ...]
    runtimes: Runtimes
    accuracy: tuple[Accuracy, ...]  # empty: not measured
    input_evidence: InputEvidence | None = None
    size_bytes: int
    sha256: str  # of model.tflite
    parents: Parents
    license: str
    intended_use: str

    def __post_init__(self) -> None:
        check(self.schema == SCHEMA, "schema", self.schema, str(SCHEMA))
        check(self.task == TASK, "task", self.task, TASK)
        check_labels("labels", self.labels)
        check_meanings(self.meanings, self.labels)
        is_possible = 0 < self.size_bytes <= MAX_MODEL_BYTES
        check(is_possible, "size_bytes", self.size_bytes, f"1 to {MAX_MODEL_BYTES}")
        check_sha256("sha256", self.sha256)
        TensorInterface.__post_init__(self)  # super() does not work in a dataclass with slots
        if self.probabilities.activation is Activation.SIGMOID and len(self.labels) != 2:
            raise ValueError(f"labels must be a list of 2 labels for a sigmoid, not of {len(self.labels)}")
        check_labels_of_outputs(self.outputs, len(self.labels))
        # Labels are the link between the parts of a contract.
        per_label = self.calibration.per_label if self.calibration else {}
        used = [("thresholds", point.label) for point in self.thresholds]
        used += [("calibration.per_label", label) for label in per_label]
        for name, label in used:
            check(label in self.labels, f"each label of {name}", label, "one of the labels")


def find_tensor_name(records: Mapping[str, InputRecord | OutputRecord], role: str) -> str:
    """Return the name of the tensor with the role; a contract has one picture and one probabilities."""
    return next(name for name, record in records.items() if record.role == role)


def _find(records: Mapping[str, Any], role: type[Role]) -> Role | None:
    return next((record for record in records.values() if isinstance(record, role)), None)


def _only(records: Mapping[str, Any], role: type[Role]) -> Role:
    return next(record for record in records.values() if isinstance(record, role))


def read_contract(path: Path) -> Contract:
    """Return the contract in a file after checking all of it, or raise TableError."""
    return parse_contract(read_json(path), where=path)


def parse_contract(record: Mapping[str, Any], *, where: object) -> Contract:
    """Return the contract that a JSON object describes; the TableError names the invalid key."""
    # Checked first, because a contract of another schema would fail at its first unknown key.
    schema = record.get("schema")
    if schema not in (FIRST_SCHEMA, SCHEMA) or isinstance(schema, bool):
        what = f"not a contract with schema {SCHEMA}"
        raise TableError(where, what, AGAIN, code="unsupported-schema")
    try:
        return decode(Contract, record if schema == SCHEMA else _upgrade(record))
    except ValueError as error:
        raise TableError(where, f"invalid contract ({error})", AGAIN, code="invalid-contract") from error


def _upgrade(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of schema 1 as one of schema 2; what is invalid stays so, and is refused later."""
    upgraded = {key: value for key, value in record.items() if key not in ("input", "output")}
    ends = {}
    for key in ("input", "output"):
        if not isinstance(record.get(key), dict):
            raise ValueError(f"{key} must be a JSON object" if key in record else f"{key} is missing")
        ends[key] = dict(record[key])
    picture, probabilities = ends["input"], ends["output"]
    picture["shape"] = [1, picture.get("height"), picture.get("width"), 3]
    for name in ("mean", "std"):
        picture[name] = [picture.get(name, 127.5)] * 3
    labels = record.get("labels")
    is_sigmoid = probabilities.get("activation") == Activation.SIGMOID.value
    probabilities["shape"] = [1, 1 if is_sigmoid or not isinstance(labels, list) else len(labels)]
    upgraded["schema"] = SCHEMA
    upgraded["inputs"] = {PICTURE: {"role": PICTURE, **picture}}
    upgraded["outputs"] = {PROBABILITIES: {"role": PROBABILITIES, **probabilities}}
    return upgraded


def format_contract(contract: Contract) -> str:
    """Return the text of model.json."""
    return format_json(encode(contract))


def check_meanings(meanings: Mapping[str, str], labels: Sequence[str]) -> None:
    """Check that each meaning is of one of the labels, and a single line."""
    for label, words in meanings.items():
        check(label in labels, "each label of meanings", label, "one of the labels")
        is_line = words.isprintable() and words.strip() == words and 0 < len(words) <= MAX_MEANING_CHARACTERS
        limit = f"a single printable line of at most {MAX_MEANING_CHARACTERS} characters"
        check(is_line, f"meanings.{label}", words[:80], limit)


def check_labels(name: str, labels: Sequence[str]) -> None:
    """Check that labels can be the lines of a file inside the model: printable, unique, two at least."""
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"{name} must be a list of 2 to {MAX_LABELS} labels, not of {len(labels)}")
    expected = f"a single printable line of at most {MAX_LABEL_CHARACTERS} characters"
    for label in labels:
        is_line = bool(label.strip()) and label.isprintable() and len(label) <= MAX_LABEL_CHARACTERS
        check(is_line, f"each of {name}", label[:80], expected)
    if len(set(labels)) < len(labels):
        raise ValueError(f"{name} must not contain a label twice")
