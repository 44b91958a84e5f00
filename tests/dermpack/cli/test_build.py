"""dermpack build: options from TOML, resuming, and the result."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.report.build_record import build_record
from dermpack.bundle.web.runtime import read_lock
from dermpack.cli import main
from dermpack.cli.build import demo_steps, missing_web_step
from dermpack.cli.build.run_steps import (
    STATE_FILE,
    BuildState,
    StepRecord,
    open_build,
    run_steps,
    step_reporter,
)
from dermpack.cli.build.steps import (
    ALL_STEPS,
    NOT_CONFIGURABLE,
    STEPS,
    BuildStep,
    available_steps,
    build_steps,
    check_steps,
    read_step_options,
)
from dermpack.cli.build.summary import (
    REPORTS,
    BuildSummary,
    FastestSetting,
    LabelRecall,
    QuantizationLoss,
    SamplePrediction,
    StepDuration,
    collect_notes,
    read_loss,
    summary_lines,
    write_index,
)
from dermpack.cli.console import Printer
from dermpack.dataset.manifest import read_dataset
from dermpack.metrics.summary import Figure
from tests.support.contracts import contract_for
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.measured_examples import a_plan, measured, timed
from tests.support.paths import REPOSITORY

TINY = {
    "pictures": ("--pictures", "40", "--size", "32"),
    "train": ("--arch", "scratch_cnn", "--size", "28", "--filters", "4,8", "--batch", "8", "--epochs", "2"),
    "convert": ("--method", "ptq", "--calibration", "8", "--max-drop", "100"),
    "benchmark": ("--threads", "1", "--rounds", "5", "--seconds", "0", "--kernels", "xnnpack"),
    "package": ("--name", "skin"),
}
TINY_TOML = """
[train]
arch = "scratch_cnn"
size = 28
filters = [4, 8]
batch = 8
epochs = 2
[convert]
method = "ptq"
calibration = 8
max-drop = 100
[benchmark]
threads = [1]
rounds = 5
seconds = 0
kernels = ["xnnpack"]
[package]
name = "skin"
"""
BUILD_PAGE = REPOSITORY / "docs/build.md"
DATA = ("pictures", "import", "check")  # the steps that need neither TensorFlow nor plots


class CtrlCError(Exception):
    """Stands for Ctrl-C."""


class Recorder:
    """Records which steps are begun and skipped; it may interrupt one."""

    def __init__(self, *, interrupt_at: str = "") -> None:
        self.begun: list[str] = []
        self.skipped: list[str] = []
        self.replacing: list[str] = []
        self.interrupt_at = interrupt_at

    def __call__(self, number: int, step: BuildStep, record: StepRecord | None) -> None:
        del number
        (self.skipped if record else self.begun).append(step.name)
        if "--overwrite" in step.arguments:
            self.replacing.append(step.name)
        if step.name == self.interrupt_at:
            raise CtrlCError


def data_steps(folder: Path) -> list[BuildStep]:
    return [step for step in demo_steps(folder, TINY) if step.name in DATA]


def run_data(
    folder: Path, recorder: Recorder, *, overwrite: bool = False, steps: list[BuildStep] | None = None
) -> BuildState:
    with open_build(folder, overwrite=overwrite) as state:
        steps = data_steps(folder) if steps is None else steps
        return run_steps(folder, steps, state, overwrite=overwrite, quiet=True, report=recorder)


def opened(folder: Path, *, overwrite: bool = False) -> BuildState:
    with open_build(folder, overwrite=overwrite) as state:
        return state


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "demo"
    run_data(folder, Recorder())
    return folder


@pytest.fixture
def built(_built: Path, tmp_path: Path) -> Path:
    """A folder in which the first steps are done, moved after that."""
    return Path(shutil.copytree(_built, tmp_path / "demo"))


def test_finished_steps_are_skipped_and_checks_run_again(built: Path) -> None:
    recorder = Recorder()
    run_data(built, recorder)
    assert (recorder.skipped, recorder.begun) == (["pictures", "import"], ["check"])


def test_an_interrupted_build_resumes(tmp_path: Path) -> None:
    first, second = Recorder(interrupt_at="import"), Recorder()
    with pytest.raises(CtrlCError):
        run_data(tmp_path / "demo", first)
    state = run_data(tmp_path / "demo", second)
    assert (second.skipped, second.begun) == (["pictures"], ["import", "check"])
    assert [name for name in DATA if state.steps[name].is_finished] == list(DATA)


def test_steps_after_a_lost_folder_run_again(built: Path) -> None:
    shutil.rmtree(built / "pictures")
    recorder = Recorder()
    run_data(built, recorder)
    assert (recorder.skipped, recorder.begun, recorder.replacing) == ([], list(DATA), ["import"])


def test_overwriting_runs_every_step_again(built: Path) -> None:
    (built / "dataset" / "manifest.csv").write_text("damaged")
    recorder = Recorder()
    run_data(built, recorder, overwrite=True)
    assert (recorder.begun, recorder.replacing) == (list(DATA), ["pictures", "import"])
    assert main(["data", "check", str(built / "dataset"), "--quiet"]) == 0


def test_a_step_with_other_options_and_the_following_ones_run_again(built: Path) -> None:
    recorder = Recorder()
    pictures, importing, check = data_steps(built)
    changed = replace(importing, key=("other",), arguments=(*importing.arguments, "--seed", "1"))
    run_data(built, recorder, steps=[pictures, changed, check])
    assert (recorder.skipped, recorder.replacing) == (["pictures"], ["import"])


def test_steps_of_another_version_run_again(built: Path) -> None:
    assert opened(built).steps
    path = built / STATE_FILE
    path.write_text(re.sub(r'"dermpack": "[^"]+"', '"dermpack": "0.0"', path.read_text("utf-8")), "utf-8")
    assert not opened(built).steps


def test_a_step_that_fails_is_not_finished_and_its_time_counts(built: Path) -> None:
    picture = next((built / "pictures" / "pictures").glob("demo_*.jpg"))
    picture.write_bytes(b"something else")
    before = opened(built).steps["check"]
    with raises_code("step-failed", "dermpack data check", "exit code 1"):
        run_data(built, Recorder())
    failed = opened(built).steps["check"]
    assert (before.is_finished, failed.is_finished) == (True, False)
    with raises_code("step-failed"):
        run_data(built, Recorder())
    assert opened(built).steps["check"].seconds >= failed.seconds


def test_an_unfinished_step_resumes_unless_overwritten(tmp_path: Path) -> None:
    resuming, replacing = Recorder(interrupt_at="pictures"), Recorder(interrupt_at="pictures")
    for recorder, overwrite in ((resuming, False), (replacing, True)):
        with pytest.raises(CtrlCError):
            run_data(tmp_path / "demo", recorder, overwrite=overwrite)
    assert (resuming.replacing, replacing.replacing) == ([], ["pictures"])


def test_an_unfinished_step_with_other_options_is_replaced(tmp_path: Path) -> None:
    pictures = data_steps(tmp_path / "demo")[0]
    for step in (pictures, replace(pictures, key=("--seed", "1"))):
        recorder = Recorder(interrupt_at="pictures")
        with pytest.raises(CtrlCError):
            run_data(tmp_path / "demo", recorder, steps=[step])
    assert recorder.replacing == ["pictures"]


def test_a_table_of_an_unfinished_step_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    steps = [step for step in demo_steps(folder, TINY) if step.name == "evaluate"]
    replacing = []
    for has_table in (False, True):
        recorder = Recorder(interrupt_at="evaluate")
        folder.mkdir(exist_ok=True)
        opened(folder)
        if has_table:
            (folder / "predictions.csv").touch()
        with pytest.raises(CtrlCError):
            run_data(folder, recorder, steps=steps)
        replacing.append(recorder.replacing)
    assert replacing == [[], ["evaluate"]]


def test_a_folder_of_anything_else_is_refused_and_not_modified(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with raises_code("output-exists", tmp_path, STATE_FILE):
        opened(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_second_build_in_a_folder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with open_build(folder, overwrite=False), raises_code("in-use", folder):
        opened(folder, overwrite=True)
    assert opened(folder) == BuildState()


def test_a_build_that_was_killed_before_its_first_step_resumes(tmp_path: Path) -> None:
    opened(tmp_path / "demo")
    assert (tmp_path / "demo" / STATE_FILE).is_file()
    assert opened(tmp_path / "demo") == BuildState()


@pytest.mark.parametrize(
    "text", ['{"asked": {}}', '{"schema": 9}', '{"steps": []}', '{"steps": {"train": {"key": 3}}}']
)
def test_a_broken_state_is_an_error_with_its_hint(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    with raises_code("invalid-format", tmp_path / STATE_FILE, "--overwrite"):
        opened(tmp_path)
    assert opened(tmp_path, overwrite=True) == BuildState()


@pytest.mark.parametrize("command", [("demo",), ("build", "pictures")])
def test_a_missing_extra_is_one_line_before_any_work(
    command: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("tensorflow", "sklearn", "ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, module, None)  # as Python marks what cannot be imported
    assert main([*command, "-o", str(tmp_path / "out")]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, "missing-extra", 'pip install "dermpack[device,train]"')
    assert not (tmp_path / "out").exists()


def test_each_step_prints_its_number_and_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    step = BuildStep(name="train", title="Training", arguments=("train", "my data"), key=())
    step_reporter(3, Printer())(2, step, None)
    step_reporter(3, Printer())(2, step, StepRecord(key=(), seconds=5.4))
    step_reporter(3, Printer(quiet=True))(2, step, None)
    printed = "\n2/3 Training\n$ dermpack train 'my data'\n2/3 Training: done before, in 5 s\n"
    assert capsys.readouterr().err == printed


def test_a_typo_in_the_pictures_leaves_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("the train extra is missing, which is an error before this one")
    assert main(["build", str(tmp_path / "picture"), "-o", str(tmp_path / "skin")]) == 1
    stderr = capsys.readouterr().err
    assert_stderr_code(stderr, "file-not-found", tmp_path / "picture")
    assert stderr.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


def test_an_output_inside_the_pictures_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("the train extra is missing, which is an error before this one")
    (tmp_path / "pictures" / "eczema").mkdir(parents=True)
    output = tmp_path / "pictures" / "skin"
    assert main(["build", str(tmp_path / "pictures"), "-o", str(output)]) == 1
    assert_stderr_code(capsys.readouterr().err, "output-inside-input", output)
    assert not output.exists()


def config_file(folder: Path, text: str) -> Path:
    path = folder / "build.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_options_of_the_steps_come_from_toml(tmp_path: Path) -> None:
    text = """
    [import]
    split = "80/10/10"
    positive = ["a", "b"]
    new-splits = true
    keep-splits = false
    mend = false
    [train]
    dense = [64, 32]
    fine_tune = 55
    rate = 0.001
    """
    options = read_step_options(config_file(tmp_path, text))
    assert options == {
        "import": (
            "--split",
            "80/10/10",
            "--positive",
            "a",
            "--positive",
            "b",
            "--new-splits",
            "--new-splits",
        ),
        "train": ("--dense", "64,32", "--fine-tune", "55", "--rate", "0.001"),
    }
    steps = {step.name: step for step in build_steps(Path("p"), tmp_path, options)}
    assert steps["train"].arguments[-6:] == options["train"]
    assert list(steps) == list(STEPS)


@pytest.mark.parametrize(
    ("text", "code", "value"),
    [
        ("[train]\nepoch = 3", "invalid-option", "'epoch' in [train]"),
        ("[tune]\ntrials = 3", "invalid-option", "[tune]"),
        ("train = 3", "invalid-option", "train"),
        ("[import]\nmend = 1", "invalid-option", "[import] mend"),
        ("[train]\nepochs = true", "invalid-option", "[train] epochs"),
        ("[convert]\nint8 = true\nfloat16 = true", "conflicting-options", "int8, float16"),
        ("[train", "invalid-toml", ""),
    ],
)
def test_an_invalid_config_is_an_error(tmp_path: Path, text: str, code: str, value: str) -> None:
    path = config_file(tmp_path, text)
    with raises_code(code, path, value):
        read_step_options(path)


def test_what_the_build_sets_itself_is_not_configurable(tmp_path: Path) -> None:
    for name in NOT_CONFIGURABLE:
        with raises_code("invalid-option", name):
            read_step_options(config_file(tmp_path, f'[benchmark]\n{name} = "x"'))


def test_an_invalid_value_is_an_error_before_the_first_step(
    tmp_path: Path, demo_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file(tmp_path, '[convert]\nmethod = "magic"')
    steps = build_steps(demo_pictures, tmp_path / "out", read_step_options(config))
    with raises_code("invalid-option", config, "[convert]", "magic"):
        check_steps(steps, config)
    if "tensorflow" in sys.modules or shutil.which("dermpack"):
        assert main(["build", str(demo_pictures), "-o", str(tmp_path / "out"), "--config", str(config)]) == 1
        assert_stderr_code(capsys.readouterr().err, "invalid-option", config)
    assert not (tmp_path / "out").exists()


SUMMARY = BuildSummary(
    pictures=1030,
    classes=("eczema", "not eczema"),
    training="mobilenet_v2, 96 px, --weights bundled",
    split="test",
    tested=154,
    tested_groups=114,
    file_scored=Figure(value=0.896, ci95=(0.838, 0.946)),
    labels=(
        LabelRecall(label="eczema", n=78, groups=60, recall=Figure(value=0.91, ci95=(0.83, 0.97))),
        LabelRecall(label="not eczema", n=76, groups=54, recall=Figure(value=0.5, ci95=None)),
    ),
    warnings=("test split: fewer than 30 groups of eczema (12): their figures are imprecise",),
    notes=("2 clusters of near duplicates with more than one label: check these pictures.",),
    file=Path("demo/export/model.tflite"),
    size_bytes=620_481,
    recipe="int8 ptq",
    lost=QuantizationLoss(
        points=0.6, ci95=(-2.3, 3.4), split="validation", n=155, of_float=0.903, of_file=0.897
    ),
    speed=FastestSetting(median_ms=0.2483, setting="ai-edge-litert, XNNPACK, 1 thread", target="host"),
    verification="export: holds (30 ok)",
    bundle=Path("demo/skin.zip"),
    bundle_bytes=1_234_567,
    asked=SamplePrediction(picture="demo_00000.jpg", label="eczema", probability=0.728, is_sure=False),
    places={Path("demo") / name: what for name, what in REPORTS.items()},
    steps=(StepDuration(title="Training a network", seconds=123.4, processor_seconds=234.5),),
    seconds=123.4,
    processor_seconds=234.5,
)


@pytest.mark.parametrize(
    "value",
    [
        "1,030 pictures of 2 classes",
        "demo/export/model.tflite",
        "training mobilenet_v2, 96 px, --weights bundled",
        "0.896 (0.838 to 0.946) for the file",
        "recall eczema 0.910 (0.830 to 0.970), n = 78; not eczema 0.500, n = 76",
        "warning test split: fewer than 30 groups of eczema (12)",
        "note 2 clusters of near duplicates with more than one label",
        "docs/reading-the-report.md",
        "154 pictures of 114 groups, test split",
        "int8 ptq costs 0.6 points of balanced accuracy (-2.3 to 3.4) on 155 validation pictures: "
        "0.897 for the file, 0.903 for the float network",
        "0.62 MB; 0.25 ms for one inference (host, ai-edge-litert, XNNPACK, 1 thread)",
        "export: holds (30 ok)",
        "demo/skin.zip, 1.23 MB",
        'demo_00000.jpg: eczema, 72.8 %, below the threshold: "not sure"',
        "demo/benchmark/report.html latency and answers on each runtime",
        "Training a network 123.4 234.5",
        "not a medical device",
    ],
)
def test_the_summary_fits_into_eighty_columns(value: str) -> None:
    text = "\n".join(summary_lines(SUMMARY))
    assert value in re.sub(r"\s+", " ", text)
    assert max(map(len, text.splitlines())) <= 80


def test_the_notes_are_those_of_the_training_the_pictures_and_the_benchmark() -> None:
    slowing = replace(timed(rounds=200), rounds_ms=tuple(10.0 + 0.02 * index for index in range(200)))
    busy = "other programs were running"
    record = build_record([measured(timed=(slowing,), notes=(busy,))], a_plan())
    training, pictures, *benchmark = collect_notes(["the limit"], ["No groups"], record)
    assert (training, pictures) == ("training: the limit", "No groups")
    assert benchmark[0] == f"benchmark: host: {busy}"
    assert benchmark[1].startswith("benchmark: host: float32 with ai-edge-litert")
    assert collect_notes([], [], build_record([measured(timed=(timed(),))], a_plan())) == ()


def test_what_was_not_measured_is_not_claimed() -> None:
    summary = replace(SUMMARY, speed=None, lost=None, asked=None)
    sentences = dict(summary.result_lines())
    assert sentences["quantization"] == "not measured"
    assert sentences["size and latency"] == "0.62 MB; latency not measured"


def test_the_index_states_the_result_and_links_every_report(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    places = {tmp_path / name: what for name, what in {**REPORTS, "a b.zip": "the bundle"}.items()}
    write_index(tmp_path, replace(SUMMARY, places=places), title="Build", subtitle="From pictures")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert [link for link in (*REPORTS, "a%20b.zip") if f'<a href="{link}">' not in page] == []
    assert len(SUMMARY.result_lines()) == 6
    assert [sentence for _, sentence in SUMMARY.result_lines() if sentence not in page] == []
    assert [text for text in (*SUMMARY.warnings, *SUMMARY.notes) if text not in page] == []
    recall = r">eczema</th>\s*<td[^>]*>78</td>\s*<td[^>]*>60</td>\s*<td[^>]*>0.910 \(0.830 to 0.970\)</td>"
    assert re.search(recall, page)
    assert "docs/reading-the-report.md" in page
    assert "not a medical device" in page


def test_a_web_bundle_is_the_last_step_where_its_runtime_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path))
    assert "web" not in available_steps()
    (line,) = missing_web_step(build_steps(Path("p"), tmp_path / "out", {}, steps=available_steps()))
    assert "npm pack" in line and str(tmp_path) in line
    for package in read_lock().packages.values():
        path = tmp_path / "litert" / package.tarball
        path.parent.mkdir(exist_ok=True)
        path.touch()
    options = {"package": ("--name", "skin", "--format", "aar", "--keep-metadata", "--card", "card.md")}
    *_, package_step, web = build_steps(Path("p"), tmp_path / "out", options, steps=available_steps())
    assert package_step.name == "package"
    assert web.output == tmp_path / "out" / "web.zip"
    assert web.arguments[4:6] == ("--name", "skin")
    assert web.arguments[-1] == "--format=web"
    assert "--card" not in web.arguments
    assert missing_web_step([package_step, web]) == []


def package_arguments(tmp_path: Path, *options: str) -> tuple[str, ...]:
    steps = build_steps(Path("p"), tmp_path / "out", {"package": options})
    return next(step.arguments for step in steps if step.name == "package")


def test_the_bundle_states_what_the_build_measured_unless_other_reports_are_given(tmp_path: Path) -> None:
    reports = (
        *("--scores", str(tmp_path / "out/evaluation")),
        *("--benchmark", str(tmp_path / "out/benchmark")),
    )
    assert package_arguments(tmp_path)[-4:] == reports
    assert package_arguments(tmp_path, "--scores", "mine")[-4:] == ("--scores", "mine", *reports[2:])
    assert package_arguments(tmp_path, "--benchmark", "mine")[-4:] == ("--benchmark", "mine", *reports[:2])


def test_the_file_that_is_packaged_is_the_one_that_is_scored(tmp_path: Path) -> None:
    steps = build_steps(Path("p"), tmp_path / "out", {})
    names = [step.name for step in steps]
    assert names.index("convert") < names.index("evaluate") < names.index("package")
    assert steps[names.index("evaluate")].arguments[1] == str(tmp_path / "out/export")
    rows = re.findall(r"^\| (\w+) \|", BUILD_PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == ["step", *ALL_STEPS]


def test_help_and_page_name_the_steps_that_are_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = build_steps(Path("p"), tmp_path / "out", {}, steps=ALL_STEPS)
    first, second = (ALL_STEPS[step.name][1] for step in steps if step.output is None)
    assert f"`{first}` and `{second}` are repeated" in BUILD_PAGE.read_text("utf-8")
    assert main(["build", "--help"]) == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert f"{first} and {second}, which are repeated" in text


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("options", "difference", "value"),
    [
        ((), -0.005, ""),
        (("--max-drop", "3"), -0.02, ""),
        ((), -0.02, "a single picture of the rarest label is worth"),
        (("--method", "ptq"), -0.02, "a single picture of the rarest label is worth"),
    ],
)
def test_a_file_that_loses_more_than_the_limit_has_a_reason(
    options: tuple[str, ...], difference: float, value: str, built: Path
) -> None:
    steps = build_steps(Path("p"), built, {"convert": options})
    converting = next(step for step in steps if step.name == "convert")
    contract = contract_for()
    (accuracy,) = contract.accuracy
    (figure, *_) = accuracy.figures
    figure = replace(figure, difference=difference, ci95=(difference - 0.01, 0.01))
    contract = replace(contract, accuracy=(replace(accuracy, figures=(figure,)),))
    loss = read_loss(contract, read_dataset(built / "dataset"), converting)
    assert loss is not None
    assert (loss.why_kept == "", value in loss.why_kept) == (value == "", True)
