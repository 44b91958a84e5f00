"""Text that comes from a file, a name or a table never moves the cursor, and never adds a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from dermpack.cli import main
from dermpack.contract import format_contract
from dermpack.dataset.manifest import Manifest, write_dataset
from dermpack.errors import DermpackError, escape_unprintable, shorten, shorten_values
from dermpack.storage.files import sha256_of
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata
from tests.support import flatbuffer_models
from tests.support.colour_model import colour_contract, colour_model, picture
from tests.support.evaluation_dataset import make_dataset

CUSTOM_OPERATOR = 32  # BuiltinOperator.CUSTOM
# Escape, the C1 introducer, a line break of every kind, and marks that turn the direction of text around.
HOSTILE = "a\x1b]0;t\x07\x1b[31m\x9b2J\r\n\x0b\x85\u2028\u202e\u2066\u200f<b>[red]b"
PLAIN = "ab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command on files that contain the text; it writes them into the folder and returns the arguments."""

    name: str
    prepare: Callable[[Path, str], list[object]]
    codes: tuple[int, ...] = (0,)


def in_name(text: str) -> str:
    """Return the text for a file name, which has no slash."""
    return text.replace("/", "")


def export(folder: Path, text: str) -> Path:
    """Write an export whose contract and metadata contain the text wherever they may contain any."""
    folder.mkdir()
    labels = tuple(f"{name} {escape_unprintable(text)}" for name in ("akiec", "mel", "nv"))
    described = Metadata(name=text, description=text, author=text, version=text, licence=text, labels=labels)
    data = with_metadata(colour_model(), described)
    contract = colour_contract()
    tried = replace(contract.runtimes.tried[0], version=text, delegate=text, result=text)
    contract = replace(
        contract,
        sha256=sha256_of(data),
        size_bytes=len(data),
        license=text,
        intended_use=text,
        runtimes=replace(contract.runtimes, tried=(tried, *contract.runtimes.tried[1:])),
    )
    (folder / "model.tflite").write_bytes(data)
    (folder / "model.json").write_text(format_contract(contract), encoding="utf-8")
    return folder


def strange_model(folder: Path, text: str) -> Path:
    """Write a model whose tensors and custom operator are named by the text."""
    data = flatbuffer_models.model(
        (flatbuffer_models.picture(name=text), flatbuffer_models.scores()),
        operators=((flatbuffer_models.SOFTMAX, 2, ""), (CUSTOM_OPERATOR, 1, text)),
    )
    (folder / "model.tflite").write_bytes(data)
    return folder / "model.tflite"


def labelled_model(folder: Path, text: str) -> list[object]:
    """Write a model without a contract and a file with its labels; return both as arguments."""
    (folder / "plain.tflite").write_bytes(colour_model())
    (folder / "labels.json").write_text(json.dumps([text, f"{text} 2", "nv"]), encoding="utf-8")
    return [folder / "plain.tflite", "--labels", folder / "labels.json"]


def dataset(folder: Path, text: str) -> Path:
    """Write a dataset whose labels, groups, columns, cells and records contain the text."""
    made = make_dataset(folder / "dataset", n=24)
    rows = tuple(
        replace(
            row,
            label={"akiec": text, "mel": f"{text} 2"}[row.label],
            group=f"{text} {row.group}",
            metadata=(row.metadata[0], f"{text} {row.metadata[1]}", text),
        )
        for row in made.pictures
    )
    hostile = replace(
        made,
        classes=tuple(sorted({row.label for row in rows})),
        manifest=Manifest(pictures=rows, columns=("age", f"sex {text}", "name")),
        format=text,
        source=text,
        licence=text,
        caution=text,
        options={"group": text},
    )
    write_dataset(hostile, folder / "dataset")
    return folder / "dataset"


