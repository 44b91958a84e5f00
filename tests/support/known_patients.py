"""Build a dataset folder whose labels depend on the colour of a picture and on the age of the patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dermpack.contract import CategoricalColumn, NumericColumn
from dermpack.dataset.manifest import Manifest, read_dataset, write_dataset
from tests.support.coloured_dataset import write_coloured

AGE = NumericColumn(name="age", mean=50.0, std=20.0, minimum=0.0, maximum=85.0)
SEX = CategoricalColumn(name="sex", categories=("female", "male"))
SITE = CategoricalColumn(name="localization", categories=("back", "face", "foot"))
COLUMNS = (AGE, SEX, SITE)
MEAN_AGE = {"blue": 35, "green": 45, "red": 55}
METADATA = ("--metadata", "age,sex,localization")


def write_known_patients(folder: Path, *, seed: int = 0) -> None:
    """Write the coloured squares with age, sex and localization; some of their cells are empty.

    The column "dx_type" stands for one that is written with the diagnosis.
    """
    write_coloured(folder, seed=seed)
    dataset, rng = read_dataset(folder), np.random.default_rng(seed)
    pictures = []
    for picture in dataset.pictures:
        age = str(int(np.clip(rng.normal(MEAN_AGE[picture.label], 18), 0, 85)))
        cells = [age, *rng.choice(SEX.categories, 1), *rng.choice(SITE.categories, 1), "histo"]
        blank = rng.random(len(cells)) < 0.1
        cells = ["" if is_blank else str(cell) for cell, is_blank in zip(cells, blank, strict=True)]
        cells[-1] = "histo" if picture.label == "red" else "follow_up"
        pictures.append(replace(picture, metadata=tuple(cells)))
    columns = ("age", "sex", "localization", "dx_type")
    manifest = Manifest(pictures=tuple(pictures), columns=columns)
    write_dataset(replace(dataset, manifest=manifest), folder)
