"""dermpack benchmark, as its user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import write_dataset
from dermpack.inference.interpreter_host import installed_runtimes
from tests.support.errors import assert_stderr_code
from tests.support.evaluation_dataset import make_dataset
from tests.support.runnable_models import LABELS, float_model, integer_model

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    for name, data in (("float32", float_model()), ("int8", integer_model())):
        (folder / name).mkdir()
        (folder / name / "model.tflite").write_bytes(data)
        (folder / name / "model.json").write_text(json.dumps({"labels": list(LABELS)}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models on a dozen pictures, with one runtime, one thread and few rounds."""
    folder = tmp_path_factory.mktemp("report")
    dataset = make_dataset(folder / "data", n=12, labels=LABELS)
    write_dataset(dataset, folder / "data")
    quick = ("--threads", "1", "--kernels", "xnnpack", "--rounds", "20", "--seconds", "0")
    runtime = ("--runtime", installed_runtimes()[0].package)
    models = (str(exports / "float32"), str(exports / "int8"))
    data = ("--data", str(folder / "data"))
    assert main(["benchmark", *models, *data, *quick, *runtime, "-o", str(folder / "report"), "-q"]) == 0
    return folder / "report"


def test_a_report_holds_the_truth_and_its_pages(report: Path) -> None:
    record = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert {of["model"] for of in record["results"]} == {"float32", "int8"}
    assert all(of["median_ms"] > 0 for of in record["results"])
    assert record["data"]["n"] == 12
    assert (report / "report.html").is_file()
    assert (report / "report.md").is_file()


def test_a_report_is_no_regression_of_itself(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = str(report / "report.json")
    assert main(["benchmark", "--compare", truth, truth, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_regression"] is False


def test_a_slower_model_is_a_regression(report: Path, tmp_path: Path) -> None:
    before, after = (_steady(report, tmp_path / f"{ms}.json", ms=ms) for ms in (10.0, 20.0))
    assert main(["benchmark", "--compare", before, after, "-q"]) == 1
    assert main(["benchmark", "--compare", after, before, "-q"]) == 0
    assert main(["benchmark", "--compare", before, after, "--max-slowdown", "150%", "-q"]) == 0


def _steady(report: Path, path: Path, *, ms: float) -> str:
    """The report, as if every round had taken nearly so long."""
    record = json.loads((report / "report.json").read_text(encoding="utf-8"))
    for of in record["results"]:
        of["rounds_ms"] = [ms + at % 3 / 100 for at in range(of["rounds"])]
        of.update(dict.fromkeys(("median_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms"), ms))
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "code", "value"),
    [
        (("--on", "moon"), "invalid-option", "--on moon"),
        (("--on", "qemu:max"), "target-not-supported", "cortex-a72"),
        (("--on", "adb"), "missing-option", "--benchmark-model"),
        (("--on", "ssh:-oProxyCommand=x"), "invalid-option", "ssh:-oProxyCommand=x"),
    ],
)
def test_a_place_that_is_none_is_refused_in_one_line(
    arguments: tuple[str, ...],
    code: str,
    value: str,
    exports: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["benchmark", str(exports / "int8"), *arguments, "-o", str(tmp_path / "report")]
    assert main(asked) == 1
    stderr = capsys.readouterr().err
    assert_stderr_code(stderr, code, value)
    assert stderr.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_a_place_that_fails_takes_nothing_from_the_others(exports: Path, tmp_path: Path) -> None:
    nowhere = ("--on", "host", "--on", "ssh:nobody@127.0.0.1:1")
    quick = ("--threads", "1", "--kernels", "xnnpack", "--rounds", "5", "--seconds", "0", "-q")
    report = tmp_path / "report"
    assert main(["benchmark", str(exports / "int8"), *nowhere, *quick, "-o", str(report)]) == 1
    record = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert [of["target"] for of in record["targets"]] == ["host"]


def test_threads_are_counts(exports: Path, tmp_path: Path) -> None:
    report = str(tmp_path / "report")
    assert main(["benchmark", str(exports / "int8"), "--threads", "1,x", "-o", report]) == 2


def test_without_models_or_report_the_usage_is_said(tmp_path: Path) -> None:
    assert main(["benchmark"]) == 2
    assert main(["benchmark", "-o", str(tmp_path / "report")]) == 2