def source(folder: Path, text: str) -> Path:
    """Write class folders with pictures, notes and a table that are named by the text."""
    for number, label in enumerate(("mole", "melanoma")):
        (folder / "source" / label).mkdir(parents=True)
        for index in range(6):
            shade = 40 * number + 20 * index
            Image.new("RGB", (40, 40), (shade, 99, 200 - shade)).save(
                folder / "source" / label / f"{index}.png"
            )
    name = in_name(text)
    (folder / "source" / "mole" / f"{name}.jpg").write_bytes(b"not a picture")
    (folder / "source" / "mole" / f"{name}.heic").write_bytes(b"x")
    (folder / "source" / name).mkdir()
    return folder / "source"


def table(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join((header, *rows)), encoding="utf-8", newline="")
    return path


def toml(folder: Path, text: str) -> Path:
    path = folder / "given.toml"
    path.write_text(text, encoding="utf-8")
    return path


def quoted(text: str) -> str:
    return json.dumps(text)


def pictures(folder: Path, text: str) -> Path:
    (folder / "pictures").mkdir()
    for colour in ("mel", "nv"):
        (folder / "pictures" / f"{colour}{in_name(text)}.jpg").write_bytes(picture(colour))
    (folder / "pictures" / f"broken{in_name(text)}.jpg").write_bytes(b"x")
    return folder / "pictures"


