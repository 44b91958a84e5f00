"""Evidence map, distance and patient metadata in one file: every command and both runtimes take it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from dermpack.bundle.android_module import JAVAC_START
from dermpack.bundle.read_bundle import read_bundle
from dermpack.bundle.web.checks import check_site
from dermpack.cli import main
from dermpack.contract import read_contract
from dermpack.storage.files import sha256_of
from tests.support.coloured_dataset import write_coloured
from tests.support.errors import assert_stderr_code
from tests.support.joined_export import OUTPUTS, convert_joined, train_both
from tests.support.live_server import Reply, live_server
from tests.support.paths import REPOSITORY
from tests.support.web_sites import RUNTIME, needs_runtime, run_node, write_files

pytestmark = pytest.mark.tensorflow
RECIPES = ("float32", "float16", "int8")
TENSOR_INDEX = 6  # the field of a TensorMap in the tables of the flatbuffer
JAVA = REPOSITORY / "dermpack" / "bundle" / "java"
QUICK = ("--threads", "1", "--kernels", "xnnpack", "--rounds", "20", "--seconds", "0")


@pytest.fixture(scope="module")
def trained_both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return train_both(tmp_path_factory.mktemp("joined"))


@pytest.fixture(scope="module")
def patients(trained_both: tuple[Path, Path]) -> Path:
    return trained_both[0]


@pytest.fixture(scope="module")
def both(trained_both: tuple[Path, Path]) -> Path:
    """A run that takes pictures and metadata."""
    return trained_both[1]


@pytest.fixture(scope="module")
def exports(both: Path) -> Path:
    return convert_joined(both, both.parent / "exports", *RECIPES)


def assert_verified(exports: Path, both: Path, patients: Path, capsys: Any, *, count: int) -> None:
    """Every check holds on both runtimes, with and without XNNPACK, for each of the files."""
    capsys.readouterr()
    command = ["verify", str(exports), str(patients), "--run", str(both), "--pictures", "4"]
    assert main([*command, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["exports"]
    assert len(found) == count
    for export in found:
        held = [check["proof"] for check in export["proofs"] if check["result"] == "holds"]
        for kind in ("runs on", "evidence on", "distances on"):
            for runtime in ("ai-edge-litert", "tflite-runtime"):
                assert sum(proof.startswith(f"{kind} {runtime}") for proof in held) == 2, (kind, runtime)


def test_every_check_holds_on_both_runtimes(
    exports: Path, both: Path, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for recipe in RECIPES:
        contract = read_contract(exports / recipe / "model.json")
        assert set(contract.inputs) == {"picture", "metadata"}
        assert set(contract.outputs) == OUTPUTS
    assert_verified(exports, both, patients, capsys, count=len(RECIPES))


@pytest.mark.slow
def test_a_file_of_quantization_aware_training_is_verified(
    both: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = convert_joined(both, tmp_path / "trained", "int8", method="qat")
    assert set(read_contract(folder / "model.json").outputs) == OUTPUTS
    assert_verified(folder, both, patients, capsys, count=1)


def exchange_outputs(data: bytes, names: tuple[str, str]) -> bytes:
    """Return the file with the tensors of two names of its signature exchanged."""
    changed = bytearray(data)
    signature = schema.Model.GetRootAs(changed).SignatureDefs(0)
    outputs = [signature.Outputs(number) for number in range(signature.OutputsLength())]
    first, other = (output for output in outputs if output.Name().decode() in names)
    indices = first.TensorIndex(), other.TensorIndex()
    for output, index in zip((other, first), indices, strict=True):
        table = output._tab
        struct.pack_into("<I", changed, table.Pos + table.Offset(TENSOR_INDEX), index)
    return bytes(changed)


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_two_outputs_of_the_same_shape_that_are_exchanged_fail(
    exports: Path, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes and description fit: only what the outputs say shows that they are exchanged."""
    names = ("probabilities", "metadata_evidence")
    data = exchange_outputs((exports / recipe / "model.tflite").read_bytes(), names)
    record = json.loads((exports / recipe / "model.json").read_text(encoding="utf-8"))
    record["sha256"], record["size_bytes"] = sha256_of(data), len(data)
    one, another = (record["outputs"][name] for name in names)
    for field in ("scale", "zero_point"):
        one[field], another[field] = another[field], one[field]
    (tmp_path / "model.tflite").write_bytes(data)
    (tmp_path / "model.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["verify", str(tmp_path), "--pictures", "2", "--json", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert_stderr_code(captured.err, "verification-failed")
    (export,) = json.loads(captured.out)["exports"]
    results = {check["proof"]: check["result"] for check in export["proofs"]}
    assert results["bytes"] == results["output probabilities"] == "holds", results
    failed = {proof.partition(" on ")[0] for proof, result in results.items() if result == "fails"}
    assert failed & {"runs", "evidence", "outputs"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_answer_has_probabilities_map_and_distance(
    exports: Path, patients: Path, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [str(patients / "red-00.png"), str(patients / "green-00.png")]
    maps, table = tmp_path / "maps", tmp_path / "known.csv"
    lines = ["picture,age,sex,localization", "red-00.png,70,male,", "green-00.png,70,male,"]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = ["predict", str(exports / recipe), *pictures, "--top", "3", "--json", "--quiet"]
    known = ("--with", "age=70", "--with", "sex=male")
    assert main([*command, *known, "--evidence", str(maps)]) == 0
    by_option = json.loads(capsys.readouterr().out)
    assert main([*command, "--metadata", str(table)]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == by_option["pictures"]
    assert main(command) == 0
    blank = json.loads(capsys.readouterr().out)["pictures"]
    for with_metadata, without in zip(by_option["pictures"], blank, strict=True):
        assert with_metadata["top"] != without["top"]
        # What is known about the patient does not make a picture more familiar.
        assert with_metadata["distance"] == without["distance"] > 0
    assert len(json.loads((maps / "maps.json").read_text(encoding="utf-8"))["maps"]) == len(pictures)


def test_a_server_takes_the_metadata_as_parameters(
    exports: Path, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, known = patients / "red-00.png", ("--with", "age=70", "--with", "sex=male")
    command = ["predict", str(exports / "int8"), str(picture), "--top", "3", "--json", "--quiet"]
    assert main([*command, *known]) == 0
    (expected,) = json.loads(capsys.readouterr().out)["pictures"]
    with live_server(exports / "int8") as server:

        def ask(query: str) -> Reply:
            return server.ask("POST", f"/api/v1/predictions?{query}", picture.read_bytes())

        assert ask("age=70&sex=male").json["pictures"] == [{**expected, "picture": "picture"}]
        refused = [ask(query).refusal for query in ("age=x", "sex=robot", "weight=70", "age=70&age=71")]
    codes = ("invalid-value", "unknown-category", "unknown-column", "invalid-request")
    assert refused == [(422, code) for code in codes]


def test_an_evaluation_has_all_sections_at_once(
    exports: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown, report = tmp_path / "unknown", tmp_path / "report"
    write_coloured(unknown, seed=1)  # without metadata
    command = ["evaluate", str(exports / "int8"), str(patients), "-o", str(report), "--json", "--quiet"]
    assert main([*command, "--unknown", str(unknown)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["metadata"]["rows"]) == 4
    assert {"deletion gain", "insertion gain", "occlusion correlation"} <= set(found["evidence"]["figures"])
    assert len(found["unknown"]) == 1
    page = (report / "report.html").read_text(encoding="utf-8")
    for heading in ("Picture and metadata", "Evidence", "Unknown pictures"):
        assert heading in page


def test_a_benchmark_runs_and_scores_the_files(exports: Path, patients: Path, tmp_path: Path) -> None:
    report = tmp_path / "benchmark"
    command = ["benchmark", str(exports), "--data", str(patients), "-o", str(report), *QUICK, "--quiet"]
    assert main(command) == 0
    record = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert {result["model"] for result in record["results"]} == set(RECIPES)
    assert all(result["median_ms"] > 0 for result in record["results"])


def test_a_bundle_is_verified_and_answers_on_a_jvm_byte_for_byte(exports: Path, tmp_path: Path) -> None:
    bundle, classes = tmp_path / "skin.zip", tmp_path / "classes"
    command = [
        "package",
        str(exports),
        "-o",
        str(bundle),
        "--name",
        "skin",
        "--format",
        "assets",
        "--golden-in",
        "main",
    ]
    variants = [part for recipe in RECIPES for part in ("--variant", recipe)]
    assert main([*command, *variants, "--quiet"]) == 0
    assert main(["verify", str(bundle), "--pictures", "2", "--quiet"]) == 0
    if shutil.which("javac") is None:
        pytest.skip("no JDK (javac) is installed")
    shutil.unpack_archive(bundle, tmp_path / "bundle")
    sources = [*JAVA.glob("pure/*.java"), *JAVA.glob("standin/Null*.java")]
    sources.append(REPOSITORY / "tests" / "support" / "ReplayCheck.java")
    command = ["javac", *JAVAC_START, "-d", str(classes)]
    subprocess.run([*command, *map(str, sources)], check=True, capture_output=True)
    (golden,) = (tmp_path / "bundle").rglob("golden.json")
    assets = golden.parent.parent
    contracts = sorted(assets.rglob("model.json"))
    assert len(contracts) == len(RECIPES)
    for contract in contracts:
        program = ["java", "-cp", str(classes), "dermpack.bundle.ReplayCheck", str(assets)]
        record = str(contract.relative_to(assets))
        done = subprocess.run([*program, record], check=True, capture_output=True, text=True)
        # Another decoder may open a JPEG differently; a PNG, and everything after the pixels, is the same.
        lines = [line for line in done.stdout.splitlines() if ".jpg: pixels" not in line]
        assert sum(": answer" in line for line in lines) >= 10
        for name in OUTPUTS - {"probabilities"}:
            assert sum(f": {name} " in line for line in lines) >= 10
        assert all(line.startswith("PASS ") and "same bytes" in line for line in lines), done.stdout


CLASSIFY = """
const { open } = await import('./js/classifier.js');
const classifier = await open(new URL('./', import.meta.url));
const answers = [];
for (const name of input.pictures) {
  const answer = await classifier.classify(new Blob([read(name)]), { metadata: input.metadata });
  const maps = classifier.labels.map((label) => answer.evidence(label.name));
  const shares = classifier.labels.map((label) => answer.metadataEvidence(label.name));
  answers.push({ ...answer, maps: maps.map((map) => ({ ...map, values: [...map.values] })), shares });
}
const columns = classifier.metadataColumns.map((column) => column.name);
process.stdout.write(JSON.stringify({ answers, columns }), () => process.exit(0));
"""


@needs_runtime
@pytest.mark.parametrize("recipe", [pytest.param("float32", marks=pytest.mark.slow), "int8"])
def test_a_web_bundle_answers_in_node_as_predict_does(
    exports: Path, patients: Path, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, known = tmp_path / "skin.zip", {"age": "70", "sex": "male"}
    command = ["package", str(exports), "-o", str(bundle), "--name", "skin", "--variant", recipe]
    assert main([*command, "--format", "web", "--litert", str(RUNTIME), "--quiet"]) == 0
    opened = read_bundle(bundle)
    *_, golden = check_site(opened, is_known_code=True)
    assert golden.outcome.value == "holds", golden.detail
    assert "61 checks pass" in golden.detail  # pixels of PNG files, and four outputs of each picture
    pictures = [str(patients / f"{colour}-00.png") for colour in ("red", "green")]
    options = [part for name, value in known.items() for part in ("--with", f"{name}={value}")]
    capsys.readouterr()
    command = ["predict", str(exports / recipe), *pictures, *options, "--top", "3", "--json", "--quiet"]
    assert main(command) == 0
    expected = json.loads(capsys.readouterr().out)["pictures"]
    site = write_files(tmp_path / "site", opened.files)
    found = run_node(site, CLASSIFY, {"pictures": pictures, "metadata": known})
    assert found["columns"] == ["age", "sex", "localization"]
    for answer, wanted in zip(found["answers"], expected, strict=True):
        assert answer["label"] == wanted["label"]
        assert answer["fault"] == wanted["fault"]
        assert answer["unlikeTraining"] == (not wanted["familiar"])
        assert answer["distance"] == pytest.approx(wanted["distance"], rel=1e-4)
        assert [score["label"] for score in answer["scores"]] == [guess["label"] for guess in wanted["top"]]
        probabilities = [score["probability"] for score in answer["scores"]]
        assert probabilities == pytest.approx([guess["probability"] for guess in wanted["top"]], abs=1e-5)
        # The mean of a map and the share of the metadata add up to a logit: they rank the labels as well.
        pairs = zip(answer["maps"], answer["shares"], strict=True)
        logits = [sum(one["values"]) / len(one["values"]) + share for one, share in pairs]
        labels = read_contract(exports / recipe / "model.json").labels
        assert labels[logits.index(max(logits))] == answer["scores"][0]["label"]
