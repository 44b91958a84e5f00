"""dermpack demo: a walk that goes on where it ended, and its summary."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.cli.demo.progress_file import KEPT_FILE, FinishedSteps, StepCost
from dermpack.cli.demo.run_steps import begun, walk
from dermpack.cli.demo.steps import DemoOptions, DemoStep, steps_in
from dermpack.cli.demo.summary import (
    PLACES,
    DemoScore,
    DemoSummary,
    FastestSetting,
    Int8Loss,
    SamplePrediction,
    StepDuration,
    read_summary,
)
from dermpack.cli.demo.summary_text import summary_text, teller
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.paths import REPOSITORY

README = REPOSITORY / "README.md"
TINY = DemoOptions(
    pictures=("--pictures", "40", "--size", "32"),
    training=("--arch", "scratch_cnn", "--size", "28", "--filters", "4,8", "--batch", "8", "--epochs", "2"),
    conversion=("--method", "ptq", "--calibration", "8"),
    timing=("--threads", "1", "--rounds", "5", "--seconds", "0", "--kernels", "xnnpack"),
)

DATA = ("pictures", "import", "check")  # the steps that need no TensorFlow, and no plots


class CtrlCError(Exception):
    """In the place of Ctrl-C."""


class Listener:
    """What was begun, what was skipped; it may interrupt."""

    def __init__(self, *, interrupt_at: str = "") -> None:
        self.begun: list[str] = []
        self.skipped: list[str] = []
        self.replacing: list[str] = []
        self.interrupt_at = interrupt_at

    def __call__(self, number: int, step: DemoStep, spent: StepCost | None) -> None:
        del number
        (self.skipped if spent else self.begun).append(step.name)
        if "--overwrite" in step.arguments:
            self.replacing.append(step.name)
        if step.name == self.interrupt_at:
            raise CtrlCError


def data_steps(folder: Path) -> tuple[DemoStep, ...]:
    return tuple(step for step in steps_in(folder, TINY, quiet=True) if step.name in DATA)


def begin(folder: Path, options: DemoOptions, *, overwrite: bool) -> FinishedSteps:
    with begun(folder, options, overwrite=overwrite) as kept:
        return kept


def walk_data(folder: Path, tell: Listener, *, overwrite: bool = False) -> FinishedSteps:
    with begun(folder, TINY, overwrite=overwrite) as kept:
        return walk(folder, data_steps(folder), kept, overwrite=overwrite, tell=tell)


@pytest.fixture(scope="session")
def _walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walked") / "demo"
    walk_data(folder, Listener())
    return folder


@pytest.fixture
def walked(_walked: Path, tmp_path: Path) -> Path:
    """A demo folder whose first steps are done."""
    return Path(shutil.copytree(_walked, tmp_path / "demo"))


def test_a_second_walk_makes_nothing_again_and_proves_all_again(walked: Path) -> None:
    tell = Listener()
    walk_data(walked, tell)
    assert (tell.skipped, tell.begun) == (["pictures", "import"], ["check"])


def test_an_interrupted_walk_goes_on_where_it_was(tmp_path: Path) -> None:
    first, second = Listener(interrupt_at="import"), Listener()
    with pytest.raises(CtrlCError):
        walk_data(tmp_path / "demo", first)
    kept = walk_data(tmp_path / "demo", second)
    assert (second.skipped, second.begun) == (["pictures"], ["import", "check"])
    assert kept.finished == DATA


def test_what_was_made_of_a_lost_folder_is_made_again(walked: Path) -> None:
    shutil.rmtree(walked / "pictures")
    tell = Listener()
    walk_data(walked, tell)
    assert (tell.skipped, tell.begun, tell.replacing) == ([], list(DATA), ["import"])


def test_overwriting_does_every_step_again(walked: Path) -> None:
    (walked / "dataset" / "manifest.csv").write_text("damaged")
    tell = Listener()
    walk_data(walked, tell, overwrite=True)
    assert (tell.begun, tell.replacing) == (list(DATA), ["pictures", "import"])
    assert main(["data", "check", str(walked / "dataset"), "--quiet"]) == 0


def test_steps_of_another_version_or_of_other_options_are_done_again(walked: Path) -> None:
    assert begin(walked, TINY, overwrite=False).finished
    assert not begin(walked, replace(TINY, timing=()), overwrite=False).finished
    path = walked / KEPT_FILE
    path.write_text(re.sub(r'"dermpack": "[^"]+"', '"dermpack": "0.0"', path.read_text("utf-8")), "utf-8")
    assert not begin(walked, TINY, overwrite=False).finished


def test_a_step_that_fails_is_not_finished_and_its_time_counts(walked: Path) -> None:
    picture = next((walked / "pictures" / "pictures").glob("demo_*.jpg"))
    picture.write_bytes(b"something else")
    with raises_code("step-failed", "dermpack data check", "exit code 1"):
        walk_data(walked, Listener())
    kept = begin(walked, TINY, overwrite=False)
    assert kept.finished == ("pictures", "import")
    assert kept.spent["check"].seconds >= 0


def test_attempts_that_did_not_end_well_count_and_earlier_successes_do_not() -> None:
    took = StepCost(seconds=2, processor_seconds=3)
    tried = FinishedSteps.of(TINY).plus("train", took, is_whole=False).without("train")
    done = tried.plus("train", took, is_whole=True)
    assert done.spent["train"] == StepCost(seconds=4, processor_seconds=6)
    assert done.without("train").spent == {}


def test_what_an_interrupted_step_left_is_gone_on_with_unless_overwritten(tmp_path: Path) -> None:
    going_on, anew = Listener(interrupt_at="pictures"), Listener(interrupt_at="pictures")
    for tell, overwrite in ((going_on, False), (anew, True)):
        with pytest.raises(CtrlCError):
            walk_data(tmp_path / "demo", tell, overwrite=overwrite)
    assert (going_on.replacing, anew.replacing) == ([], ["pictures"])


def test_a_table_that_an_interrupted_step_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    steps = tuple(step for step in steps_in(folder, TINY, quiet=True) if step.name == "evaluate")
    replacing = []
    for left in (False, True):
        tell = Listener(interrupt_at="evaluate")
        with begun(folder, TINY, overwrite=False) as kept, pytest.raises(CtrlCError):
            if left:
                (folder / "predictions.csv").touch()
            walk(folder, steps, kept, overwrite=False, tell=tell)
        replacing.append(tell.replacing)
    assert replacing == [[], ["evaluate"]]


def test_a_folder_of_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with raises_code("output-exists", tmp_path, KEPT_FILE):
        begin(tmp_path, TINY, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_second_demo_in_one_folder_is_refused_in_one_line_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with (
        begun(folder, TINY, overwrite=False),
        raises_code("in-use", folder),
    ):
        begin(folder, TINY, overwrite=True)
    assert begin(folder, TINY, overwrite=False) == FinishedSteps.of(TINY)


def test_a_demo_that_was_killed_before_its_first_step_goes_on(tmp_path: Path) -> None:
    begin(tmp_path / "demo", TINY, overwrite=False)
    assert (tmp_path / "demo" / KEPT_FILE).is_file()
    assert begin(tmp_path / "demo", TINY, overwrite=False) == FinishedSteps.of(TINY)


@pytest.mark.parametrize("text", ["{}", '{"schema": 9}', '{"schema": 1, "spent": [], "finished": 3}'])
def test_a_broken_record_is_one_line_with_its_hint(tmp_path: Path, text: str) -> None:
    (tmp_path / KEPT_FILE).write_text(text)
    with raises_code("invalid-format", tmp_path / KEPT_FILE, "--overwrite"):
        begin(tmp_path, TINY, overwrite=False)
    assert begin(tmp_path, TINY, overwrite=True) == FinishedSteps.of(TINY)


def test_a_missing_extra_is_one_line_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tensorflow", "sklearn", "ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, module, None)  # as Python marks what cannot be imported
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert_stderr_code(said, "missing-extra", 'pip install "dermpack[device,train]"')
    assert not (tmp_path / "demo").exists()


def test_the_steps_are_those_of_the_readme() -> None:
    shown = README.read_text("utf-8")
    commands = [shlex.join(step.arguments) for step in steps_in(Path("demo"), DemoOptions(), quiet=False)]
    assert [of for of in commands if f"$ dermpack {of.partition(' --csv')[0]}\n" not in shown] == []


def test_each_step_tells_its_number_and_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    step = DemoStep(name="train", title="Training", arguments=("train", "my data"), makes=None)
    teller(3, quiet=False)(2, step, None)
    teller(3, quiet=False)(2, step, StepCost(seconds=5.4, processor_seconds=9))
    teller(3, quiet=True)(2, step, None)
    told = "\n2/3 Training\n$ dermpack train 'my data'\n2/3 Training: done before, in 5 s\n"
    assert capsys.readouterr().err == told


SUMMARY = DemoSummary(
    pictures=1030,
    classes=("eczema", "not eczema"),
    tested=154,
    tested_groups=114,
    network=DemoScore(value=0.896, ci95=(0.838, 0.946)),
    file_scored=DemoScore(value=0.5, ci95=None),
    file=Path("demo/export/model.tflite"),
    size_bytes=620_481,
    recipe="int8 ptq",
    lost=Int8Loss(points=0.6, ci95=(-2.3, 3.4), split="validation", n=155),
    speed=FastestSetting(median_ms=0.2483, setting="ai-edge-litert, XNNPACK, 1 thread"),
    asked=SamplePrediction(picture="demo_00000.jpg", label="eczema", probability=0.728, is_sure=False),
    places={Path("demo") / name: what for name, what in PLACES.items()},
    steps=(StepDuration(title="Training a network", seconds=123.4, processor_seconds=234.5),),
    seconds=123.4,
    processor_seconds=234.5,
)


@pytest.mark.parametrize(
    "told",
    [
        "Of 1,030 generated pictures a file was made that says eczema or not eczema:",
        "demo/export/model.tflite, 0.62 MB, int8 ptq",
        "the network  0.896 (0.838 to 0.946)",
        "the file     0.500\n",
        "cost 0.6 points (-2.3 to 3.4) on 155 validation pictures",
        "0.25 ms a picture, median on this machine",
        "demo_00000.jpg: eczema, 72.8 %, too unsure for an answer",
        "demo/benchmark/report.html   its speed here",
        "Training a network    123.4       234.5",
        "dermpack train dataset -o run",
    ],
)
def test_the_summary_tells_it_in_eighty_columns(told: str) -> None:
    text = summary_text(SUMMARY)
    assert told in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_next_command_can_be_typed() -> None:
    from dermpack.cli import program

    for line in summary_text(SUMMARY).partition("Next,")[2].splitlines()[1:]:
        words = shlex.split(re.split(r" {2,}", line.strip())[0])
        assert words[0] == "dermpack"
        command = program.get_command(None, words[1])  # type: ignore[arg-type]  # needs no context
        assert command is not None


@pytest.mark.tensorflow
def test_the_whole_chain_makes_what_its_summary_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    folder = tmp_path / "demo"
    steps = steps_in(folder, TINY, quiet=False)
    kept = walk(folder, steps, begin(folder, TINY, overwrite=False), overwrite=False, tell=Listener())
    summary = read_summary(folder, steps, kept)
    told = capsys.readouterr()
    assert told.out == ""
    assert "points lost" in told.err and "median of one inference" in told.err
    record = json.loads(json.dumps(summary.record()))
    assert record["size_bytes"] == (folder / "export" / "model.tflite").stat().st_size
    assert [place for place in record["places"] if not Path(place).is_file()] == []
    assert (record["recipe"], record["asked"]["picture"]) == ("int8 ptq", "demo_00000.jpg")
    assert record["speed"]["median_ms"] > 0
    assert [of["title"] for of in record["steps"]] == [step.title for step in steps]
    assert main(["verify", str(folder / "skin.zip"), "--quiet"]) == 0
