"""Read the models to measure: .tflite files, export folders, folders of exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.protocol.plan import ModelUnderTest, TensorBinding
from dermpack.contract import (
    CONTRACT_FILE,
    PICTURE,
    PROBABILITIES,
    TensorInterface,
    TensorType,
    find_tensor_name,
    parse_contract,
)
from dermpack.errors import InputError
from dermpack.inference.classifier import MAX_SIDE, feed_rows, names_of_tensors
from dermpack.inference.label_list import read_labels
from dermpack.inference.model_files import ModelSettings, find_sidecar, read_model, read_sidecar
from dermpack.inference.model_formats import check_format
from dermpack.inference.picture_feed import Tensor, build_feed, declared_tensor
from dermpack.storage.files import read_json, sha256_of
from dermpack.tflite.lint import bind_tensors
from dermpack.tflite.model_file import ModelFile, TensorInfo
from dermpack.tflite.reading import read_model as read_flatbuffer

MODEL_FILE, RUN_FILE = "model.tflite", "training.json"
UNQUANTIZED = "float32"  # the recipe with which the others of a folder are compared
GIVE_MODELS = "Give .tflite files or export folders."
OTHER_INPUT = "Give a classifier with one square RGB picture as input."


def read_models(paths: Sequence[Path], *, labels: Path | str | None = None) -> tuple[ModelUnderTest, ...]:
    """Return the models in the given order; `labels` applies to models without a model.json."""
    given = ModelSettings(labels=read_labels(labels)) if labels is not None else None
    files = [file for path in paths for file in _find_files(path)]
    if not files:
        raise InputError("models", "none given", GIVE_MODELS, code="model-not-found")
    for file in files:
        if [other.resolve() for other in files].count(file.resolve()) > 1:
            what = "the model is given twice"
            raise InputError(file, what, "Give each model once.", code="duplicate-model")
    return tuple(_read(file, name, given) for file, name in zip(files, name_models(files), strict=True))


def name_models(files: Sequence[Path]) -> list[str]:
    """Return short unique names: runs/a/model.tflite and runs/b/model.tflite → "a" and "b"."""
    paths = []
    for file in map(Path.absolute, files):
        named = file.parent if file.name == MODEL_FILE else file.with_suffix("")
        paths.append(named.parts[1:] or (file.stem,))
    # Add parent folders until the names differ.
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    # a.tflite next to a/model.tflite
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def _find_files(path: Path) -> list[Path]:
    """Return the model files of a path; of a folder of exports, the unquantized one comes first."""
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
        check_format(path)
        what = f"neither the folder nor its subfolders contain {MODEL_FILE}"
        raise InputError(path, what, GIVE_MODELS, code="model-not-found")
    return sorted(inside, key=lambda file: (file.parent.name != UNQUANTIZED, file.parent.name))


def _read(file: Path, name: str, given: ModelSettings | None) -> ModelUnderTest:
    data = read_model(file)
    content, sha256 = read_flatbuffer(data, where=file), sha256_of(data)
    sidecar, recipe, trained_on = find_sidecar(file), "", ""
    record = read_json(sidecar) if sidecar else {}
    if sidecar is not None and "schema" in record:
        contract = parse_contract(record, where=sidecar)
        if contract.sha256 != sha256:
            what = f"describes another model, not {file.name}"
            hint = f"Export the model again, or remove {CONTRACT_FILE} and give --labels FILE."
            raise InputError(sidecar, what, hint, code="contract-mismatch")
        method, trained_on = contract.recipe.method, contract.parents.dataset or ""
        recipe = contract.recipe.name if method == "none" else f"{contract.recipe.name} {method}"
    settings = read_sidecar(sidecar) if sidecar else given
    binding = _bind(content, settings.interface if settings else None, file)
    # Without a file of labels, those in the model's own metadata are used.
    embedded = tuple(content.metadata.labels) if content.metadata else ()
    if settings is None and len(embedded) == len(set(embedded)) > 1:
        settings = ModelSettings(labels=embedded)
    return ModelUnderTest(
        name=name,
        data=data,
        sha256=sha256,
        binding=binding,
        recipe=recipe,
        sidecar=settings,
        dataset_sha256=trained_on,
    )


def _bind(content: ModelFile, interface: TensorInterface | None, file: Path) -> TensorBinding:
    """Return how to feed and read the model; without a contract, it must have one input, a picture."""
    if interface is None:
        tensor = _check_input(content.inputs, file)
        return TensorBinding(size=tensor.shape[1], feed=build_feed(tensor, None))
    picture = interface.picture
    found, declared = bind_tensors(interface, content).get(_picture_name(interface)), declared_tensor(picture)
    if found is None or (found.shape, found.dtype) != (declared.shape, declared.number.value):
        what = "its input for the picture is not that of its contract"
        raise InputError(file, what, "Export the model again.", code="contract-mismatch")
    if picture.width != picture.height or picture.width > MAX_SIDE:
        what = f"the input takes {picture.width}×{picture.height} px, expected one square RGB picture"
        raise InputError(file, what, OTHER_INPUT, code="unsupported-model")
    names = names_of_tensors(interface)
    tensors = {name: declared_tensor(record) for name, record in interface.inputs.items()}
    rows = feed_rows(interface, tensors, np.zeros((1, 0), np.uint8), None)
    others = {
        name: np.frombuffer(row, tensors[name].dtype).tolist()
        for name, row in rows.items()
        if name != _picture_name(interface)
    }
    return TensorBinding(
        size=picture.width,
        feed=build_feed(declared, picture),
        signature=names.signature,
        picture=_picture_name(interface),
        answer=find_tensor_name(interface.outputs, PROBABILITIES),
        others=others,
    )


def _picture_name(interface: TensorInterface) -> str:
    return find_tensor_name(interface.inputs, PICTURE)


def _check_input(inputs: Sequence[TensorInfo], file: Path) -> Tensor:
    """Return the only input; raise InputError unless it is one square RGB picture of a supported type."""
    if len(inputs) != 1:
        raise InputError(file, f"the model has {len(inputs)} inputs", OTHER_INPUT, code="unsupported-model")
    stored = inputs[0]
    side = stored.shape[1] if len(stored.shape) == 4 else 0
    what = ""
    if stored.shape != (1, side, side, 3) or not 0 < side <= MAX_SIDE:
        what = f"the input has shape {list(stored.shape)}, expected one square RGB picture"
    elif stored.dtype not in (number.value for number in TensorType) or stored.is_per_channel:
        what = f"the input has the unsupported type {stored.dtype}"
    if what:
        raise InputError(file, what, OTHER_INPUT, code="unsupported-model")
    scale, zero_point = next(zip(stored.scales, stored.zero_points, strict=True), (0.0, 0))
    return Tensor(shape=stored.shape, number=TensorType(stored.dtype), scale=scale, zero_point=zero_point)
