from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dermpack.dataset.manifest import Dataset, Picture, write_dataset
from dermpack.reporting.page import render_page
from dermpack.storage.codec import encode
from dermpack.storage.files import format_json, sha256_file
from tests.support.training_dataset import of_pictures, picture
from trainer.datasets.exploration.columns import read_column
from trainer.datasets.exploration.pixels.analysis_sections import (
    create_analysis_sections,
    find_analysis_warnings,
)
from trainer.datasets.exploration.pixels.cross_validation import (
    FOLDS,
    MIN_PICTURES,
    create_linear_classifier,
    divide_into_folds,
    find_units,
    predict_out_of_fold,
    scale_features,
)
from trainer.datasets.exploration.pixels.label_errors import find_label_errors
from trainer.datasets.exploration.pixels.picture_analysis import (
    WITHOUT_FEATURES,
    analyse_pictures,
    choose_units,
)
from trainer.datasets.exploration.pixels.picture_measures import SIZE, measure_pixels
from trainer.datasets.exploration.pixels.shortcuts import Shortcuts, measure_shortcuts
from trainer.datasets.exploration.pixels.unusual_pictures import (
    MIN_SHARPNESS,
    find_unusual_pictures,
    measure_distance,
)
from trainer.datasets.picture_features import Features

N = 240
LABELS = ["mel", "nv"]
ONES = tuple(picture(index, LABELS[index % 2]) for index in range(N))


def features_of(pictures: tuple[Picture, ...], *, seed: int = 0) -> Features:
    """Return features of which a few depend on the label."""
    features = np.random.default_rng(seed).normal(size=(len(pictures), 800)).astype(np.float32)
    features[:, :400] += np.array([[1.0 if one.label == "mel" else -1.0] for one in pictures])
    return features


