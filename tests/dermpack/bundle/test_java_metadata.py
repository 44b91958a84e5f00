"""Patient metadata in Java: the same bits as in Python, the same refusals, and constants that compile."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.bundle.android_module import JAVA_FOLDER, JAVAC_START, name_java_sources
from dermpack.bundle.bundle_record import derive_names
from dermpack.bundle.metadata_constants import format_metadata_fields
from dermpack.contract import CategoricalColumn, MetadataInput, NumericColumn, TensorType, format_contract
from dermpack.inference.metadata_rows import encode_values
from dermpack.inference.picture_feed import Tensor, quantize
from tests.support.contracts import contract_for

pytestmark = [
    pytest.mark.java,
    pytest.mark.skipif(not (shutil.which("javac") and shutil.which("java")), reason="no JDK is installed"),
]

COLUMNS = (
    NumericColumn(name="age", mean=51.863, std=16.9127, minimum=0.0, maximum=85.0),
    CategoricalColumn(name="sex", categories=("female", "male")),
    CategoricalColumn(name="site", categories=("Fuß", "back", "lower extremity")),
)
SCALE, ZERO_POINT = 0.0204, 146
ROWS: tuple[dict[str, str], ...] = (
    {},
    {"age": "0"},
    {"age": "33.3", "sex": "male"},
    {"age": "85", "sex": "female", "site": "lower extremity"},
    {"site": "Fuß"},
)
MAIN = """package dermpack.skin;

import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.ByteBuffer;
import java.util.Map;

public final class Rows {
    public static void main(String[] names) throws Exception {
        String text = new String(Files.readAllBytes(Paths.get(names[0])), "UTF-8");
        final Contract contract = Contract.read(text);
        PictureClassifier classifier = new PictureClassifier(contract, new Engine() {
            @Override public void run(Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs) {}
            @Override public void close() {}
        });
        byte[] pixels = new byte[3 * contract.getSize() * contract.getSize()];
        for (int i = 1; i < names.length; i++) {
            Metadata known = Metadata.blank();
            for (String pair : names[i].split(";")) {
                int sign = pair.indexOf('=');
                if (sign > 0 && pair.substring(0, sign).equals(MetadataFields.AGE)) {
                    known = known.with(MetadataFields.AGE, Double.parseDouble(pair.substring(sign + 1)));
                } else if (sign > 0) {
                    known = known.with(pair.substring(0, sign), pair.substring(sign + 1));
                }
            }
            try {
                classifier.feed(pixels, known);
                StringBuilder line = new StringBuilder();
                for (byte part : classifier.fedMetadata()) {
                    line.append(String.format("%02x", part));
                }
                System.out.println(line);
            } catch (IllegalArgumentException refused) {
                System.out.println("refused");
            }
        }
    }
}
"""


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("java")
    names = derive_names("skin")
    for name, source in name_java_sources(names, ["int8"], COLUMNS).items():
        if not name.endswith(f"{names.class_name}.java"):
            (folder / Path(name).name).write_bytes(source)
    (folder / "Rows.java").write_text(MAIN, encoding="utf-8")
    command = [
        "javac",
        *JAVAC_START,
        "--release",
        "8",
        "-Xlint:-options",
        "-encoding",
        "UTF-8",
        "-d",
        str(folder / "classes"),
    ]
    sources = [*folder.glob("*.java"), *(JAVA_FOLDER / "standin").glob("Null*.java")]
    done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "classes"


def fed(classes: Path, contract: Path, rows: list[str]) -> list[str]:
    command = ["java", "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-cp", str(classes)]
    done = subprocess.run(
        [*command, "dermpack.skin.Rows", str(contract), *rows],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout.split()


def write_contract(folder: Path, dtype: TensorType) -> Path:
    contract = contract_for()
    is_float = dtype is TensorType.FLOAT32
    metadata = MetadataInput(
        shape=(1, sum(column.slots for column in COLUMNS)),
        dtype=dtype,
        scale=None if is_float else SCALE,
        zero_point=None if is_float else ZERO_POINT - (128 if dtype is TensorType.INT8 else 0),
        columns=COLUMNS,
    )
    named = replace(contract, signature="serving_default", inputs={**contract.inputs, "metadata": metadata})
    path = folder / "model.json"
    path.write_text(format_contract(named), encoding="utf-8")
    return path


@pytest.mark.parametrize("dtype", list(TensorType))
def test_a_row_has_the_same_bytes_as_in_python(tmp_path: Path, classes: Path, dtype: TensorType) -> None:
    contract = write_contract(tmp_path, dtype)
    described = json.loads(contract.read_text(encoding="utf-8"))["inputs"]["metadata"]
    tensor = Tensor(
        shape=tuple(described["shape"]),
        number=dtype,
        scale=described["scale"] or 0.0,
        zero_point=described["zero_point"] or 0,
    )
    expected = [quantize(encode_values(COLUMNS, row, where="row"), tensor).tobytes().hex() for row in ROWS]
    texts = [";".join(f"{name}={value}" for name, value in row.items()) for row in ROWS]
    assert fed(classes, contract, texts) == expected


def test_what_python_refuses_java_refuses_too(tmp_path: Path, classes: Path) -> None:
    contract = write_contract(tmp_path, TensorType.FLOAT32)
    refused = ["age=86", "age=NaN", "sex=diverse", "skin=I", "site=Back"]
    assert fed(classes, contract, refused) == ["refused"] * len(refused)


def test_constants_are_named_after_fields_and_categories() -> None:
    columns = (*COLUMNS, CategoricalColumn(name="2nd", categories=("a b", "a-b", "☃")))
    (source,) = format_metadata_fields(columns).values()
    for line in (
        'String AGE = "age"',
        "double AGE_MAXIMUM = 85.0",
        'String SITE_LOWER_EXTREMITY = "lower extremity"',
        'String N2ND_A_B_2 = "a-b"',
        'String N2ND_VALUE = "\\u2603"',
    ):
        assert f"public static final {line};" in source.decode()


def test_a_model_without_metadata_has_no_constants() -> None:
    assert format_metadata_fields(()) == {}
    assert np.all(
        [not name.endswith("MetadataFields.java") for name in name_java_sources(derive_names("a"), [])]
    )
