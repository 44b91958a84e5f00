"""Labels come from files of the usual forms or from the option, and mistakes in them are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.inference.label_list import read_labels
from tests.support.errors import raises_code

SKIN = ("benign, flat", "eczema", "nv")


def label_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "labels.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "benign, flat\neczema\nnv\n",
        "\ufeffbenign, flat\r\neczema\r\nnv\r\n\r\n",
        "\n  benign, flat\t\n\neczema \n\n\nnv",
        "0 benign, flat\n1 eczema\n2 nv\n",
        "0: benign, flat\n1: eczema\n2: nv",
        "0\tbenign, flat\n1\teczema\n2\tnv",
        "2 nv\n0 benign, flat\n1 eczema\n",  # the indices are the order of the outputs
        '"benign, flat"\neczema\nnv',
        '0,"benign, flat"\n1,eczema\n2,nv',
        '["benign, flat", "eczema", "nv"]',
        '\ufeff\r\n["benign, flat", "eczema", "nv"]\r\n',
    ],
)
def test_labels_are_read_from_files_of_the_usual_forms(tmp_path: Path, text: str) -> None:
    assert read_labels(label_file(tmp_path, text)) == SKIN


@pytest.mark.parametrize(
    "lines",
    [
        ("2 weeks", "4 weeks"),  # not the numbers from 0 on
        ("0", "1", "2"),  # nothing but numbers: digits are labels, too
        ("0 days", "1 day", "3 days"),
        ('a "quoted" word', "b"),
        ("a: b", "c"),
    ],
)
def test_numbers_that_are_no_indices_stay_in_the_labels(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert read_labels(label_file(tmp_path, "\n".join(lines))) == lines


def test_the_option_may_contain_the_labels_themselves() -> None:
    assert read_labels("akiec, mel,nv") == ("akiec", "mel", "nv")
    assert read_labels('"benign, flat",eczema,nv') == SKIN


def test_a_file_whose_name_contains_a_comma_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my,labels"
    path.write_text("a\nb\n", encoding="utf-8")
    assert read_labels(str(path)) == ("a", "b")
    with raises_code("file-not-found", "my,other.txt"):
        read_labels(str(tmp_path / "my,other.txt"))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"one", b"a\na", b"a\nb\nA\na", b"0 a\n1 a", b"[1, 2]", b'["a", ""]', b"[" * 100_000),
        *(b"\xff\xfe\xff", b"\n".join(b"%d" % number for number in range(10_001)), b'{"labels": []}'),
    ],
)
def test_a_file_that_is_not_a_list_of_different_labels_is_refused(tmp_path: Path, data: bytes) -> None:
    path = label_file(tmp_path, data)
    with raises_code("invalid-labels", path):
        read_labels(path)


@pytest.mark.parametrize("text", ["a,a", "a,", ",", '"a,b', "a,b,"])
def test_a_list_that_is_not_of_different_labels_is_refused(text: str) -> None:
    with raises_code("invalid-labels", "--labels"):
        read_labels(text)