CASES = (
    Case(name="inspect-model", prepare=lambda f, t: ["inspect", strange_model(f, t)]),
    Case(name="inspect-export", prepare=lambda f, t: ["inspect", export(f / "e", t)]),
    Case(
        name="inspect-runtime",
        prepare=lambda f, t: ["inspect", export(f / "e", t), "--runtime", t],
        codes=(1,),
    ),
    Case(
        name="verify-export",
        prepare=lambda f, t: ["verify", export(f / "e", t), "--pictures", "1"],
        codes=(0, 1),
    ),
    Case(name="verify-model", prepare=lambda f, t: ["verify", strange_model(f, t)], codes=(1,)),
    Case(
        name="predict-folder",
        prepare=lambda f, t: ["predict", *labelled_model(f, t), pictures(f, t)],
        codes=(1,),
    ),
    Case(
        name="predict-one",
        prepare=lambda f, t: ["predict", *labelled_model(f, t), pictures(f, t) / f"mel{in_name(t)}.jpg"],
    ),
    Case(
        name="evaluate",
        prepare=lambda f, t: [
            *("evaluate", *labelled_model(f, t), dataset(f, t), "--slice", f"sex {t}"),
            *("--predictions", f / "out.csv"),
        ],
    ),
    Case(
        name="evaluate-unknown-slice",
        prepare=lambda f, t: ["evaluate", *labelled_model(f, t), dataset(f, t), "--slice", f"no {t}"],
        codes=(1,),
    ),
    Case(
        name="evaluate-other-labels",
        prepare=lambda f, t: ["evaluate", export(f / "e", "x"), dataset(f, t)],
        codes=(1,),
    ),
    Case(
        name="package", prepare=lambda f, t: ["package", export(f / "e", t), "-o", f / "z.zip"], codes=(0, 1)
    ),
    Case(
        name="package-name",
        prepare=lambda f, t: ["package", export(f / "e", "x"), "-o", f / "z", "--name", t],
        codes=(0, 1),
    ),
    Case(
        name="package-describe",
        prepare=lambda f, t: ["package", export(f / "e", "x"), "-o", f / "z.zip", "--describe", f"{t}=word"],
        codes=(1,),
    ),
    Case(
        name="benchmark",
        prepare=lambda f, t: [
            *("benchmark", *labelled_model(f, t), "-o", f / "report", "--rounds", "5", "--seconds", "0"),
            *("--threads", "1", "--kernels", "none"),
        ],
    ),
    Case(
        name="benchmark-on",
        prepare=lambda f, t: ["benchmark", export(f / "e", "x"), "-o", f / "r", "--on", t],
        codes=(1,),
    ),
    Case(name="import", prepare=lambda f, t: ["data", "import", source(f, t), "-o", f / "set"]),
    Case(
        name="import-map",
        prepare=lambda f, t: [
            *("data", "import", source(f, t), "-o", f / "set"),
            *("--map", table(f, "class,pattern,label", f'"{t}",*,x')),
        ],
        codes=(1,),
    ),
    Case(
        name="import-metadata",
        prepare=lambda f, t: [
            *("data", "import", source(f, t), "-o", f / "set", "--format", "csv"),
            *("--metadata", table(f, f'"{t}",label', "mole/0.png,x")),
        ],
        codes=(1,),
    ),
    Case(
        name="import-cells",
        prepare=lambda f, t: [
            *("data", "import", source(f, t), "-o", f / "set", "--format", "csv", "--metadata"),
            table(
                f, "picture,label,note", f'mole/0.png,"{t}","{t}"', f'melanoma/1.png,x,"{t}"', f'"{t}",x,y'
            ),
        ],
        codes=(0, 1),
    ),
    Case(
        name="import-positive",
        prepare=lambda f, t: ["data", "import", source(f, t), "-o", f / "set", "--positive", t],
        codes=(1,),
    ),
    Case(
        name="import-licence",
        prepare=lambda f, t: [
            "data",
            "import",
            source(f, t),
            "-o",
            f / "set",
            "--licence",
            t,
            "--caution",
            t,
        ],
    ),
    Case(name="check", prepare=lambda f, t: ["data", "check", dataset(f, t)], codes=(0, 1)),
    Case(name="report", prepare=lambda f, t: ["data", "report", dataset(f, t), "-o", f / "report"]),
    Case(
        name="train-recipe-key",
        prepare=lambda f, t: [
            "train",
            dataset(f, t),
            "-o",
            f / "run",
            "--recipe",
            toml(f, f"{quoted(t)} = 1"),
        ],
        codes=(1,),
    ),
    Case(
        name="train-recipe-value",
        prepare=lambda f, t: [
            "train",
            dataset(f, t),
            "-o",
            f / "run",
            "--recipe",
            toml(f, f"arch = {quoted(t)}"),
        ],
        codes=(1,),
    ),
    Case(
        name="train-weights",
        prepare=lambda f, t: ["train", dataset(f, t), "-o", f / "run", "--weights", f / in_name(t)],
        codes=(1,),
    ),
    Case(
        name="train-option",
        prepare=lambda f, t: ["train", dataset(f, t), "-o", f / "run", "--sensitivity", f"{t}=0.9"],
        codes=(1,),
    ),
    Case(
        name="study",
        prepare=lambda f, t: [
            "study",
            dataset(f, t),
            toml(f, f"[recipes.{quoted(t)}]\n{quoted(t)} = 1"),
            "-o",
            f / "study",
        ],
        codes=(1,),
    ),
    Case(
        name="study-base",
        prepare=lambda f, t: ["study", dataset(f, t), "eczema", "-o", f / "study", "--base", t],
        codes=(1,),
    ),
    Case(
        name="tune-space",
        prepare=lambda f, t: [
            "tune",
            dataset(f, t),
            "-o",
            f / "t",
            "--space",
            toml(f, f"{quoted(t)} = [1, 2]"),
        ],
        codes=(1,),
    ),
    Case(
        name="build-config",
        prepare=lambda f, t: [
            "build",
            source(f, t),
            "-o",
            f / "b",
            "--config",
            toml(f, f"[train]\n{quoted(t)} = 1"),
        ],
        codes=(1,),
    ),
    Case(name="convert", prepare=lambda f, t: ["convert", f / in_name(t), "-o", f / "x"], codes=(1,)),
    Case(name="unknown-command", prepare=lambda _, t: [t], codes=(2,)),
    Case(name="unknown-option", prepare=lambda _, t: ["inspect", f"--{t}"], codes=(2,)),
    Case(name="bad-number", prepare=lambda f, t: ["predict", f, f, "--top", t], codes=(2,)),
)


