"""The program starts instantly, speaks one line on bad input, and needs no extra for its base."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dermpack.cli
from dermpack import __version__
from dermpack.cli import main
from dermpack.errors import (
    DatasetError,
    DermpackError,
    MissingExtraError,
    PictureError,
    escape_unprintable,
    find_missing_extra,
)
from tests.support.bundle_exports import write_export
from tests.support.errors import assert_stderr_code

HEAVY = (
    *("numpy", "PIL", "rich", "pandas", "sklearn", "scipy", "imagehash", "matplotlib", "jinja2"),
    *("tensorflow", "tf_keras", "keras"),
)
BASE = (
    *("click", "numpy", "PIL", "rich", "pygments", "markdown_it", "mdurl", "colorama"),
    *("dermpack", "trainer", "converter", "benchmarks"),
)

# Runs the program where only the base install's modules can be imported.
BASE_INSTALL = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in {BASE!r} or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"No module named {{top!r}}", name=name)
sys.meta_path.insert(0, Missing())
from dermpack.cli import main
sys.exit(main(sys.argv[1:]))
"""


def base_install(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BASE_INSTALL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", ["--version", "--help", "data --help"])
def test_help_and_version_import_nothing_heavy(arguments: str) -> None:
    code = f"import sys; from dermpack.cli import main; main({arguments.split()}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert loaded.isdisjoint(HEAVY)
    assert "click" in loaded


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dermpack {__version__}\n"


def test_python_dash_m_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "dermpack", "--version"], capture_output=True, text=True)
    assert done.stdout == f"dermpack {__version__}\n"


def test_every_command_answers_help(capsys: pytest.CaptureFixture[str]) -> None:
    for path in command_paths(dermpack.cli.program, ()):
        assert main([*path, "--help"]) == 0, path
        assert "Usage: dermpack" in capsys.readouterr().out


def command_paths(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [path, *(found for name, sub in below if sub for found in command_paths(sub, (*path, name)))]


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dada"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_usage_error_with_json_keeps_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Missing argument" in captured.err


def test_bad_input_is_one_line_on_stderr_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert_stderr_code(captured.err, "dataset-not-found", tmp_path, "dataset.json")


def test_an_error_is_an_object_on_stdout_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert_stderr_code(captured.err, "dataset-not-found", tmp_path)
    described = json.loads(captured.out)
    assert list(described) == ["error"]
    error = described["error"]
    assert set(error) == {"code", "where", "what", "hint"}
    assert (error["code"], error["where"]) == ("dataset-not-found", str(tmp_path))
    line = f"error[{error['code']}]: {error['where']}: {error['what']}. {error['hint']}\n"
    assert captured.err == line


def test_a_missing_extra_is_an_object_on_stdout_with_json(demo_dataset: Path) -> None:
    done = base_install("data", "check", demo_dataset, "--again", "--json", "--quiet")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["where"]) == ("missing-extra", "cv2")
    assert_stderr_code(done.stderr, "missing-extra", 'pip install "dermpack[data]"')


def test_a_command_that_fails_after_its_result_prints_one_json_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = write_export(tmp_path / "export")
    (export / "model.tflite").write_bytes((export / "model.tflite").read_bytes() + b"\0")
    assert main(["verify", str(export), "--pictures", "1", "--json", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["holds"] is False
    assert_stderr_code(captured.err, "verification-failed", export)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("data", "check", "{nope}"), "dataset-not-found"),
        (("data", "report", "{nope}", "-o", "{nope}.out"), "dataset-not-found"),
        (("train", "{nope}", "-o", "{nope}.out"), "dataset-not-found"),
        (("convert", "{nope}", "-o", "{nope}.out"), "run-not-found"),
        (("verify", "{nope}"), "model-not-found"),
        (("package", "{nope}", "-o", "{nope}.zip"), "model-not-found"),
    ],
)
def test_a_missing_input_is_an_error_of_every_command(
    arguments: tuple[str, ...], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(nope=tmp_path / "nope") for word in arguments]) == 1
    assert_stderr_code(capsys.readouterr().err, code, tmp_path / "nope")


@pytest.mark.parametrize("arguments", [("--help",), ("data", "--help"), ("data", "check", "--help")])
def test_the_base_install_answers_help(arguments: tuple[str, ...]) -> None:
    done = base_install(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_extra_is_named_with_its_pip_line(demo_pictures: Path, tmp_path: Path) -> None:
    done = base_install("data", "import", demo_pictures, "-o", tmp_path / "set", "--quiet")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert_stderr_code(done.stderr, "missing-extra", "cv2", 'pip install "dermpack[data]"')
    assert list(tmp_path.iterdir()) == []


def test_the_base_install_checks_a_dataset(demo_dataset: Path) -> None:
    done = base_install("data", "check", demo_dataset, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no problem" in done.stdout


def test_the_base_install_names_the_extra_for_a_check_anew(demo_dataset: Path) -> None:
    done = base_install("data", "check", demo_dataset, "--again", "--quiet")
    assert done.returncode == 1
    assert_stderr_code(done.stderr, "missing-extra", 'pip install "dermpack[data]"')


def test_the_shell_completes_the_commands() -> None:
    words = {"COMP_WORDS": "dermpack data ", "COMP_CWORD": "2", "_DERMPACK_COMPLETE": "bash_complete"}
    command = [sys.executable, "-c", "from dermpack.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **words})
    assert done.stdout.split() == ["plain,import", "plain,check", "plain,report", "plain,demo"]


def test_a_missing_module_of_no_extra_is_a_bug() -> None:
    assert find_missing_extra(ModuleNotFoundError("x", name="dermpack.nowhere")) is None


@pytest.mark.parametrize(
    "error",
    [
        DermpackError("a", "b", "c", code="d"),
        DatasetError("a", "b", "c", code="d"),
        PictureError("a", "empty", "b", "c"),
        MissingExtraError("sklearn", "data"),
    ],
)
def test_an_error_crosses_a_process_border(error: DermpackError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_hostile_name_cannot_break_the_line() -> None:
    assert escape_unprintable("a\nb\x1b[31m\u202ec é") == "a\\nb\\x1b[31m\\u202ec é"


def test_an_error_does_not_go_to_stdout_if_stderr_is_closed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["data", "check", str(tmp_path / "missing")]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("group", ["data", "serve"])
def test_a_group_without_a_command_shows_its_help_in_lines(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([group])
    captured = capsys.readouterr()
    assert "\nCommands:\n" in captured.out + captured.err
