"""What the machine refuses is one line with a code; an error of the program itself keeps its traceback."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import dermpack
from dermpack.cli import main
from dermpack.cli.system_errors import find_system_error
from dermpack.storage.files import sha256_file
from dermpack.storage.regular_files import NotRegularFileError
from tests.support.colour_model import picture, write_export

PROGRAM = "from dermpack.cli import main; import sys; sys.exit(main())"


def os_error(number: int, path: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([str(path)] if path else []))


def code_of(error: Exception, *arguments: object) -> str | None:
    found = find_system_error(error, [str(argument) for argument in arguments])
    return found.code if found else None


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "cannot-write"),
        (errno.EDQUOT, "cannot-write"),
        (errno.EROFS, "cannot-access"),
        (errno.EIO, "cannot-access"),
        (errno.EMFILE, "too-many-open-files"),
        (errno.ENFILE, "too-many-open-files"),
        (errno.ENOMEM, "out-of-memory"),
        (errno.EAGAIN, "too-many-processes"),
    ],
)
def test_what_the_machine_lacks_is_one_line_whatever_file_is_concerned(number: int, code: str) -> None:
    assert code_of(os_error(number)) == code
    assert code_of(os_error(number, Path("/somewhere/else"))) == code


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, "file-not-found"),
        (errno.EACCES, "cannot-access"),
        (errno.ENAMETOOLONG, "cannot-access"),
        (errno.ENOTDIR, "cannot-access"),
        (errno.ELOOP, "cannot-access"),
    ],
)
def test_a_path_of_the_user_is_one_line_and_another_path_is_a_bug(
    tmp_path: Path, number: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere/tmp")
    monkeypatch.setenv("HOME", "/nowhere/home")
    for name in ("DERMPACK_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    named = tmp_path / "set"
    for path in (named, named / "inside" / "file", tmp_path):
        assert code_of(os_error(number, path), "predict", named) == code
        assert code_of(os_error(number, path), f"--labels={named}") == code
    assert code_of(os_error(number, Path("/nowhere/else")), "predict", named) is None
    assert code_of(os_error(number), "predict", named) is None
    own = Path(dermpack.__file__).parent
    assert code_of(os_error(number, own / "template.j2"), "predict", own) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong"),
        RuntimeError("wrong"),
        ImportError("wrong"),
        OSError("wrong"),
        os_error(errno.EBADF),
    ],
)
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    assert code_of(error, "predict", "x") is None


def test_a_library_that_hides_the_missing_memory_is_understood() -> None:
    hiding = ImportError("Error importing numpy: you should not try to import it from its source directory")
    hiding.__cause__ = ImportError("libblas.so: failed to map segment from shared object")
    assert code_of(hiding) == "out-of-memory"
    assert code_of(MemoryError()) == "out-of-memory"
    assert code_of(RuntimeError("can't start new thread")) == "out-of-memory"


def test_a_nul_and_a_loop_are_errors_of_the_path() -> None:
    assert code_of(ValueError("embedded null byte")) == "cannot-read"
    assert code_of(ValueError("stat: embedded null character in path")) == "cannot-read"
    assert code_of(RuntimeError("Symlink loop from '/a/b'")) == "cannot-access"


def test_a_device_that_is_read_deep_in_the_work_is_one_line() -> None:
    with pytest.raises(NotRegularFileError) as raised:
        sha256_file(Path("/dev/zero"))
    known = find_system_error(raised.value, ["train", "dataset", "--weights", "/dev/zero"])
    assert known is not None
    assert (known.code, known.where) == ("not-a-file", "/dev/zero")


def test_no_usable_folder_for_temporary_files_is_one_line() -> None:
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert code_of(error) == "cannot-write"


def limited(limit: int, most: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program with a resource limit."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    start = lambda: resource.setrlimit(limit, (most, most))  # noqa: E731 - run in the child
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=start,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("descriptors", [8, 12, 16])
def test_few_descriptors_end_in_a_result_or_one_line(tmp_path: Path, descriptors: int) -> None:
    export = write_export(tmp_path / "export")
    (tmp_path / "mel.jpg").write_bytes(picture("mel"))
    done = limited(resource.RLIMIT_NOFILE, descriptors, "predict", export, tmp_path / "mel.jpg", "--quiet")
    assert done.returncode == 0 or done.stderr.startswith("error["), done.stderr
    assert done.stderr.count("\n") == done.returncode


@pytest.mark.parametrize("megabytes", [60, 100, 200])
def test_a_start_without_memory_ends_in_one_line(tmp_path: Path, megabytes: int) -> None:
    export = write_export(tmp_path / "export")
    done = limited(resource.RLIMIT_AS, megabytes << 20, "inspect", export, "--quiet")
    # OpenBLAS prints lines of its own, and interrupts the process if it cannot start a thread.
    assert done.returncode in (0, 1, 130)
    assert "Traceback" not in done.stderr


def test_a_usage_error_shows_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--\x1b]0;title\x07\u202e"]) == 2
    assert [line for line in capsys.readouterr().err.split("\n") if not line.isprintable()] == []
