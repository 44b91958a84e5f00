"""dermpack inspect: describe a .tflite without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli import options
from dermpack.cli.console import Printer
from dermpack.errors import count_noun
from dermpack.storage.codec import encode

if TYPE_CHECKING:
    from dermpack.tflite.model_file import FileKind, Metadata, ModelFile, TensorInfo

RUNTIMES = ("tflite-runtime==2.14.0", "ai-edge-litert==2.3.0")
SHOWN_LABELS = 10
RESEARCH_ONLY = "research software, not a medical device"
MODEL_KEYS = ("size_bytes", "parameters", "description", "subgraphs", "min_runtime_version")
TENSOR_KEYS = ("name", "dtype", "shape", "size_bytes", "scales", "zero_points")


@click.command("inspect")
@click.argument("model", type=options.PATH, metavar="MODEL.tflite|EXPORT")
@click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME==VERSION",
    help="Find operators that are too new for this runtime; can be repeated.  [default: "
    f"{', '.join(RUNTIMES)}]",
)  # fmt: skip
@options.printer
def command(model: Path, runtimes: tuple[str, ...], printer: Printer) -> None:
    """Show inputs, outputs, operators, quantization, metadata, labels and contract of any MODEL.tflite.

    The file is read and never run. Problems that are likely in an app are listed with a hint; they do not
    change the exit code.

    \b
    Examples:
      dermpack inspect export
      dermpack inspect model.tflite --runtime tflite-runtime==2.14.0 --json
    """
    from dermpack.inference.model_files import find_contract, find_model_file
    from dermpack.inference.model_files import read_model as read_bytes
    from dermpack.storage.files import sha256_of
    from dermpack.tflite.lint import find_mismatches, lint_model
    from dermpack.tflite.reading import read_model

    path = find_model_file(model)
    data = read_bytes(path)
    read = read_model(data, where=path)
    sha256 = sha256_of(data)
    contract = find_contract(path)
    record = {
        "sha256": sha256,
        "kind": read.kind.name.lower(),
        **_model_record(read),
        "traps": [encode(finding) for finding in lint_model(read, runtimes=runtimes or RUNTIMES)],
        "contract": encode(contract) if contract else None,
        "contract_disagrees": list(find_mismatches(contract, read, sha256=sha256)) if contract else [],
    }
    printer.result(record, *_text_lines(path, record, read.kind))


def _model_record(model: ModelFile) -> dict[str, Any]:
    from dermpack.tflite.lint import inner_floats, is_integer
    from dermpack.tflite.model_file import describe_input, takes_raw_bytes

    stored = [tensor for tensor in model.tensors if tensor.constant_bytes]
    return {
        **{name: getattr(model, name) for name in MODEL_KEYS},
        "inputs": [
            {
                **_tensor_record(tensor),
                "takes_raw_bytes": takes_raw_bytes(tensor, model.metadata),
                "feed": describe_input(tensor, model.metadata),
            }
            for tensor in model.inputs
        ],
        "outputs": [_tensor_record(tensor) for tensor in model.outputs],
        "operators": [encode(operator) for operator in model.operators],
        "quantization": {
            "computes_in_integers": is_integer(model),
            "tensors": model.dtypes(),
            "computed_float": sum(tensor.is_float for tensor in model.computed),
            "computed": len(model.computed),
            "float_inside": [tensor.name for tensor in inner_floats(model)],
            "constants_per_channel": sum(tensor.is_per_channel for tensor in stored),
            "constants": len(stored),
            "bytes": {share.kind: share.size_bytes for share in model.shares},
        },
        "metadata": _metadata_record(model.metadata) if model.metadata else None,
        "labels": list(model.metadata.labels) if model.metadata else [],
    }


def _tensor_record(tensor: TensorInfo) -> dict[str, Any]:
    record = {name: getattr(tensor, name) for name in TENSOR_KEYS}
    return {**record, "dynamic": tensor.is_dynamic}


def _metadata_record(metadata: Metadata) -> dict[str, Any]:
    """Return the fields of the metadata without its labels, which have a place of their own."""
    calibration = metadata.calibration
    name_of_calibration = calibration.transformation.name.lower() if calibration else None
    record = {**encode(metadata), "calibration": name_of_calibration}
    del record["labels"]
    return {"score_calibration" if name == "calibration" else name: value for name, value in record.items()}


def _text_lines(path: Path, record: dict[str, Any], kind: FileKind) -> Iterator[str]:
    """Yield the text for the terminal, from top to bottom."""
    yield f"{path}: {record['size_bytes']:,} bytes, {record['parameters']:,} parameters"
    yield kind.value
    yield f"sha256 {record['sha256']}"
    for tensor in record["inputs"]:
        yield f"input   {_tensor_text(tensor)}"
        yield f"        feed {tensor['feed']}"
    for tensor in record["outputs"]:
        yield f"output  {_tensor_text(tensor)}"
    quantization = record["quantization"]
    computed, floats = quantization["computed"], quantization["computed_float"]
    if quantization["computes_in_integers"]:
        inside = f"{len(quantization['float_inside'])} float tensors inside"
        yield f"computes in integers: {computed - floats} of {computed} computed tensors; {inside}"
    else:
        yield f"computes in floats: {floats} of {computed} computed tensors"
    stored = _join(f"{name} {size:,}" for name, size in quantization["bytes"].items())
    per_channel = f"{quantization['constants_per_channel']} of {quantization['constants']}"
    yield f"stores  {stored} bytes; {per_channel} constants per channel"
    yield ""
    runtime = record["min_runtime_version"]
    yield f"operators (the file requires runtime {runtime} or later)" if runtime else "operators"
    # A model of constants has no operators.
    width = max((len(operator["name"]) for operator in record["operators"]), default=0)
    for operator in record["operators"]:
        counted = f"version {operator['version']:>2}  {operator['count']:>4} ×"
        yield f"  {operator['name']:<{width}}  {counted}{'  custom' if operator['custom'] else ''}"
    yield ""
    yield from _metadata_lines(record)
    yield ""
    yield from _contract_lines(record)
    yield ""
    yield count_noun(len(record["traps"]), "finding") if record["traps"] else "no findings"
    yield from (f"  {found['kind']}: {found['detail']}; {found['hint']}" for found in record["traps"])
    yield RESEARCH_ONLY


def _tensor_text(tensor: dict[str, Any]) -> str:
    shape = "×".join(map(str, tensor["shape"])) or "scalar"
    dynamic = " (dynamic)" if tensor["dynamic"] else ""
    quantized = ""
    if tensor["scales"] and tensor["zero_points"]:
        quantized = f", scale {tensor['scales'][0]:.8g}, zero point {tensor['zero_points'][0]}"
    return f"{tensor['name']}: {tensor['dtype']} {shape}{dynamic}, {tensor['size_bytes']:,} bytes{quantized}"


def _metadata_lines(record: dict[str, Any]) -> Iterator[str]:
    metadata = record["metadata"]
    if metadata is None:
        yield "metadata  none"
        return
    yield "metadata"
    for key, value in metadata.items():
        if value not in (None, "", []):
            yield f"  {key}: {_join(value) if isinstance(value, list) else value}"
    if record["labels"]:
        yield f"  labels: {_join_labels(record['labels'])}"


def _contract_lines(record: dict[str, Any]) -> Iterator[str]:
    contract, differing = record["contract"], record["contract_disagrees"]
    if contract is None:
        yield "contract  none next to the file"
        return
    yield "contract  describes this file" if not differing else "contract  DOES NOT describe this file"
    yield from (f"  {line}" for line in differing)
    recipe = contract["recipe"]
    made = f" by {recipe['method']}" if recipe["method"] != "none" else ""
    yield f"  {contract['name']} {contract['version']}, {recipe['name']}{made}, made of: {contract['source']}"
    yield f"  labels: {_join_labels(contract['labels'])}"
    for name, tensor in {**contract["inputs"], **contract["outputs"]}.items():
        shape = "×".join(map(str, tensor["shape"]))
        yield f"  {name}: {tensor['role']}, {tensor['dtype']} {shape}"
        if tensor["role"] == "picture":
            yield f"  pictures are made square by {tensor['policy']}"
    if not contract["accuracy"]:
        yield "  accuracy: not measured"
    for accuracy in contract["accuracy"]:
        yield f"  {accuracy['split']} (n = {accuracy['n']:,}): {accuracy['agreement']:.1%} agree with float"
        for figure in accuracy["figures"]:
            ci95 = figure["ci95"]
            interval = f" ({ci95[0]:+.4f} to {ci95[1]:+.4f})" if ci95 else ""
            values = f"{figure['of_file']:.4f}, float {figure['of_float']:.4f}"
            yield f"    {figure['metric']}: {values}, difference {figure['difference']:+.4f}{interval}"
    for run in contract["runtimes"]["tried"]:
        works = "works" if run["works"] else "DOES NOT WORK"
        yield f"  {run['runtime']} {run['version']} ({run['delegate']}): {works}, {run['result']}"
    yield f"  licence: {contract['license']}"
    yield f"  intended use: {contract['intended_use']}"


def _join_labels(labels: Sequence[str]) -> str:
    """Return the labels, or the first ones of many and their number."""
    if len(labels) <= SHOWN_LABELS:
        return _join(labels)
    return f"{_join(labels[:SHOWN_LABELS])} and {len(labels) - SHOWN_LABELS:,} more ({len(labels):,} in all)"


def _join(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
