"""What is asked of the machine that ssh reaches; a stand-in ssh runs it on this one."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, Timing
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.ssh.connection import ConnectionLostError
from benchmarks.targets.ssh.ssh_target import SshTarget, ssh_target
from dermpack.inference import Kernels
from dermpack.progress import silent
from dermpack.storage.files import sha256_of
from tests.support.errors import raises_code

RUN_HERE = 'shift $(($# - 1))\nexec sh -c "$1"\n'


def an_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = RUN_HERE) -> Path:
    """A stand-in ssh that stands first on the PATH; answers where the other side makes its folders."""
    for name in ("bin", "tmp"):
        (folder / name).mkdir()
    (folder / "bin/ssh").write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n{script}')
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder / "tmp"


def a_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    """Packages that are not there but for their names and versions, found before the real ones."""
    for name, version in packages.items():
        (folder / "site" / name).mkdir(parents=True)
        (folder / "site" / name / "__init__.py").write_text(f"__version__ = {version!r}\n")
        about = folder / "site" / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """An interpreter that has no package at all."""
    venv.create(tmp_path / "bare", symlinks=True)
    return str(tmp_path / "bare/bin/python")


def a_plan(*, runtimes: tuple[str, ...] = (), data: bytes = b"no model") -> BenchmarkPlan:
    table = np.arange(256, dtype=np.uint8)
    model = ModelUnderTest(
        name="m", data=data, sha256=sha256_of(data), size=8, table=table, recipe="", sidecar=None
    )
    timing = Timing(warm_up_seconds=0.0, rounds=1, seconds=0.0, most_seconds=1.0)
    return BenchmarkPlan(
        models=[model], threads=(1,), kernels=(Kernels.BUILTIN,), timing=timing, runtimes=runtimes
    )


def measure(plan: BenchmarkPlan, *, python: str = sys.executable) -> TargetMeasurement:
    return ssh_target("pi@raspberry:2222", python=python).measure(plan, track=silent)


def test_ssh_is_asked_for_one_command_and_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_ssh(tmp_path, monkeypatch, "exit 255")
    key = tmp_path / "key"
    target = SshTarget(
        address=ssh_target("pi@raspberry:2222", python="x").address, identity=key, options=("A=b",)
    )
    with pytest.raises(ConnectionLostError):
        target.measure(a_plan())
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("-o A=b -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15")
    assert f"-p 2222 -i {key} -- pi@raspberry exec python3 -c 'import sys;" in asked


def test_a_model_that_is_none_is_refused_there_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = an_ssh(tmp_path, monkeypatch)
    measured = measure(a_plan())
    assert measured.target == "ssh:pi@raspberry:2222"
    assert {refused.model for refused in measured.refused} == {"m"}
    assert not measured.timed
    assert list(there.iterdir()) == []


def test_what_a_login_script_prints_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    an_ssh(tmp_path, monkeypatch, 'echo "Welcome to your Pi!"\necho "{}"\n' + RUN_HERE)
    assert measure(a_plan()).refused


def test_what_a_killed_measurement_left_is_removed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = an_ssh(tmp_path, monkeypatch)
    (there / "dermpack-remote-dead").mkdir()
    (there / "dermpack-remote-dead/.alive").touch()  # nobody holds its lock
    measured = measure(a_plan())
    assert "what killed measurements had left there was removed (folders: 1)" in measured.notes
    assert list(there.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("echo 'ssh: connect to host x: No route to host' >&2; exit 255", "cannot-connect", "No route"),
        ("echo 'bash: python3: command not found' >&2; exit 127", "remote-python", "command not found"),
        ("echo dermpack-python-3.7 >&2; exit 1", "remote-python", "3.7"),
        ("exec yes", "remote-python", "a login script"),
        ("head -c 100000 /dev/zero; sleep 1", "remote-python", "a line"),
        ("echo '{\"error\": \"OSError: full\", \"bytes\": 0}'; cat", "remote-python", "OSError: full"),
        ("exit 0", "remote-python", "--python"),
        ("timeout 20 yes error >&2", "remote-python", "no response"),
    ],
)  # fmt: skip
def test_what_fails_at_the_start_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: str, said: str
) -> None:
    an_ssh(tmp_path, monkeypatch, script)
    monkeypatch.setattr("benchmarks.targets.ssh.frame_stream.SILENT_SECONDS", 0.5)
    for name, seconds in (("GREETING", 4.0), ("LEAVING", 0.5), ("DYING", 0.5)):
        monkeypatch.setattr(f"benchmarks.targets.ssh.connection.{name}_SECONDS", seconds)
    with raises_code(code, "ssh:", said) as caught:
        measure(a_plan())
    assert isinstance(caught.value, ConnectionLostError) and "\n" not in str(caught.value)


def test_no_ssh_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises_code("missing-tool", "ssh: ", "openssh-client"):
        measure(a_plan())


def test_a_machine_without_numpy_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    an_ssh(tmp_path, monkeypatch)
    with raises_code(
        "benchmark-worker-failed", "No module named 'numpy'", f"{bare_python} -m pip install numpy"
    ):
        measure(a_plan(), python=bare_python)


def test_a_machine_without_an_interpreter_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    an_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="1.26.4")
    with raises_code("runtime-not-installed", f"{bare_python} -m pip install ai-edge-litert"):
        measure(a_plan(), python=bare_python)


@pytest.mark.parametrize("runtimes", [(), ("tflite-runtime",)])
def test_the_old_runtime_with_a_new_numpy_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str, runtimes: tuple[str, ...]
) -> None:
    an_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="2.1.0", tflite_runtime="2.14.0")
    said = ("tflite-runtime 2.14.0", "numpy 2.1.0", f"{bare_python} -m pip install 'numpy<2'")
    with raises_code("incompatible-numpy", *said):
        measure(a_plan(runtimes=runtimes), python=bare_python)


def test_the_old_runtime_is_left_out_where_its_successor_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    an_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="2.1.0", tflite_runtime="2.14.0", ai_edge_litert="2.3.0")
    measured = measure(a_plan(), python=bare_python)
    assert {refused.setting.runtime for refused in measured.refused} == {"ai-edge-litert"}
    assert "tflite-runtime 2.14.0 does not run with numpy 2.1.0 and was left out" in measured.notes
