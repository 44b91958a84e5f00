"""`dermpack convert --method auto` on networks that integers harm, from the run to the folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.cli.convert import _accuracy_hint
from dermpack.contract import Contract, read_contract
from tests.support.errors import assert_stderr_code
from tests.support.harmed_network import write_cancelling, write_spread

pytestmark = pytest.mark.tensorflow
FILES = {"model.tflite", "model.json", "verification.json"}
LAYERS = {"layers.csv", "layers.png"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion left, by the names of what lies there, hidden or not."""

    code: int
    export: Path
    names: frozenset[str]

    @property
    def contract(self) -> Contract:
        return read_contract(self.export / "model.json")

    @property
    def rejected(self) -> dict[str, Path]:
        folder = self.export.with_name("export.rejected")
        return {path.name: path for path in folder.iterdir() if path.is_dir()}


def convert(harmed: Path, dataset: Path, *options: str) -> Converted:
    export = harmed.with_name("export")
    code = main(["convert", str(harmed), "-o", str(export), "--data", str(dataset), "-q", *options])
    return Converted(code=code, export=export, names=names(harmed.parent))


def names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def interrupted(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one harmed layer, whose conversion was stopped while it trained for integers."""
    from converter.export.conversion import convert_run
    from converter.qat.qat_training import TrainingObservers
    from converter.request import ConversionRequest

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    harmed = write_cancelling(run, tmp_path_factory.mktemp("cancelling") / "run")
    export, data = harmed.with_name("export"), run.parent / "dataset"
    with pytest.raises(KeyboardInterrupt):
        convert_run(
            harmed, export, ConversionRequest(), data=data, observers=TrainingObservers(on_progress=stop)
        )
    return harmed


@pytest.fixture(scope="module")
def left_by_interruption(interrupted: Path) -> frozenset[str]:
    return names(interrupted.parent)


@pytest.fixture(scope="module")
def mended(interrupted: Path, left_by_interruption: frozenset[str], run: Path) -> Converted:
    """The same, converted to the end."""
    assert left_by_interruption
    return convert(interrupted, run.parent / "dataset")


@pytest.fixture(scope="module")
def lost(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A network of which integers leave nothing, whichever way."""
    harmed = write_spread(run, tmp_path_factory.mktemp("spread") / "run")
    return convert(harmed, run.parent / "dataset")


def test_an_interrupted_conversion_leaves_the_training_to_go_on_with_and_nothing_else(
    left_by_interruption: frozenset[str],
) -> None:
    (training,) = left_by_interruption - {"run"}
    assert training.startswith(".export.") and training.endswith(".training")


def test_what_ptq_and_qat_lose_is_kept_by_sparing_the_one_harmed_layer(mended: Converted) -> None:
    assert mended.code == 0
    assert mended.contract.recipe.method == "selective"
    (spared,) = mended.contract.recipe.float_layers
    assert "block_2" in spared
    assert mended.contract.accuracy[0].agreement == 1.0


def test_the_spared_file_runs_everywhere(mended: Converted) -> None:
    assert all(item.works for item in mended.contract.runtimes.tried)


def test_an_export_has_a_layer_report_if_a_layer_stays_in_float(mended: Converted, lost: Converted) -> None:
    assert names(mended.export) == names(lost.export) == FILES | LAYERS


def test_each_rejected_file_is_an_export_of_its_own(mended: Converted) -> None:
    assert set(mended.rejected) == {"ptq", "qat"}
    assert all(names(folder) == FILES for folder in mended.rejected.values())
    methods = {
        name: read_contract(index / "model.json").recipe.method for name, index in mended.rejected.items()
    }
    assert methods == {"ptq": "ptq", "qat": "qat"}


def test_nothing_is_left_of_the_work(mended: Converted, lost: Converted) -> None:
    assert mended.names == lost.names == {"run", "export", "export.rejected"}


def test_where_nothing_is_within_the_limit_the_exit_code_is_one_and_the_best_is_kept(lost: Converted) -> None:
    assert lost.code == 1
    figures = [balanced_accuracy(folder) for folder in runnable([*lost.rejected.values()])]
    assert balanced_accuracy(lost.export) >= max(figures, default=0.0)


def test_a_chosen_method_is_limited_like_auto(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmed, data = write_cancelling(run, tmp_path / "run"), run.parent / "dataset"
    beyond = convert(harmed, data, "--method", "ptq")
    assert beyond.code == 1
    assert_stderr_code(capsys.readouterr().err, "accuracy-loss", "--max-drop", "--method auto", "--overwrite")
    assert names(beyond.export) == FILES
    assert beyond.names == {"run", "export"}
    allowed = convert(harmed, data, "--method", "ptq", "--max-drop", "100", "--overwrite")
    assert allowed.code == 0


@pytest.mark.parametrize(
    ("method", "is_guessing", "word"),
    [("auto", False, "Train longer"), ("ptq", False, "--method auto"), ("auto", True, "--labels")],
)
def test_a_model_that_guesses_is_not_to_be_trained_longer(method: str, is_guessing: bool, word: str) -> None:
    hint = _accuracy_hint(method, is_guessing=is_guessing)
    assert word in hint and "--overwrite" in hint
    assert ("Train" in hint) is (word == "Train longer")


def test_everything_that_was_tried_is_there(lost: Converted) -> None:
    """Of seven layers, one, two and three were spared."""
    methods = {"ptq", "qat", "selective-1", "selective-2", "selective-3"}
    assert methods > set(lost.rejected)
    assert len(lost.rejected) == len(methods) - 1


def test_a_file_that_xnnpack_refuses_is_rejected_with_the_reason(lost: Converted) -> None:
    tried = read_contract(lost.rejected["ptq"] / "model.json").runtimes.tried
    assert {item.delegate for item in tried if item.runtime == "ai-edge-litert" and item.works} == {"none"}


def test_another_conversion_takes_the_rejected_ones_away(
    lost: Converted, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = shutil.copytree(lost.export.parent, tmp_path / "there")
    again = convert(there / "run", run.parent / "dataset", "--float32", "--overwrite", "--json")
    assert again.code == 0
    assert again.names == {"run", "export"}
    assert json.loads(capsys.readouterr().out)["rejected"] is None


def runnable(folders: Sequence[Path]) -> list[Path]:
    """Those that XNNPACK takes; the others are kept only where nothing else is."""
    tried = {folder: read_contract(folder / "model.json").runtimes.tried for folder in folders}
    return [folder for folder, results in tried.items() if all(item.works for item in results)]


def balanced_accuracy(folder: Path) -> float:
    figures = read_contract(folder / "model.json").accuracy[0].figures
    return next(item.of_file for item in figures if item.metric == "balanced_accuracy")