def texture(seed: int) -> Image.Image:
    """Return details of all sizes, the larger ones stronger, as in a photograph."""
    random = np.random.default_rng(seed)
    grey = np.full((SIZE, SIZE), 140.0)
    for cells, strength in ((7, 25), (28, 14), (112, 8), (SIZE, 5)):
        grid = random.normal(0, strength, (cells, cells)).astype(np.float32)
        grey += np.asarray(Image.fromarray(grid).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")


def test_groups_and_clusters_never_part() -> None:
    related = tuple(
        replace(one, group=f"g{index // 3}", cluster=f"c{(index + 1) // 6}") for index, one in enumerate(ONES)
    )
    folds = divide_into_folds(related, seed=0)
    units = find_units(related)
    fold_of_unit = {(units[row], number) for row, number in zip(folds.rows, folds.fold, strict=True)}
    assert len(fold_of_unit) == len({units[row] for row in folds.rows})
    assert set(folds.fold) <= set(range(FOLDS))


def test_a_class_with_few_pictures_is_not_judged() -> None:
    rare = tuple(replace(one, label="df") for one in ONES[: MIN_PICTURES - 1])
    folds = divide_into_folds((*rare, *ONES[MIN_PICTURES - 1 :]), seed=0)
    assert folds.classes == ("mel", "nv")
    assert folds.too_small == (("df", MIN_PICTURES - 1),)
    assert divide_into_folds(rare, seed=0).refusal


def test_planted_label_errors_lead_the_list() -> None:
    wrong = {7, 50, 91, 133, 180, 220}
    features = features_of(ONES)
    planted = tuple(
        replace(one, label=LABELS[1 - index % 2]) if index in wrong else one for index, one in enumerate(ONES)
    )
    folds = divide_into_folds(planted, seed=0)
    scaled = scale_features(features)
    probabilities = predict_out_of_fold(scaled, folds, create_linear_classifier(), what="")
    errors = find_label_errors(planted, probabilities, folds, seed=0)
    listed = [one.picture for one in errors.suspects]
    assert {planted[index].path for index in wrong} == set(listed[: len(wrong)])
    assert errors.judged == N
    assert all(one.suggested != one.label for one in errors.suspects)


def test_a_group_with_one_wrong_label_is_still_suspected() -> None:
    """The classifier must not learn the wrong label from a copy of the picture."""
    features = features_of(ONES)
    features[1] = features[3] = features[0]
    copies = tuple(
        replace(one, label="nv", group="twins") if index in (0, 1, 3) else one
        for index, one in enumerate(ONES)
    )
    folds = divide_into_folds(copies, seed=0)
    probabilities = predict_out_of_fold(scale_features(features), folds, create_linear_classifier(), what="")
    suspects = {one.picture for one in find_label_errors(copies, probabilities, folds, seed=0).suspects}
    assert {copies[0].path, copies[1].path, copies[3].path} <= suspects


def measured_shortcuts(cells: list[str], *, marked: bool = False) -> Shortcuts:
    folds = divide_into_folds(ONES, seed=0)
    border = []
    for index, one in enumerate(ONES):
        image = texture(index)
        if marked and one.label == "mel" and index % 5:
            ImageDraw.Draw(image).text((4, SIZE - 14), "Clinic A", fill="white")
        border.append(measure_pixels(np.asarray(image)).border)
    return measure_shortcuts(
        ONES, [read_column("clinic", cells)], folds, border=np.stack(border), whole=None, seed=0
    )


def test_a_column_and_letters_in_the_border_that_reveal_the_label_are_found() -> None:
    cells = [("A" if one.label == "mel" else "B") if index % 7 else "C" for index, one in enumerate(ONES)]
    found = measured_shortcuts(cells, marked=True)
    assert {one.name for one in found.predictors if one.is_suspicious} == {"clinic", "(outer border)"}
    assert found.n == N
    assert all(one.quality.auroc.ci95 for one in found.predictors)


def test_a_column_that_divides_as_the_label_does_is_named() -> None:
    assert measured_shortcuts([f"from {one.label}" for one in ONES]).same_as_label == ("clinic",)


def test_a_column_that_does_not_predict_the_label_is_no_shortcut() -> None:
    random = np.random.default_rng(1)
    found = measured_shortcuts([str(cell) for cell in random.choice(["A", "B", "C"], N)])
    assert [one.name for one in found.predictors if one.is_suspicious] == []
    assert len(found.predictors) == 2


@pytest.mark.parametrize("radius", [1.5, 3.0])
def test_blurring_lowers_the_sharpness_below_the_threshold(radius: float) -> None:
    sharp = texture(1)
    blurred = sharp.filter(ImageFilter.GaussianBlur(radius))
    assert measure_pixels(np.asarray(sharp)).sharpness > MIN_SHARPNESS
    assert measure_pixels(np.asarray(blurred)).sharpness < MIN_SHARPNESS


def test_a_pale_picture_does_not_count_as_blurred() -> None:
    pixels = np.asarray(texture(2)).astype(np.float32)
    pale = (150 + (pixels - 140) / 3).astype(np.uint8)
    assert measure_pixels(pale).sharpness > MIN_SHARPNESS


def test_dark_white_and_strange_pictures_are_found() -> None:
    plain = np.asarray(texture(3))
    measures = [measure_pixels(plain)] * len(ONES)
    measures[4] = measure_pixels((plain // 4).astype(np.uint8))
    bright = plain.copy()
    bright[: SIZE // 2] = 255
    measures[9] = measure_pixels(bright)
    features = features_of(ONES)
    features[11] += 8
    unusual = find_unusual_pictures(ONES, measures, features)
    assert [one.picture for one in unusual.dark.pictures] == [ONES[4].path]
    assert [one.picture for one in unusual.white.pictures] == [ONES[9].path]
    assert unusual.unlike_others is not None
    assert unusual.unlike_others.pictures[0].picture == ONES[11].path
    assert measure_distance(features).argmax() == 11


def test_a_sample_takes_whole_groups_and_depends_on_the_seed_alone() -> None:
    grouped = tuple(replace(one, group=f"g{index // 4}") for index, one in enumerate(ONES))
    chosen = choose_units(grouped, most=50, seed=0)
    assert len(chosen) == 48
    assert len({grouped[index].group for index in chosen}) == 12
    assert chosen == choose_units(grouped, most=50, seed=0) != choose_units(grouped, most=50, seed=1)
    assert choose_units(grouped, most=N, seed=0) == list(range(N))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty pictures on disk; one is missing, and a label contains markup."""
    folder = tmp_path_factory.mktemp("small")
    pictures = []
    for index in range(60):
        path = folder / f"{index:05}.png"
        image = texture(index).resize((64, 64))
        image.filter(ImageFilter.GaussianBlur(4)).save(path) if index == 8 else image.save(path)
        label = "<b>mel" if index % 2 else "nv"
        pictures.append(replace(picture(index, label), sha256=sha256_file(path)))
    dataset = of_pictures(folder, pictures)
    dataset = replace(dataset, sha256=write_dataset(dataset, folder))
    (folder / "00003.png").unlink()
    return dataset


def test_without_features_the_rest_is_measured_and_the_page_gives_the_reason(small: Dataset) -> None:
    analysis = analyse_pictures(small, seed=0, with_features=False)
    assert (analysis.analysed, analysis.unreadable) == (59, 1)
    assert analysis.label_errors.refusal == analysis.features_missing == WITHOUT_FEATURES
    assert analysis.unusual.unlike_others is None
    assert [one.kind.value for one in analysis.shortcuts.predictors] == ["border"]
    page = render_page("t", subtitle="s", sections=create_analysis_sections(analysis, {}))
    assert WITHOUT_FEATURES in page
    assert "<b>mel" not in page


def test_the_same_seed_gives_the_same_record(small: Dataset) -> None:
    first, second = (analyse_pictures(small, seed=3, with_features=False) for _ in range(2))
    assert format_json(encode(first)) == format_json(encode(second))
    assert list(find_analysis_warnings(first)) == list(find_analysis_warnings(second))


def test_a_dataset_with_one_class_is_refused_with_a_reason(small: Dataset) -> None:
    same = replace(
        small,
        manifest=replace(small.manifest, pictures=tuple(replace(p, label="nv") for p in small.pictures)),
    )
    analysis = analyse_pictures(same, seed=0, with_features=False)
    assert analysis.shortcuts.refusal
    assert len(create_analysis_sections(analysis, {})) == 3
