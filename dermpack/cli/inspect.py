"""dermpack inspect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import output_options, result

if TYPE_CHECKING:
    from dermpack.contract import Contract
    from dermpack.tflite import ModelFile, TensorInfo

RUNTIMES = ("tflite-runtime==2.14.0", "ai-edge-litert==2.3.0")
RESEARCH_ONLY = "research software, not a medical device"


@click.command("inspect", short_help="Show what a .tflite is, and what would go wrong with it.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.tflite|EXPORT")
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME==VERSION",
    help=f"Look for operators that are too new for it.  [default: {', '.join(RUNTIMES)}]",
)
@output_options
def command(model: Path, runtimes: tuple[str, ...], as_json: bool, quiet: bool) -> None:  # noqa: ARG001 - nothing to hush
    """Show inputs, outputs, operators, quantization, metadata, labels and contract of any MODEL.tflite.

    The file is read, never run. Whatever usually goes wrong in an app is listed with a hint; that alone is
    no error.

    \b
    Examples:
      dermpack inspect export
      dermpack inspect model.tflite --runtime tflite-runtime==2.14.0 --json
    """
    from dermpack.inference.model_bytes import read_model as read_bytes
    from dermpack.inference.predict import model_file
    from dermpack.storage.files import sha256_of
    from dermpack.tflite import disagreements, find_traps, read_model

    path = model_file(model)
    data = read_bytes(path)
    read = read_model(data, where=path)
    traps = find_traps(read, runtimes=runtimes or RUNTIMES)
    contract = _contract(path)
    sha256 = sha256_of(data)
    record = {
        "sha256": sha256,
        **_record(read),
        "traps": [{"kind": trap.kind, "detail": trap.detail, "hint": trap.hint} for trap in traps],
        **_contract_record(contract, disagreements(contract, read, sha256=sha256) if contract else ()),
    }
    result(record, "\n".join(_lines(path, record)), as_json=as_json)


def _contract(path: Path) -> Contract | None:
    """The contract beside the model; a JSON file that is something else is none of ours."""
    from dermpack.contract import read_contract
    from dermpack.inference import find_sidecar
    from dermpack.storage.files import read_json

    beside = find_sidecar(path)
    return read_contract(beside) if beside and "schema" in read_json(beside) else None


def _record(model: ModelFile) -> dict[str, Any]:
    from dermpack.tflite import inner_floats, is_integer

    operators = [
        {"name": of.name, "version": of.version, "count": of.count, "custom": of.custom}
        for of in model.operators
    ]
    stored = [tensor for tensor in model.tensors if tensor.constant_bytes]
    return {
        "size_bytes": model.size_bytes,
        "parameters": model.parameters,
        "description": model.description,
        "subgraphs": model.subgraphs,
        "min_runtime_version": model.min_runtime_version,
        "inputs": [_input_record(tensor, model) for tensor in model.inputs],
        "outputs": [_tensor_record(tensor) for tensor in model.outputs],
        "operators": operators,
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
        "metadata": _metadata_record(model),
        "labels": list(model.metadata.labels) if model.metadata else [],
    }


def _tensor_record(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "dynamic": tensor.is_dynamic,
        "size_bytes": tensor.size_bytes,
        "scales": list(tensor.scales),
        "zero_points": list(tensor.zero_points),
    }


def _input_record(tensor: TensorInfo, model: ModelFile) -> dict[str, Any]:
    from dermpack.tflite import feed_words, takes_raw_bytes

    words = feed_words(tensor, model.metadata)
    return {**_tensor_record(tensor), "takes_raw_bytes": takes_raw_bytes(tensor), "feed": words}


def _metadata_record(model: ModelFile) -> dict[str, Any] | None:
    of = model.metadata
    if of is None:
        return None
    texts = {"name": of.name, "description": of.description, "version": of.version, "author": of.author}
    return {
        **texts,
        "licence": of.licence,
        "mean": list(of.mean),
        "std": list(of.std),
        "lowest": list(of.lowest),
        "highest": list(of.highest),
        "score_threshold": of.score_threshold,
        "score_calibration": of.calibration.transformation.name.lower() if of.calibration else None,
        "files": list(of.files),
        "min_parser_version": of.min_parser_version,
    }


def _contract_record(contract: Contract | None, differing: Sequence[str]) -> dict[str, Any]:
    from dermpack.contract import contract_record

    shown = contract_record(contract) if contract else None
    return {"contract": shown, "contract_disagrees": list(differing)}


def _lines(path: Path, record: dict[str, Any]) -> Iterator[str]:
    """What a person reads, from top to bottom."""
    yield f"{path}: {record['size_bytes']:,} bytes, {record['parameters']:,} parameters"
    yield f"sha256 {record['sha256']}"
    for tensor in record["inputs"]:
        yield f"input   {_tensor_words(tensor)}"
        yield f"        feed {tensor['feed']}"
    for tensor in record["outputs"]:
        yield f"output  {_tensor_words(tensor)}"
    yield from _quantization_lines(record["quantization"])
    yield from _operator_lines(record)
    yield from _metadata_lines(record)
    yield from _contract_lines(record)
    yield ""
    yield f"{len(record['traps'])} findings" if record["traps"] else "no findings"
    yield from (f"  {trap['kind']}: {trap['detail']}; {trap['hint']}" for trap in record["traps"])
    yield RESEARCH_ONLY


def _tensor_words(tensor: dict[str, Any]) -> str:
    steps = zip(tensor["scales"], tensor["zero_points"], strict=False)
    quantized = "".join(f", scale {scale:.8g}, zero point {zero}" for scale, zero in list(steps)[:1])
    shape = "×".join(map(str, tensor["shape"])) or "scalar"
    dynamic = " (dynamic)" if tensor["dynamic"] else ""
    return f"{tensor['name']}: {tensor['dtype']} {shape}{dynamic}, {tensor['size_bytes']:,} bytes{quantized}"


def _quantization_lines(of: dict[str, Any]) -> Iterator[str]:
    if of["computes_in_integers"]:
        kind, many = "integers", of["computed"] - of["computed_float"]
    else:
        kind, many = "floats", of["computed_float"]
    inside = f"; {len(of['float_inside'])} float tensors inside" if kind == "integers" else ""
    yield f"computes in {kind}: {many} of {of['computed']} computed tensors{inside}"
    stored = _listed(f"{name} {size:,}" for name, size in of["bytes"].items())
    yield f"stores  {stored} bytes; {of['constants_per_channel']} of {of['constants']} constants per channel"


def _operator_lines(record: dict[str, Any]) -> Iterator[str]:
    known = record["min_runtime_version"]
    yield ""
    yield f"operators (the file asks for runtime {known} or later)" if known else "operators"
    width = max((len(of["name"]) for of in record["operators"]), default=0)
    for of in record["operators"]:
        custom = "  custom" if of["custom"] else ""
        yield f"  {of['name']:<{width}}  version {of['version']:>2}  {of['count']:>4} ×{custom}"


def _metadata_lines(record: dict[str, Any]) -> Iterator[str]:
    yield ""
    of = record["metadata"]
    if of is None:
        yield "metadata  none"
        return
    yield "metadata"
    for key, value in of.items():
        if value not in (None, "", []):
            yield f"  {key}: {_listed(value) if isinstance(value, list) else value}"
    if record["labels"]:
        yield f"  labels: {_listed(record['labels'])}"


def _contract_lines(record: dict[str, Any]) -> Iterator[str]:
    yield ""
    of, differing = record["contract"], record["contract_disagrees"]
    if of is None:
        yield "contract  none beside the file"
        return
    yield "contract  about this very file" if not differing else "contract  NOT about this file"
    yield from (f"  {line}" for line in differing)
    yield f"  {of['name']} {of['version']}, {of['recipe']['name']} by {of['recipe']['method']}"
    yield f"  labels: {_listed(of['labels'])}"
    yield f"  pictures become squares by {of['input']['policy']}"
    for accuracy in of["accuracy"]:
        yield f"  {accuracy['split']} (n = {accuracy['n']:,}): {accuracy['agreement']:.1%} agree with float"
        yield from (f"    {_figure_words(figure)}" for figure in accuracy["figures"])
    for tried in of["runtimes"]["tried"]:
        works = "works" if tried["works"] else "DOES NOT WORK"
        yield f"  {tried['runtime']} {tried['version']} ({tried['delegate']}): {works}, {tried['result']}"
    yield f"  licence: {of['license']}"
    yield f"  intended use: {of['intended_use']}"


def _figure_words(of: dict[str, Any]) -> str:
    interval = f" ({of['ci95'][0]:+.4f} to {of['ci95'][1]:+.4f})" if of["ci95"] else ""
    figures = f"{of['of_file']:.4f}, float {of['of_float']:.4f}"
    return f"{of['metric']}: {figures}, difference {of['difference']:+.4f}{interval}"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
