"""Read the variants of a bundle (exports of one model that differ in quantization), and run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from dermpack.contract import (
    CONTRACT_FILE,
    METADATA,
    PICTURE,
    PROBABILITIES,
    Contract,
    MetadataColumn,
    find_tensor_name,
    format_contract,
    read_contract,
)
from dermpack.errors import InputError
from dermpack.imaging.decoding import Pixels
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import (
    MAX_SIDE,
    feed_rows,
    names_of_tensors,
    read_probabilities,
)
from dermpack.inference.interpreter_host import InterpreterHost, Kernels, first_installed_runtime, open_host
from dermpack.inference.metadata_rows import Rows
from dermpack.inference.model_files import read_model
from dermpack.inference.picture_feed import Floats, build_feed, declared_tensor, dequantize
from dermpack.metrics.calibration import apply_temperature
from dermpack.storage.files import MAX_JSON_BYTES, path_exists, read_bytes, sha256_of
from dermpack.verification.verify import open_hosts

MODEL_FILE = "model.tflite"
CONVERT_HINT = "Convert the run again."
EXPORT_HINT = 'Give a folder that "dermpack convert" made.'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A model and its contract; its name is that of its quantization: int8, float16."""

    where: Path
    model: bytes
    contract: Contract
    contract_bytes: bytes

    @property
    def name(self) -> str:
        return self.contract.recipe.name

    @property
    def policy(self) -> Policy:
        return Policy(self.contract.picture.policy)

    @property
    def columns(self) -> tuple[MetadataColumn, ...]:
        """The columns of its patient metadata, if it takes any."""
        return self.contract.metadata_columns

    @property
    def metadata_name(self) -> str | None:
        """The name of the input for the patient metadata, or None."""
        return find_tensor_name(self.contract.inputs, METADATA) if self.columns else None

    @property
    def picture_name(self) -> str:
        """The name of the input for the picture."""
        return find_tensor_name(self.contract.inputs, PICTURE)

    @property
    def answer_name(self) -> str:
        """The name of the output with the probabilities."""
        return find_tensor_name(self.contract.outputs, PROBABILITIES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariantOutput:
    """The bytes of each input and output for one picture, and the probabilities."""

    fed: Mapping[str, bytes]
    outputs: Mapping[str, bytes]
    probabilities: Floats  # [k], with the temperature of the contract


def read_variants(folder: Path, names: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Read an export, or the named exports of a folder of exports; the first one is the main variant."""
    if (folder / CONTRACT_FILE).is_file():
        if names:
            what = "a single export, not a folder of exports"
            raise InputError(folder, what, "Omit --variant.", code="option-not-applicable")
        return (_read_variant(folder),)
    if not path_exists(folder):
        raise InputError(folder, "the folder does not exist", EXPORT_HINT, code="model-not-found")
    if not folder.is_dir():
        raise InputError(folder, "not a directory", EXPORT_HINT, code="not-a-directory")
    exports = sorted(inside.name for inside in folder.iterdir() if (inside / CONTRACT_FILE).is_file())
    if not exports:
        raise InputError(folder, "contains no export", EXPORT_HINT, code="model-not-found")
    if not names and len(exports) != 1:
        what = f"not an export, but a folder of several: {', '.join(exports)}"
        raise InputError(folder, what, "Name one or more of them with --variant.", code="missing-option")
    unknown = [name for name in names if name not in exports]
    if unknown or len(set(names)) < len(names):
        what = f"contains no export {unknown[0]!r}" if unknown else "--variant names the same export twice"
        hint = f"Name one or more of: {', '.join(exports)}."
        raise InputError(folder, what, hint, code="invalid-option")
    variants = tuple(_read_variant(folder / name) for name in names or exports)
    _check_same_model(variants)
    return variants


def describe_labels(variant: Variant, meanings: Mapping[str, str]) -> Variant:
    """Return the variant with these meanings of labels in its contract; without any, it stays as it is."""
    if not meanings:
        return variant
    contract = replace(variant.contract, meanings={**variant.contract.meanings, **meanings})
    return replace(variant, contract=contract, contract_bytes=format_contract(contract).encode())


def run_variants(
    variants: Sequence[Variant], pixels: Pixels, metadata: Rows | None = None
) -> list[tuple[VariantOutput, ...]]:
    """Run each variant on the first installed interpreter, as an app does; pixels are uint8 [n, s, s, 3]."""
    with open_host(first_installed_runtime()) as host:
        return [run_variant(host, variant, pixels, metadata, kernels=Kernels.XNNPACK) for variant in variants]


def run_variants_elsewhere(
    variants: Sequence[Variant], pixels: Pixels, metadata: Rows | None = None
) -> list[tuple[Floats, ...]]:
    """Return the probabilities [n, labels] of each variant on every other interpreter and set of kernels.

    These are all that `run_variants` does not use. A set of kernels that cannot run a variant gives nothing:
    verification reports it.
    """
    probabilities: list[tuple[Floats, ...]] = [() for _ in variants]
    with open_hosts() as hosts:
        others = [(host, kernels) for host in hosts.values() for kernels in Kernels]
        others.remove((hosts[first_installed_runtime()], Kernels.XNNPACK))
        for (index, variant), (host, kernels) in product(enumerate(variants), others):
            with suppress(InputError):
                run = run_variant(host, variant, pixels, metadata, kernels=kernels)
                probabilities[index] += (np.stack([output.probabilities for output in run]),)
    return probabilities


def run_variant(
    host: InterpreterHost,
    variant: Variant,
    pixels: Pixels,
    metadata: Rows | None = None,
    *,
    kernels: Kernels,
) -> tuple[VariantOutput, ...]:
    """Run one variant on prepared pixels, uint8 [n, s, s, 3], and rows of metadata, or blank ones."""
    contract = variant.contract
    session = host.load(
        variant.model, where=variant.where, threads=1, kernels=kernels, names=names_of_tensors(contract)
    )
    described = {tensor.name: tensor for tensor in (*session.inputs, *session.outputs)}
    for name, record in {**contract.inputs, **contract.outputs}.items():
        found, declared = described[name], declared_tensor(record)
        if (found.shape, found.dtype) != (declared.shape, declared.number.value):
            what = f"{name} is {found.dtype} {list(found.shape)}, which differs from the contract"
            raise InputError(variant.where, what, CONVERT_HINT, code="contract-mismatch")
    fed = feed_variant(variant, pixels, metadata)
    answered = session.run(fed)
    probabilities = interpret_outputs(variant, answered, count=len(pixels))
    rows = [_split_rows(ends, len(pixels)) for ends in (fed, answered)]
    return tuple(
        VariantOutput(fed=inputs, outputs=outputs, probabilities=values)
        for inputs, outputs, values in zip(*rows, probabilities, strict=True)
    )


def feed_variant(variant: Variant, pixels: Pixels, metadata: Rows | None = None) -> dict[str, bytes]:
    """Return the bytes of each input for prepared pixels, uint8 [n, s, s, 3], and rows of metadata."""
    contract = variant.contract
    tensors = {name: declared_tensor(record) for name, record in contract.inputs.items()}
    feed = build_feed(declared_tensor(contract.picture), contract.picture)
    return feed_rows(contract, tensors, feed(pixels), metadata)


def interpret_outputs(variant: Variant, outputs: Mapping[str, bytes], *, count: int) -> Floats:
    """Return the probabilities [count, labels] in the bytes of the outputs of `count` pictures."""
    contract, real = variant.contract, {}
    for name, data in outputs.items():
        tensor = declared_tensor(contract.outputs[name])
        real[name] = dequantize(np.frombuffer(data, dtype=tensor.dtype), tensor)
    probabilities = read_probabilities(contract, real, count, contract.labels)
    temperature = contract.probabilities.temperature
    return probabilities if temperature is None else apply_temperature(probabilities, temperature)


def _split_rows(ends: Mapping[str, bytes], count: int) -> list[dict[str, bytes]]:
    """Return the bytes of each tensor for each of `count` rows."""
    return [
        {name: data[row * len(data) // count : (row + 1) * len(data) // count] for name, data in ends.items()}
        for row in range(count)
    ]


def _read_variant(folder: Path) -> Variant:
    contract, model = read_contract(folder / CONTRACT_FILE), read_model(folder / MODEL_FILE)
    if sha256_of(model) != contract.sha256:
        what = f"not the file that {CONTRACT_FILE} describes (different sha256)"
        raise InputError(folder / MODEL_FILE, what, CONVERT_HINT, code="contract-mismatch")
    name = contract.recipe.name
    if not (name.isascii() and name.isalnum()):  # it becomes the name of a folder and of a Java constant
        what = f"invalid format (recipe {name[:80]!r})"
        raise InputError(folder / CONTRACT_FILE, what, CONVERT_HINT, code="invalid-format")
    width, height, policy = contract.picture.width, contract.picture.height, contract.picture.policy
    if width != height or width > MAX_SIDE or policy not in {known.value for known in Policy}:
        what = f"no bundle can prepare its input ({width}×{height} px, policy {policy[:80]!r})"
        raise InputError(folder / CONTRACT_FILE, what, CONVERT_HINT, code="invalid-format")
    contract_bytes = read_bytes(folder / CONTRACT_FILE, most=MAX_JSON_BYTES, hint=CONVERT_HINT)
    return Variant(where=folder, model=model, contract=contract, contract_bytes=contract_bytes)


def _check_same_model(variants: Sequence[Variant]) -> None:
    """Check that the variants have the same labels and the same preprocessing, and different names."""
    first = variants[0].contract
    facts = (first.labels, first.picture.width, first.picture.policy)
    for variant in variants[1:]:
        contract = variant.contract
        same = (contract.labels, contract.picture.width, contract.picture.policy) == facts
        if not same or variant.columns != variants[0].columns:
            what = f"its labels or its input differ from those of {variants[0].where.name}"
            hint = "Bundle only variants of one model."
            raise InputError(variant.where, what, hint, code="variants-mismatch")
    if len({variant.name for variant in variants}) < len(variants):
        what = "two variants have the same recipe"
        raise InputError(first.name, what, "Name only one of them with --variant.", code="variants-mismatch")
