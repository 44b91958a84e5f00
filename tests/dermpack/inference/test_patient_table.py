"""The table of patient metadata, read once for all pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.contract import CategoricalColumn, MetadataInput, NumericColumn, TensorType
from dermpack.inference.model_files import OpenedModel
from dermpack.inference.predict.patient_table import read_patient_rows
from tests.support.contracts import contract_for
from tests.support.errors import raises_code

AGE = NumericColumn(name="age", mean=50, std=20, minimum=0, maximum=120)
SEX = CategoricalColumn(name="sex", categories=("female", "male"))


@pytest.fixture(name="model")
def model_with_metadata() -> OpenedModel:
    contract = contract_for()
    metadata = MetadataInput(
        shape=(1, 5), columns=(AGE, SEX), dtype=TensorType.FLOAT32, scale=None, zero_point=None
    )
    interface = replace(contract, signature="s", inputs={**contract.inputs, "metadata": metadata})
    return OpenedModel(path=Path("m"), data=b"", sha256="", labels=contract.labels, interface=interface)


def write_table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_has_precedence_over_the_options_and_its_path_over_its_name(
    model: OpenedModel, tmp_path: Path
) -> None:
    table = write_table(tmp_path / "t.csv", "picture,age,sex\nx.png,30,\na/x.png,70,male\n")
    pictures = [Path("a/x.png"), Path("b/x.png"), Path("y.png")]
    known = read_patient_rows(model, pictures, table=table, values=["age=50", "sex=female"])
    assert known.rows is not None
    assert known.rows.tolist() == [[1, 0, 0, 1, 0], [-1, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    assert known.unlisted == 1


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("picture,age\nx.png,30\n", "missing-column", ""),
        ("picture,age,sex,age\nx.png,30,,40\n", "invalid-table", ""),
        ("picture,age,sex\nx.png,30\n", "invalid-table", ":2"),
        ("picture,age,sex\nx.png,30,\nx.png,31,\n", "conflicting-rows", ":3"),
        ("picture,age,sex\nx.png,130,\n", "value-out-of-range", ":2"),
    ],
)
def test_a_wrong_table_is_one_error(
    model: OpenedModel, tmp_path: Path, text: str, code: str, line: str
) -> None:
    table = write_table(tmp_path / "t.csv", text)
    with raises_code(code, f"{table}{line}"):
        read_patient_rows(model, [Path("x.png")], table=table, values=())


def test_a_model_without_metadata_takes_none(model: OpenedModel) -> None:
    plain = replace(model, interface=None)
    assert read_patient_rows(plain, [Path("x.png")], table=None, values=()).rows is None
    with raises_code("option-not-applicable"):
        read_patient_rows(plain, [Path("x.png")], table=None, values=["age=50"])


@pytest.mark.parametrize(("header", "may_be_empty"), [("picture,age", True), ("image,age,sex", False)])
def test_the_cells_of_a_field_may_be_empty_and_those_with_pictures_not(
    model: OpenedModel, tmp_path: Path, header: str, may_be_empty: bool
) -> None:
    table = write_table(tmp_path / "t.csv", f"{header}\n")
    with raises_code("missing-column", table) as caught:
        read_patient_rows(model, [Path("x.png")], table=table, values=())
    assert ("may be empty" in caught.value.hint) == may_be_empty
