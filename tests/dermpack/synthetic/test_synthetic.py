"""Demo pictures: the same numbers give the same bytes, and mean colour does not give the class away."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, UnidentifiedImageError

from dermpack.synthetic.demo_folder import MIN_PARALLEL_LESIONS, render_demo
from dermpack.synthetic.scenes import CLASSES, draw_case, group_of, render
from tests.support.errors import raises_code

COLOUR_BOUND = 0.65  # accuracy that the mean colour may reach; networks start at 0.80
SPREAD_BOUND = 0.70  # accuracy that mean and standard deviation may reach
SMALL, MANY = 32, 1000


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "pictures.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path, side: int | None = None) -> npt.NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image if side is None else image.resize((side, side)), dtype=np.float64)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    render_demo(folder, pictures=110, size=64)
    return folder


def test_two_renders_have_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "again", pictures=110, size=64)
    assert digests(tmp_path / "again") == digests(demo)


def test_another_process_renders_the_same_bytes() -> None:
    code = "import sys, dermpack.synthetic.scenes as p; sys.stdout.buffer.write(p.render(5, size=64))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == render(5, size=64).tobytes()


def test_a_picture_does_not_depend_on_how_many_there_are(demo: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "few", pictures=11, size=64)
    few, many = digests(tmp_path / "few" / "pictures"), digests(demo / "pictures")
    assert few.items() <= many.items()


def test_another_seed_renders_other_pictures() -> None:
    assert not np.array_equal(render(0, size=SMALL, seed=1), render(0, size=SMALL, seed=2))


@pytest.mark.parametrize("size", [16, 31, 96])
def test_a_picture_in_memory_has_the_requested_size(size: int) -> None:
    picture = render(3, size=size)
    assert (str(picture.dtype), picture.shape) == ("uint8", (size, size, 3))


@pytest.mark.parametrize("classes", [2, 7])
def test_every_class_has_about_as_many_lesions(classes: int) -> None:
    counted = Counter(draw_case(group, classes=classes, seed=0).label for group in range(70))
    assert counted == dict.fromkeys(CLASSES[classes], 70 // classes)


def test_a_lesion_has_several_pictures_that_differ(demo: Path) -> None:
    by_lesion = defaultdict(list)
    for row in rows_of(demo):
        by_lesion[row["group"]].append(demo / row["picture"])
    first, second, *_ = by_lesion["lesion_00000"]
    assert np.abs(pixels(first) - pixels(second)).mean() > 3
    assert max(len(paths) for group, paths in by_lesion.items() if group) == 4


def test_pictures_of_a_lesion_share_its_label(demo: Path) -> None:
    labels = defaultdict(set)
    for row in rows_of(demo):
        labels[row["group"]].add(row["label"])
    assert all(len(names) == 1 for group, names in labels.items() if group)


def test_a_copy_has_the_same_pixels_and_another_name(demo: Path) -> None:
    assert np.array_equal(pixels(demo / "pictures/copy_00002.jpg"), pixels(demo / "pictures/demo_00002.jpg"))


@pytest.mark.parametrize("near", ["worse_00005.jpg", "small_00008.jpg"])
def test_a_near_duplicate_differs_in_bytes_and_hardly_in_pixels(demo: Path, near: str) -> None:
    original = demo / "pictures" / f"demo_{near.partition('_')[2]}"
    assert (demo / "pictures" / near).read_bytes() != original.read_bytes()
    assert np.abs(pixels(demo / "pictures" / near, 32) - pixels(original, 32)).mean() < 3


def test_a_duplicate_does_not_name_its_lesion(demo: Path) -> None:
    groups = {Path(row["picture"]).name: row["group"] for row in rows_of(demo)}
    assert (groups["copy_00002.jpg"], groups["worse_00005.jpg"], groups["small_00008.jpg"]) == ("", "", "")


@pytest.mark.parametrize("name", ["broken_cut_off.jpg", "broken_empty.jpg", "broken_text.jpg"])
def test_a_broken_file_cannot_be_decoded(demo: Path, name: str) -> None:
    with pytest.raises((UnidentifiedImageError, OSError)):
        pixels(demo / "pictures" / name)


def test_the_counts_are_those_of_the_files(tmp_path: Path) -> None:
    rendered = render_demo(tmp_path / "demo", pictures=12, size=SMALL)
    names = Counter(path.name.partition("_")[0] for path in (tmp_path / "demo" / "pictures").iterdir())
    assert names == {
        "demo": rendered.pictures,
        "copy": rendered.copies,
        "worse": 1,
        "small": rendered.near_duplicates - 1,
        "broken": rendered.broken,
    }
    assert sum(rendered.per_class.values()) == rendered.pictures == 12


def test_the_table_names_every_file_once(demo: Path) -> None:
    named = [row["picture"] for row in rows_of(demo)]
    assert sorted(named) == sorted(f"pictures/{path.name}" for path in (demo / "pictures").iterdir())


def test_some_metadata_is_missing_and_the_rest_is_plausible(demo: Path) -> None:
    rows = [row for row in rows_of(demo) if "/demo_" in row["picture"]]
    missing = sum(not row[name] for row in rows for name in ("age", "sex", "localization"))
    assert 0 < missing < 0.2 * 3 * len(rows)
    assert {row["skin_tone"] for row in rows} == {"I", "II", "III", "IV", "V", "VI"}
    assert all(1 <= int(row["age"]) <= 90 for row in rows if row["age"])


def test_the_record_states_that_the_pictures_are_generated(demo: Path) -> None:
    assert "generated" in json.loads((demo / "demo.json").read_text(encoding="utf-8"))["licence"]
    assert "no medical meaning" in (demo / "README.txt").read_text(encoding="utf-8")


def test_a_foreign_folder_is_rejected_even_when_overwriting(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    with raises_code("output-exists", tmp_path, "demo.json"):
        render_demo(tmp_path, pictures=1, size=SMALL, overwrite=True)


@pytest.mark.parametrize(
    ("classes", "pictures", "size", "seed", "named"),
    [
        (3, 1, 32, 0, "3 classes"),
        (2, 0, 32, 0, "pictures 0"),
        (2, 1, 8, 0, "size 8"),
        (2, 1, 32, -1, "seed -1"),
    ],
)
def test_numbers_out_of_range_are_rejected(
    tmp_path: Path, classes: int, pictures: int, size: int, seed: int, named: str
) -> None:
    with raises_code("invalid-option", named):
        render_demo(tmp_path / "demo", classes=classes, pictures=pictures, size=size, seed=seed)
    assert not list(tmp_path.iterdir())


def test_many_workers_write_the_bytes_of_one(tmp_path: Path) -> None:
    folders = {pictures: tmp_path / str(pictures) for pictures in (20, 3 * MIN_PARALLEL_LESIONS)}
    for pictures, folder in folders.items():
        render_demo(folder, pictures=pictures, size=24)
    few = sorted((folders[20] / "pictures").glob("demo_*.jpg"))
    assert len(few) == 20
    for path in few:
        assert path.read_bytes() == (folders[3 * MIN_PARALLEL_LESIONS] / "pictures" / path.name).read_bytes()


@pytest.fixture(scope="module")
def colours() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return features of many pictures, whether each is eczema, and whether it is in the test split."""
    seen = [render(number, size=SMALL).reshape(-1, 3) for number in range(MANY)]
    features = np.array([[*picture.mean(axis=0), *picture.std(axis=0)] for picture in seen])
    groups = [group_of(number)[0] for number in range(MANY)]
    truth = np.array([draw_case(group, classes=2, seed=0).label == "eczema" for group in groups])
    return features, truth, np.array([group % 10 >= 6 for group in groups])


@pytest.mark.parametrize(("columns", "bound"), [(3, COLOUR_BOUND), (6, SPREAD_BOUND)])
def test_colour_alone_does_not_predict_the_class(
    colours: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    columns: int,
    bound: float,
) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, truth, tested = colours
    features = (features / features[~tested].std(axis=0))[:, :columns]
    model = linear_model.LogisticRegression(max_iter=1000).fit(features[~tested], truth[~tested])
    assert model.score(features[tested], truth[tested]) <= bound
