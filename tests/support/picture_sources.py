"""Write small sources in each layout in which pictures are distributed."""

from __future__ import annotations

import csv
import hashlib
import pickle
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
DERMNET = ("Acne and Rosacea Photos", "Atopic Dermatitis Photos", "Eczema Photos")
ISIC = ("actinic keratosis", "basal cell carcinoma", "melanoma", "nevus")
DX = ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FITZPATRICK17K_HEADER = (
    *("md5hash", "fitzpatrick_scale", "fitzpatrick_centaur", "label", "nine_partition_label"),
    *("three_partition_label", "qc", "url", "url_alphanum"),
)
SHOT_TYPES = ("CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE")
SCIN_CASE_HEADER = (
    *("case_id", "source", "release", "year", "age_group", "sex_at_birth", "fitzpatrick_skin_type"),
    *(f"race_ethnicity_{race}" for race in ("asian", "black_or_african_american", "white", "other_race")),
    *("race_ethnicity_two_or_more_after_mitigation",),
    *(f"textures_{texture}" for texture in ("raised_or_bumpy", "flat", "rough_or_flaky", "fluid_filled")),
    *(f"body_parts_{part}" for part in ("head_or_neck", "arm", "palm", "back_of_hand", "torso_front")),
    *(f"body_parts_{part}" for part in ("leg", "foot_top_or_side", "foot_sole", "other")),
    *(f"condition_symptoms_{symptom}" for symptom in ("bleeding", "itching", "burning", "pain")),
    *(f"other_symptoms_{symptom}" for symptom in ("fever", "chills", "no_relevant_symptoms")),
    *("related_category", "condition_duration"),
    *(f"image_{n}_{what}" for what in ("path", "shot_type") for n in (1, 2, 3)),
)
SCIN_LABEL_HEADER = (
    "case_id",
    *(f"dermatologist_gradable_for_skin_condition_{n}" for n in (1, 2, 3)),
    *("dermatologist_skin_condition_on_label_name", "dermatologist_skin_condition_confidence"),
    "weighted_skin_condition_label",
    *(f"dermatologist_gradable_for_fitzpatrick_skin_type_{n}" for n in (1, 2, 3)),
    *(f"dermatologist_fitzpatrick_skin_type_label_{n}" for n in (1, 2, 3)),
    *("gradable_for_monk_skin_tone_india", "gradable_for_monk_skin_tone_us"),
    *("monk_skin_tone_label_india", "monk_skin_tone_label_us"),
)
PAD_UFES_HEADER = (
    *("patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age"),
    *("pesticide", "gender", "skin_cancer_history", "cancer_history", "has_piped_water"),
    *("has_sewage_system", "fitspatrick", "region", "diameter_1", "diameter_2", "diagnostic"),
    *("itch", "grew", "hurt", "changed", "bleed", "elevation", "img_id", "biopsed"),
)
HAM_HEADER = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def noise(seed: int, *, side: int = 32) -> Pixels:
    """Return a picture unlike any other: uint8 [side, side, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed)).save(path)
    return path


def write_folders(
    source: Path, classes: Sequence[str] = ("benign", "malignant"), *, pictures: int = 3
) -> Path:
    """Write SOURCE/<class>/0.png …"""
    for index in range(len(classes) * pictures):
        write_picture(source / classes[index // pictures] / f"{index % pictures}.png", index)
    return source


def write_split_folders(
    source: Path,
    classes: Sequence[str] = ("benign", "malignant"),
    *,
    splits: Sequence[str] = ("train", "valid", "test"),
    pictures: int = 2,
) -> Path:
    """Write SOURCE/<split>/<class>/<class>-0.png …"""
    files = [(split, name, index) for split in splits for name in classes for index in range(pictures)]
    for seed, (split, name, index) in enumerate(files):
        write_picture(source / split / name / f"{name.lower().replace(' ', '-')}-{index}.png", seed)
    return source


def write_dermnet(source: Path) -> Path:
    return write_split_folders(source, DERMNET, splits=("train", "test"))


def write_isic(source: Path) -> Path:
    return write_split_folders(source, ISIC, splits=("Train", "Test"))


def write_table(path: Path, rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def write_csv(source: Path) -> Path:
    """Write pictures.csv with split, group and one more column, next to a folder of pictures."""
    header = ("picture", "label", "split", "group", "age")
    rows = [
        (f"pictures/{index}.png", ("no", "yes")[index % 2], "train", f"p{index // 2}", 40 + index)
        for index in range(6)
    ]
    for index, (path, *_) in enumerate(rows):
        write_picture(source / str(path), index)
    write_table(source / "pictures.csv", (header, *rows))
    return source


def ham_rows(labels: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            f"HAM_{index:07d}",
            f"ISIC_{index:07d}",
            label,
            "histo",
            "45.0",
            "unknown" if index else "male",
            "back",
        )
        for index, label in enumerate(labels)
    ]


def write_ham10000(source: Path, labels: Sequence[str] = DX) -> Path:
    """Write HAM10000_metadata.csv and its pictures in two parts."""
    rows = ham_rows(labels)
    for index, row in enumerate(rows):
        write_picture(source / f"HAM10000_images_part_{1 + index % 2}" / f"{row[1]}.jpg", index)
    write_table(source / "HAM10000_metadata.csv", (HAM_HEADER, *rows))
    return source


def write_hmnist(source: Path, numbers: Sequence[int] = range(7), *, pixels: int = 28 * 28 * 3) -> Path:
    """Write hmnist_28_28_RGB.csv with one row for each label number, or the grey table for 784 pixels."""
    header = (*(f"pixel{index:04d}" for index in range(pixels)), "label")
    rows = [(*_row_of_pixels(index, pixels), number) for index, number in enumerate(numbers)]
    name = "hmnist_28_28_RGB.csv" if pixels == 28 * 28 * 3 else "hmnist_28_28_L.csv"
    write_table(source / name, (header, *rows))
    return source


def write_hmnist_metadata(source: Path, labels: Sequence[str] = DX) -> Path:
    return write_table(source / "HAM10000_metadata.csv", (HAM_HEADER, *ham_rows(labels)))


def fitzpatrick17k_rows(labels: Sequence[str]) -> list[list[str]]:
    """Return rows of the published columns: even ones of one website, odd ones of the other."""
    addresses = (
        "https://www.dermaamin.com/site/images/clinical-pic/e/eczema/eczema{}.jpg",
        "http://atlasdermatologico.com.br/img?imageId={}",
    )
    return [
        [
            *(hashlib.md5(f"{index}".encode()).hexdigest(), str(1 + index % 6), str(1 + index % 5), label),
            *(
                "inflammatory",
                "non-neoplastic",
                "",
                addresses[index % 2].format(index),
                f"{label}{index}.jpg",
            ),
        ]
        for index, label in enumerate(labels)
    ]


def write_fitzpatrick17k(
    source: Path,
    labels: Sequence[str] = ("psoriasis", "eczema", "psoriasis", "eczema"),
    *,
    rows: Sequence[Sequence[str]] = (),
) -> Path:
    """Write fitzpatrick17k.csv, and pictures that are named by the hashes, with several extensions."""
    rows = rows or fitzpatrick17k_rows(labels)
    for index, row in enumerate(rows):
        write_picture(source / "data" / f"{row[0]}{('.jpg', '.png', '.JPEG')[index % 3]}", index)
    write_table(source / "fitzpatrick17k.csv", (FITZPATRICK17K_HEADER, *rows))
    return source


def scin_case(name: str, pictures: Sequence[str], **cells: str) -> dict[str, str]:
    """Return a row of scin_cases.csv; pictures are given by their names."""
    paths = {f"image_{n}_path": f"dataset/images/{picture}.png" for n, picture in enumerate(pictures, 1)}
    shots = {f"image_{n}_shot_type": SHOT_TYPES[n - 1] for n in range(1, len(pictures) + 1)}
    constant = {"source": "SCIN", "release": "1.0.0", "year": "2023"}
    return {"case_id": name, **constant, **paths, **shots, **cells}


SCIN_CASES = (
    scin_case(
        *("-1000600354148496558", ("11", "12", "13")),
        age_group="AGE_40_TO_49",
        sex_at_birth="FEMALE",
        fitzpatrick_skin_type="FST2",
        body_parts_arm="YES",
        body_parts_leg="YES",
        condition_symptoms_itching="YES",
    ),
    scin_case("2", ("21",), age_group="AGE_UNKNOWN", fitzpatrick_skin_type="NONE_IDENTIFIED"),
    scin_case("3", ("31",), fitzpatrick_skin_type="FST6", body_parts_palm="YES"),
)
SCIN_LABELS = (
    {
        "case_id": "-1000600354148496558",
        "weighted_skin_condition_label": "{'Eczema': 0.69, 'Psoriasis': 0.31}",
        "dermatologist_skin_condition_on_label_name": "['Nummular eczema', 'Psoriasis vulgaris']",
        "dermatologist_skin_condition_confidence": "[4, 2]",
        "dermatologist_fitzpatrick_skin_type_label_1": "FST2",
        "dermatologist_fitzpatrick_skin_type_label_2": "FST3",
        "monk_skin_tone_label_us": "3.0",
    },
    {"case_id": "2", "weighted_skin_condition_label": '{"Grover\'s disease": 1.0}'},
    {"case_id": "3", "weighted_skin_condition_label": "{'Eczema': 1.0}"},
)


def write_scin(
    source: Path,
    cases: Sequence[dict[str, str]] = SCIN_CASES,
    labels: Sequence[dict[str, str]] = SCIN_LABELS,
) -> Path:
    """Write dataset/scin_cases.csv and scin_labels.csv with all published columns, and dataset/images."""
    for name, header, rows in (
        ("scin_cases.csv", SCIN_CASE_HEADER, cases),
        ("scin_labels.csv", SCIN_LABEL_HEADER, labels),
    ):
        cells = [[row.get(column, "") for column in header] for row in rows]
        write_table(source / "dataset" / name, (header, *cells))
    write_table(source / "dataset" / "scin_app_questions.csv", [("question", "answers"), ("Age?", "")])
    names = sorted({row[f"image_{n}_path"] for row in cases for n in (1, 2, 3) if f"image_{n}_path" in row})
    for index, name in enumerate(names):
        write_picture(source / name, index)
    return source


def pad_ufes_row(
    patient: str, lesion: str, index: int, diagnostic: str = "BCC", **cells: str
) -> dict[str, str]:
    """Return a row of metadata.csv as published: a patient who was asked for everything."""
    symptoms = dict.fromkeys(("itch", "grew", "hurt", "changed", "bleed", "elevation"), "False")
    return {
        **dict.fromkeys(PAD_UFES_HEADER, ""),
        **symptoms,
        **{"patient_id": patient, "lesion_id": lesion, "diagnostic": diagnostic, "age": "55"},
        **{"fitspatrick": "3.0", "region": "NECK", "img_id": f"{patient}_{lesion}_{index}.png"},
        **cells,
    }


PAD_UFES_ROWS = (
    pad_ufes_row("PAT_46", "881", 1, changed="UNK"),
    pad_ufes_row("PAT_46", "881", 2),
    pad_ufes_row("PAT_46", "900", 3, "NEV"),
    pad_ufes_row("PAT_7", "12", 4, "MEL", fitspatrick="", region="FACE"),
    pad_ufes_row("PAT_8", "13", 5, "NEV"),
    pad_ufes_row("PAT_9", "13", 6, "NEV"),
)


def write_pad_ufes(source: Path, rows: Sequence[dict[str, str]] = PAD_UFES_ROWS) -> Path:
    """Write metadata.csv, and the pictures in images/imgs_part_1 to imgs_part_3."""
    for index, row in enumerate(rows):
        write_picture(source / "images" / f"imgs_part_{1 + index % 3}" / row["img_id"], index)
    write_table(source / "metadata.csv", (PAD_UFES_HEADER, *(list(row.values()) for row in rows)))
    return source


def write_cifar10(source: Path, *, protocol: int = 2, pictures: int = 10) -> Path:
    """Write the Python batches, as this Python and this numpy pickle them."""
    source.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        data, labels = cifar_pixels(index, pictures), [number % 10 for number in range(pictures)]
        batch = {b"batch_label": name.encode(), b"labels": labels, b"data": data}
        (source / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    (source / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR)}, protocol=protocol))
    return source


def write_cifar10_binary(source: Path, *, pictures: int = 10) -> Path:
    """Write the binary batches: one byte for the label before each 3,072 bytes of pixels."""
    source.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(("data_batch_1.bin", "test_batch.bin")):
        rows = [
            bytes([number % 10]) + row.tobytes() for number, row in enumerate(cifar_pixels(index, pictures))
        ]
        (source / name).write_bytes(b"".join(rows))
    (source / "batches.meta.txt").write_text("\n".join(CIFAR) + "\n\n", encoding="utf-8")
    return source


def cifar_pixels(seed: int, pictures: int) -> Pixels:
    """Return pixels, uint8 [pictures, 3072], red before green before blue."""
    return np.random.default_rng(seed).integers(0, 256, (pictures, 3072), dtype=np.uint8)


def published_pickle(data: Pixels, labels: Sequence[int], *, shape: tuple[int, int] | None = None) -> bytes:
    """Return a batch in the instructions of the published files: Python 2, protocol 2, numpy 1."""
    rows, columns = shape or data.shape
    raw = data.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\tU\x01bq\n\x87q\x0bRq\x0c"
        + (b"(K\x01J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86")
        + b"cnumpy\ndtype\nq\rU\x02u1q\x0eK\x00K\x01\x87q\x0fRq\x10(K\x03U\x01|q\x11NNNJ\xff\xff\xff\xff"
        + (b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(raw)) + raw + b"q\x12tb")
    )
    labelled = b"U\x06labelsq\x04]q\x05(" + b"".join(b"K" + bytes([number]) for number in labels) + b"e"
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x06batch1q\x03" + labelled + b"U\x04dataq\x06" + array + b"u."
    )


def _row_of_pixels(seed: int, pixels: int) -> list[int]:
    return [int(value) for value in np.random.default_rng(seed).integers(0, 256, pixels)]
