"""The contract names every tensor: roles, columns of metadata, and contracts of the first schema."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from dermpack.contract import (
    CategoricalColumn,
    Contract,
    EvidenceOutput,
    FamiliarityKind,
    FamiliarityOutput,
    MetadataEvidenceOutput,
    MetadataInput,
    NumericColumn,
    Parents,
    SourceKind,
    TensorType,
    encode_metadata_row,
    format_contract,
    parse_contract,
)
from tests.support.contracts import contract_for
from tests.support.errors import raises_code

AGE = NumericColumn(name="age", mean=50, std=20, minimum=0, maximum=120)
SEX = CategoricalColumn(name="sex", categories=("female", "male"))
FLOAT: dict[str, Any] = {"dtype": TensorType.FLOAT32, "scale": None, "zero_point": None}


def full_contract() -> Contract:
    """A contract with every role."""
    made = contract_for()
    shares: dict[str, Any] = {"threshold": 2.5, "accepted": 0.95, "n": 100, "split": "validation"}
    outputs = {
        **made.outputs,
        "evidence": EvidenceOutput(shape=(1, 7, 7, 3), tolerance_steps=1.0, **FLOAT),
        "metadata_evidence": MetadataEvidenceOutput(shape=(1, 3), **FLOAT),
        "familiarity": FamiliarityOutput(shape=(1, 1), kind=FamiliarityKind.MAHALANOBIS, **FLOAT, **shares),
    }
    metadata = MetadataInput(shape=(1, 5), columns=(AGE, SEX), **FLOAT)
    return replace(
        made, signature="serving_default", inputs={**made.inputs, "metadata": metadata}, outputs=outputs
    )


def first_schema() -> Any:
    """The same contract as dermpack 0.1 wrote it."""
    record = json.loads(format_contract(contract_for()))
    picture, probabilities = record.pop("inputs")["picture"], record.pop("outputs")["probabilities"]
    for name in ("role", "shape"):
        del picture[name], probabilities[name]
    picture["mean"] = picture["std"] = 127.5
    del probabilities["applied"], record["parents"]["kind"], record["parents"]["file"]
    for name in ("signature", "source", "quality", "input_evidence"):
        del record[name]
    return {**record, "schema": 1, "input": picture, "output": probabilities}


def test_every_role_is_read_back_as_it_was_written() -> None:
    contract = full_contract()
    assert parse_contract(json.loads(format_contract(contract)), where="model.json") == contract


def test_a_contract_of_the_first_schema_is_read_as_one_of_the_second() -> None:
    assert parse_contract(first_schema(), where="model.json") == contract_for()


@pytest.mark.parametrize(("key", "value"), [("input", []), ("output", None)])
def test_a_broken_contract_of_the_first_schema_is_refused(key: str, value: object) -> None:
    with raises_code("invalid-contract", key):
        parse_contract({**first_schema(), key: value}, where="model.json")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("signature", None, "signature"),
        ("outputs.evidence.role", "heat", "outputs.evidence.role familiarity"),
        ("outputs.evidence.role", "probabilities", "outputs"),
        ("outputs.evidence.shape", [1, 7, 7, 4], "evidence.shape"),
        ("outputs.familiarity.shape", [1, 2], "outputs.familiarity.shape"),
        ("outputs.familiarity.accepted", 2, "outputs.familiarity.accepted"),
        ("inputs.metadata.shape", [1, 4], "inputs.metadata.shape"),
        ("inputs.metadata.columns.0.kind", "ordinal", "inputs.metadata.columns[0].kind"),
        ("inputs.metadata.columns.0.std", 0, "inputs.metadata.columns[0].std"),
        ("inputs.metadata.columns.1.categories", ["a", "a"], "inputs.metadata.columns[1].categories"),
        ("inputs.metadata.role", "picture", "inputs.metadata"),
        ("inputs.picture.mean", [1, 2], "inputs.picture.mean"),
        ("inputs.picture.layout", "NCHW", "inputs.picture.shape"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused_by_name(path: str, value: object, named: str) -> None:
    record = at = json.loads(format_contract(full_contract()))
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in parents:
        at = at[step]
    at[last] = value
    with raises_code("invalid-contract", *named.split()):
        parse_contract(record, where="model.json")


def test_the_share_of_the_metadata_needs_metadata() -> None:
    contract = full_contract()
    with pytest.raises(ValueError, match="outputs"):
        replace(contract, inputs={"picture": contract.picture})


def test_parents_of_another_origin_name_the_file() -> None:
    made = Parents(kind=SourceKind.KERAS, file="a" * 64)
    assert (made.run, made.dataset) == (None, None)
    with pytest.raises(ValueError, match="file"):
        Parents(kind=SourceKind.KERAS)
    with pytest.raises(ValueError, match="run"):
        Parents(weights="a" * 64, dataset="a" * 64)


@pytest.mark.parametrize(
    ("cells", "slots"),
    [
        ({"age": "30", "sex": "male"}, (-1.0, 0.0, 0.0, 1.0, 0.0)),
        ({"age": " 50 ", "sex": ""}, (0.0, 0.0, 0.0, 0.0, 1.0)),
        ({}, (0.0, 1.0, 0.0, 0.0, 1.0)),
    ],
)
def test_a_row_of_metadata_has_a_slot_for_what_is_missing(cells: Any, slots: Any) -> None:
    assert encode_metadata_row((AGE, SEX), cells, where="row 1") == slots


def test_the_slots_are_float32_as_in_java() -> None:
    (value, *_) = encode_metadata_row((AGE,), {"age": "57"}, where="row 1")
    assert value == struct.unpack("<f", struct.pack("<f", 0.35))[0] != 0.35


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"age": "old"}, "invalid-value"),
        ({"age": "nan"}, "invalid-value"),
        ({"age": "130"}, "value-out-of-range"),
        ({"sex": "x"}, "unknown-category"),
        ({"weight": "70"}, "unknown-column"),
    ],
)
def test_a_value_that_the_model_was_not_trained_on_is_refused(cells: Any, code: str) -> None:
    with raises_code(code, "row 1"):
        encode_metadata_row((AGE, SEX), cells, where="row 1")