def run_case(
    case: Case, folder: Path, text: str, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str]:
    """Return the exit code of the command, and what it prints."""
    folder.mkdir()
    arguments = case.prepare(folder, text)
    code = main([*map(str, arguments), *more])
    captured = capsys.readouterr()
    assert code in case.codes, captured.err
    return code, captured.out + captured.err


def without_bars(printed: str) -> list[str]:
    """Return the lines that are not progress bars, whose number depends on the data."""
    return [line for line in printed.split("\n") if "━━━━ " not in line]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_foreign_text_is_escaped_on_one_line(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")  # so that no table folds a long name
    code, printed = run_case(case, tmp_path / "one", HOSTILE, capsys)
    lines = without_bars(printed)
    assert [line for line in lines if not line.isprintable()] == []
    # The same command on plain text prints as many lines, or more: it is refused less often.
    plain_code, plain = run_case(case, tmp_path / "two", PLAIN, capsys)
    assert code != plain_code or len(lines) <= len(without_bars(plain)), printed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_json_is_ascii_without_control_characters(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if 2 in case.codes:
        pytest.skip("a usage error prints no JSON")
    _, printed = run_case(case, tmp_path / "one", HOSTILE, capsys, "--json", "--quiet")
    assert [line for line in printed.split("\n") if not line.isprintable()] == []
    assert printed.isascii() or "error[" in printed


@pytest.mark.parametrize(
    "name", ["inspect-export", "evaluate", "benchmark", "import", "predict-folder", "verify-export"]
)
def test_a_terminal_gets_no_sequence_of_a_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    (case,) = (case for case in CASES if case.name == name)
    _, printed = run_case(case, tmp_path / "one", HOSTILE, capsys)
    # Styles and the progress bar are our own sequences; a title, a C1 character or a bidi mark never is.
    own = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed).replace("\r", "")
    assert [line for line in own.split("\n") if not line.isprintable()] == []
    assert "\x1b[31m\\x9b" not in printed


@pytest.mark.parametrize(
    "value", ["x" * 100_000, "word " * 20_000, "'" * 100_000, "\x1b" * 100_000, '"a b' * 30_000]
)
def test_a_message_repeats_little_of_a_value(value: str) -> None:
    error = DermpackError(value, f"the value {value!r} is unknown", f"Use another than {value}.", code="c")
    assert len(shorten_values(f"{value!r} is unknown")) <= 1000
    assert len(error.what) <= 1000 and len(error.hint) <= 1000
    assert len(str(error)) < 10_000  # every character may be escaped by four


def test_a_short_value_is_not_changed() -> None:
    error = DermpackError("file.csv", "the label 'mel' is unknown", "Use one of: a, b.", code="c")
    assert str(error) == "file.csv: the label 'mel' is unknown. Use one of: a, b."


def test_the_end_of_a_long_path_is_shown() -> None:
    path = f"/{'x' * 300}/model.tflite"
    shown = shorten(path)
    assert len(shown) == 200
    assert shown.endswith("/model.tflite") and "…" in shown


@pytest.mark.parametrize("text", ["x" * 100_000, f"{'x ' * 50_000}", "\u202e" * 100_000])
def test_an_argument_of_any_length_is_one_short_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_dataset(tmp_path / "dataset").folder
    for arguments in (
        ["inspect", text],
        ["evaluate", text, str(made)],
        ["train", str(made), "-o", str(tmp_path / "run"), "--arch", text],
        ["benchmark", "--compare", text, text],
        ["data", "import", text, "-o", str(tmp_path / "set")],
        ["inspect", "--threads", text],
        [text],
    ):
        assert main(arguments) in (1, 2)
        assert len(capsys.readouterr().err) < 5000
