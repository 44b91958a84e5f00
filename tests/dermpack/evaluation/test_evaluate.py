"""A predictor and a dataset give scores; labels are matched by name."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dermpack.dataset.manifest import Split
from dermpack.errors import PictureError
from dermpack.evaluation.evaluate import (
    FittedDecisions,
    choose_slice_columns,
    evaluate,
    predict,
    predictions_table,
)
from dermpack.evaluation.report import evaluation_files
from dermpack.imaging.decoding import decode
from dermpack.metrics.thresholds import fit_abstention, fit_operating_point
from dermpack.progress import Track, silent
from tests.support.errors import raises_code
from tests.support.evaluation_dataset import make_dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Brightness:
    """Calls the bright pictures by the last of its classes, the dark ones by the first."""

    classes: tuple[str, ...] = ("akiec", "bcc", "mel")

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> npt.NDArray[np.float64]:
        rows = []
        for file in track(files, total=len(files), what="predict"):
            share = float(decode(file).pixels.mean() / 255)
            rows.append([1 - share] + [0.0] * (len(self.classes) - 2) + [share])
        return np.array(rows, dtype=np.float64)


ABOUT = {"kind": "test", "name": "brightness", "sha256": "0"}


def test_a_predictor_that_sees_the_difference_is_right(tmp_path: Path) -> None:
    evaluation = evaluate(Brightness(), make_dataset(tmp_path / "set"), model=ABOUT)
    assert evaluation.scores.value("accuracy") == 1.0
    assert (evaluation.scores.n, evaluation.scores.groups, evaluation.scores.split) == (24, 13, "test")


def test_labels_are_matched_by_name_not_by_position(tmp_path: Path) -> None:
    upside_down = Brightness(classes=("mel", "bcc", "akiec"))
    evaluation = evaluate(upside_down, make_dataset(tmp_path / "set"), model=ABOUT)
    assert evaluation.scores.value("accuracy") == 0.0


def test_the_dataset_may_lack_a_label_of_the_model(tmp_path: Path) -> None:
    evaluation = evaluate(Brightness(), make_dataset(tmp_path / "set"), model=ABOUT)
    assert evaluation.scores.value("balanced_accuracy") == 1.0
    assert any("no picture of bcc" in note for note in evaluation.scores.notes)


def test_a_label_unknown_to_the_model_is_named_with_a_hint(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set", labels=("akiec", "nv"))
    with raises_code("unknown-label", dataset.folder, "'nv'", "--map"):
        evaluate(Brightness(), dataset, model=ABOUT)


def test_a_class_of_the_dataset_without_pictures_may_be_unknown(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set", classes=("akiec", "mel", "nv"))
    assert evaluate(Brightness(), dataset, model=ABOUT).scores.n == 24


def test_a_split_without_pictures_is_refused(tmp_path: Path) -> None:
    with raises_code("empty-split", tmp_path / "set", "validation"):
        predict(Brightness(), make_dataset(tmp_path / "set"), split=Split.VALIDATION)


def test_a_picture_that_no_longer_decodes_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    dataset.file(dataset.pictures[7]).write_bytes(b"broken")
    with pytest.raises(PictureError) as caught:
        predict(Brightness(), dataset, split=Split.TEST)
    assert "007.png" in caught.value.where


def test_slice_columns_have_few_values_and_no_names(tmp_path: Path) -> None:
    assert choose_slice_columns(make_dataset(tmp_path / "set"), Split.TEST) == ("age", "sex")


def test_slices_are_of_the_split_that_is_scored(tmp_path: Path) -> None:
    evaluation = evaluate(Brightness(), make_dataset(tmp_path / "set"), model=ABOUT, columns=("sex",))
    assert {of.value: of.n for of in evaluation.slices} == {"f": 8, "m": 8, "(missing)": 8}


def test_an_unknown_column_is_refused_before_any_work(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    dataset.file(dataset.pictures[7]).unlink()
    with raises_code("unknown-column", dataset.folder, "'skin'", "age, sex, name"):
        evaluate(Brightness(), dataset, model=ABOUT, columns=("skin",))


def test_the_table_has_one_row_a_picture(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    predictions = predict(Brightness(), dataset, split=Split.TEST)
    rows = list(csv.DictReader(io.StringIO(predictions_table(predictions))))
    assert [row["picture"] for row in rows] == [of.path for of in dataset.manifest.of(Split.TEST)]
    assert [row["truth"] for row in rows] == [row["predicted"] for row in rows]
    assert float(rows[3]["mel"]) == pytest.approx(predictions.probabilities[3, 2], abs=1e-8)


def test_the_record_names_model_and_dataset(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    record = evaluate(Brightness(), dataset, model=ABOUT).record()
    assert record["model"] == ABOUT
    assert (record["dataset"]["sha256"], record["dataset"]["source"]) == (dataset.sha256, "small")
    assert record["dataset"]["counts"] == dataset.counts()
    assert {"licence", "caution", "options"} <= set(record["dataset"])
    assert str(tmp_path) not in json.dumps(record)


def report(folder: Path, *, n: int = 24, with_pictures: bool = True) -> dict[str, bytes]:
    dataset = make_dataset(folder, n=n)
    upside_down = Brightness(classes=("mel", "bcc", "akiec"))
    about = {**ABOUT, "name": "<b>upside down</b>"}
    evaluation = evaluate(upside_down, dataset, model=about, columns=("sex",))
    pictures = {of.path: dataset.file(of) for of in dataset.pictures} if with_pictures else None
    return evaluation_files(evaluation, files=pictures)


def test_a_report_contains_record_page_and_plots(tmp_path: Path) -> None:
    files = report(tmp_path / "set")
    plots = {name for name in files if name.endswith(".png")}
    assert {"report.json", "report.html"} <= set(files)
    assert plots == {
        *("confusion.png", "coverage.png", "labels.png", "mistakes.png"),
        *("precision-recall.png", "reliability.png", "roc.png"),
    }
    assert all(files[name].startswith(b"\x89PNG") for name in plots)


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    assert report(tmp_path / "a") == report(tmp_path / "b")


def test_a_report_without_pictures_shows_none(tmp_path: Path) -> None:
    files = report(tmp_path / "set", with_pictures=False)
    assert "mistakes.png" not in files
    assert b"Worst mistakes" not in files["report.html"]


def test_a_page_warns_of_slices_that_are_mostly_chance(tmp_path: Path) -> None:
    assert b"mostly chance" in report(tmp_path / "set")["report.html"]


def test_a_page_escapes_the_names_that_it_is_given(tmp_path: Path) -> None:
    page = report(tmp_path / "set")["report.html"]
    assert b"<b>upside" not in page
    assert b"&lt;b&gt;upside" in page


def test_a_single_picture_has_a_report_too(tmp_path: Path) -> None:
    assert b"a single group" in report(tmp_path / "set", n=1)["report.html"]


def test_scores_on_a_split_that_the_run_has_seen_are_marked_optimistic(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    seen = FittedDecisions(dataset_sha256=dataset.sha256)
    scored = {
        split: evaluate(Brightness(), dataset, model=ABOUT, fitted=seen, split=split).scores.notes
        for split in (Split.TRAIN, Split.TEST)
    }
    assert any("optimistic" in note for note in scored[Split.TRAIN])
    assert not any("optimistic" in note for note in scored[Split.TEST])


def test_another_dataset_than_that_of_the_run_is_noted(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    notes = evaluate(
        Brightness(), dataset, model=ABOUT, fitted=FittedDecisions(dataset_sha256="0")
    ).scores.notes
    assert any("another dataset" in note for note in notes)


def test_the_thresholds_of_a_run_are_scored(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    predictions = predict(Brightness(), dataset, split=Split.TEST)
    point = fit_operating_point(predictions, "mel", sensitivity=1.0)
    fitted = FittedDecisions(points=(point,), abstention=fit_abstention(predictions, coverage=0.5))
    record = evaluate(Brightness(), dataset, model=ABOUT, fitted=fitted).record()
    assert record["operating"][0]["sensitivity"] == 1.0
    assert record["answered"]["coverage"] >= 0.5


def test_pictures_related_to_seen_splits_are_counted(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    strangers = evaluate(
        Brightness(), dataset, model=ABOUT, fitted=FittedDecisions(dataset_sha256=dataset.sha256)
    )
    pictures = tuple(replace(picture, cluster="one") for picture in dataset.pictures)
    leaking = replace(dataset, manifest=replace(dataset.manifest, pictures=pictures))
    related = evaluate(
        Brightness(), leaking, model=ABOUT, fitted=FittedDecisions(dataset_sha256=dataset.sha256)
    )
    assert "a duplicate of" not in " ".join(strangers.scores.notes)
    assert "a duplicate of 24 of these" in " ".join(related.scores.notes)


def test_missing_pictures_are_counted_with_their_folder(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    shutil.move(tmp_path / "set" / "pictures", tmp_path / "elsewhere")
    with raises_code("pictures-missing", "24 of 24", tmp_path / "set" / "pictures", "001.png"):
        evaluate(Brightness(), dataset, model=ABOUT)


def test_a_constant_prediction_has_no_coverage_plot_and_a_note(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "set")
    files = evaluation_files(evaluate(Blind(), dataset, model=ABOUT))
    assert "coverage.png" not in files
    assert "no better than guessing: every answer is akiec" in files["report.html"].decode()
    assert "0.500 (–)" in files["report.html"].decode()


class Blind:
    """Predicts the same for every picture."""

    classes = ("akiec", "mel")

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> npt.NDArray[np.float64]:
        del track
        return np.tile([0.6, 0.4], (len(files), 1))
