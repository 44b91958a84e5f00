"""Read the models that are to be measured: .tflite files, export folders, folders of exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.protocol.plan import ModelUnderTest
from dermpack.contract import CONTRACT_FILE, Contract, contract_from
from dermpack.errors import InputError
from dermpack.inference import MAX_SIDE, ModelSettings, find_sidecar, read_labels, read_sidecar
from dermpack.inference.model_bytes import read_model
from dermpack.inference.tensors import IoNumber, Tensor, input_table
from dermpack.storage.files import read_json, sha256_of
from dermpack.tflite import Metadata
from dermpack.tflite import TensorInfo as Stored
from dermpack.tflite import read_model as read_flatbuffer

MODEL_FILE, RUN_FILE = "model.tflite", "training.json"
UNQUANTIZED = "float32"  # the recipe that the others of a folder are compared with
GIVE_MODELS = "Give .tflite files or export folders."
OTHER_INPUT = "Give a classifier with one square RGB picture as input."


def read_models(paths: Sequence[Path], *, labels: Path | None = None) -> tuple[ModelUnderTest, ...]:
    """In the order given; `labels` speak for the models that have no model.json beside them."""
    given = read_labels(labels) if labels is not None else None
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InputError("models", "none given", GIVE_MODELS, code="model-not-found")
    for file in files:
        if [other.resolve() for other in files].count(file.resolve()) > 1:
            raise InputError(
                file, "the model is given twice", "Give each model once.", code="duplicate-model"
            )
    return tuple(_model(file, name, given) for file, name in zip(files, names_of(files), strict=True))


def names_of(files: Sequence[Path]) -> list[str]:
    """Short names, each once: runs/a/model.tflite and runs/b/model.tflite → "a" and "b"."""
    parts = [_parts(file) for file in files]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of[-length:]) for of in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({at})" for at, name in enumerate(names, start=1)]  # a.tflite beside a/model.tflite


def _parts(file: Path) -> tuple[str, ...]:
    file = file.absolute()
    named = file.parent if file.name == MODEL_FILE else file.with_suffix("")
    return named.parts[1:] or (file.stem,)


def _files(path: Path) -> list[Path]:
    """Of a folder of exports the unquantized one comes first: it is what others are compared with."""
    try:
        if not path.exists():
            raise InputError(path, "the file does not exist", "Check the path.", code="file-not-found")
        if not path.is_dir():
            return [path]
        if (path / MODEL_FILE).is_file():
            return [path / MODEL_FILE]
        inside = sorted(path.glob(f"*/{MODEL_FILE}"))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise InputError(path, what, "Check the path.", code="cannot-read") from error
    if not inside and (path / RUN_FILE).is_file():
        hint = f'Convert it with "dermpack convert {path} -o EXPORT".'
        raise InputError(path, "a run, not a .tflite file", hint, code="model-not-found")
    if not inside:
        what = f"neither the folder nor its subfolders contain {MODEL_FILE}"
        raise InputError(path, what, GIVE_MODELS, code="model-not-found")
    return sorted(inside, key=lambda file: (file.parent.name != UNQUANTIZED, file.parent.name))


def _model(file: Path, name: str, given: ModelSettings | None) -> ModelUnderTest:
    data = read_model(file)
    stored, contract = read_flatbuffer(data, where=file), _contract(file, sha256_of(data))
    tensor = _input(stored.inputs, file)
    return ModelUnderTest(
        name=name,
        data=data,
        sha256=sha256_of(data),
        size=tensor.shape[1],
        table=input_table(tensor),
        recipe=_recipe(contract),
        sidecar=_sidecar(file) or given or _inside(stored.metadata),
    )


def _contract(file: Path, sha256: str) -> Contract | None:
    """The contract beside the file, which must be of this very file."""
    beside = find_sidecar(file)
    record = read_json(beside) if beside else {}
    if beside is None or "schema" not in record:
        return None
    contract = contract_from(record, where=beside)
    if contract.sha256 != sha256:
        what = f"describes another model, not {file.name}"
        hint = f"Export the model again, or remove {CONTRACT_FILE} and give --labels FILE."
        raise InputError(beside, what, hint, code="contract-mismatch")
    return contract


def _recipe(contract: Contract | None) -> str:
    """The recipe and how it was calibrated: "int8 ptq", "float32"."""
    if contract is None:
        return ""
    method = contract.recipe.method
    return contract.recipe.name if method == "none" else f"{contract.recipe.name} {method}"


def _sidecar(file: Path) -> ModelSettings | None:
    beside = find_sidecar(file)
    return read_sidecar(beside) if beside else None


def _inside(metadata: Metadata | None) -> ModelSettings | None:
    """What the file's own metadata names, where it lies alone."""
    labels = metadata.labels if metadata else ()
    return ModelSettings(labels=tuple(labels)) if len(labels) == len(set(labels)) > 1 else None


def _input(inputs: Sequence[Stored], file: Path) -> Tensor:
    if len(inputs) != 1:
        raise InputError(file, f"the model has {len(inputs)} inputs", OTHER_INPUT, code="unsupported-model")
    stored = inputs[0]
    side = stored.shape[1] if len(stored.shape) == 4 else 0
    if stored.shape != (1, side, side, 3) or not 0 < side <= MAX_SIDE:
        what = f"the input has shape {list(stored.shape)}, expected one square RGB picture"
        raise InputError(file, what, OTHER_INPUT, code="unsupported-model")
    if stored.dtype not in (number.value for number in IoNumber) or stored.is_per_channel:
        what = f"the input has the unsupported type {stored.dtype}"
        raise InputError(file, what, OTHER_INPUT, code="unsupported-model")
    scale, zero_point = next(_steps(stored), (0.0, 0))
    return Tensor(shape=stored.shape, number=IoNumber(stored.dtype), scale=scale, zero_point=zero_point)


def _steps(stored: Stored) -> Iterator[tuple[float, int]]:
    return zip(stored.scales, stored.zero_points, strict=True)
