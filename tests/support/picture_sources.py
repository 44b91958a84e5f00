"""Write small sources in each true layout, as people download them."""

from __future__ import annotations

import csv
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
HAM_HEADER = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def noise(seed: int, *, side: int = 32) -> Pixels:
    """A picture unlike any other: uint8 [side, side, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed)).save(path)
    return path


def write_folders(
    source: Path, classes: Sequence[str] = ("benign", "malignant"), *, pictures: int = 3
) -> Path:
    """SOURCE/<class>/0.png …"""
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
    """SOURCE/<split>/<class>/<class>-0.png …"""
    places = [(split, name, index) for split in splits for name in classes for index in range(pictures)]
    for seed, (split, name, index) in enumerate(places):
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
    """pictures.csv with split, group and one more column, beside a folder of pictures."""
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
    """HAM10000_metadata.csv and its pictures in two parts."""
    rows = ham_rows(labels)
    for index, row in enumerate(rows):
        write_picture(source / f"HAM10000_images_part_{1 + index % 2}" / f"{row[1]}.jpg", index)
    write_table(source / "HAM10000_metadata.csv", (HAM_HEADER, *rows))
    return source


def write_hmnist(source: Path, numbers: Sequence[int] = range(7), *, pixels: int = 28 * 28 * 3) -> Path:
    """hmnist_28_28_RGB.csv with one row a label number, or the grey one for 784 pixels."""
    header = (*(f"pixel{index:04d}" for index in range(pixels)), "label")
    rows = [(*_row_of_pixels(index, pixels), number) for index, number in enumerate(numbers)]
    name = "hmnist_28_28_RGB.csv" if pixels == 28 * 28 * 3 else "hmnist_28_28_L.csv"
    write_table(source / name, (header, *rows))
    return source


def write_hmnist_metadata(source: Path, labels: Sequence[str] = DX) -> Path:
    return write_table(source / "HAM10000_metadata.csv", (HAM_HEADER, *ham_rows(labels)))


def write_cifar10(source: Path, *, protocol: int = 2, pictures: int = 10) -> Path:
    """The python batches, as this Python and this numpy write them."""
    source.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        data, labels = cifar_pixels(index, pictures), [number % 10 for number in range(pictures)]
        batch = {b"batch_label": name.encode(), b"labels": labels, b"data": data}
        (source / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    (source / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR)}, protocol=protocol))
    return source


def write_cifar10_binary(source: Path, *, pictures: int = 10) -> Path:
    """The binary batches: a byte of label before each 3,072 of pixels."""
    source.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(("data_batch_1.bin", "test_batch.bin")):
        rows = [
            bytes([number % 10]) + row.tobytes() for number, row in enumerate(cifar_pixels(index, pictures))
        ]
        (source / name).write_bytes(b"".join(rows))
    (source / "batches.meta.txt").write_text("\n".join(CIFAR) + "\n\n", encoding="utf-8")
    return source


def cifar_pixels(seed: int, pictures: int) -> Pixels:
    """uint8 [pictures, 3072], red before green before blue."""
    return np.random.default_rng(seed).integers(0, 256, (pictures, 3072), dtype=np.uint8)


def published_pickle(data: Pixels, labels: Sequence[int], *, shape: tuple[int, int] | None = None) -> bytes:
    """A batch in the very instructions of the published files: Python 2, protocol 2, numpy 1."""
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
