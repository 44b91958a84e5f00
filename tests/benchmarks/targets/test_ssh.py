"""Measuring a machine that ssh reaches; a stand-in ssh runs everything on this one."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, TensorBinding, Timing
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.ssh.ssh_target import ConnectionLostError, SshTarget, read_address
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.picture_feed import PictureFeed
from dermpack.progress import silent
from dermpack.storage.files import sha256_of
from tests.support.errors import raises_code
from tests.support.ssh_workers import RUN_HERE, TAKE_MARK, install_ssh


def a_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    """Provide packages that consist of a name and a version, and are found before the real ones."""
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
        name="m",
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=8, feed=PictureFeed(table=table)),
        recipe="",
        sidecar=None,
    )
    timing = Timing(warm_up_seconds=0.0, rounds=1, seconds=0.0, most_seconds=1.0)
    return BenchmarkPlan(
        models=[model], threads=(1,), kernels=(Kernels.BUILTIN,), timing=timing, runtimes=runtimes
    )


def measure(plan: BenchmarkPlan, *, python: str = sys.executable) -> TargetMeasurement:
    target = SshTarget(address=read_address("pi@raspberry:2222"), python=python)
    return target.measure(plan, track=silent)


def test_ssh_gets_one_command_and_never_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ssh(tmp_path, monkeypatch, "exit 255")
    key = tmp_path / "key"
    address = read_address("pi@raspberry:2222")
    target = SshTarget(address=address, identity=key, options=("A=b",))
    with pytest.raises(ConnectionLostError):
        target.measure(a_plan())
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-o A=b -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15")
    assert f"-p 2222 -i {key} -- pi@raspberry exec sh -c 'eval" in arguments


def test_an_invalid_model_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = install_ssh(tmp_path, monkeypatch)
    measured = measure(a_plan())
    assert measured.target == "ssh:pi@raspberry:2222"
    assert {refused.model for refused in measured.refused} == {"m"}
    assert not measured.timed
    assert list(temporary.iterdir()) == []


def test_what_a_login_script_prints_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_ssh(tmp_path, monkeypatch, 'echo "Welcome to your Pi!"\necho "{}"\n' + RUN_HERE)
    assert measure(a_plan()).refused


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("echo 'ssh: connect to host x: No route to host' >&2; exit 255", "cannot-connect", "No route"),
        ("echo 'bash: python3: command not found' >&2; exit 127", "remote-python", "command not found"),
        (f'{TAKE_MARK}\necho "$mark 3 7"', "remote-python", "is Python 3.7"),
        (f'{TAKE_MARK}\necho "$mark three"', "remote-python", "unexpected response"),
        ("exec yes", "remote-python", "a login script"),
        ("head -c 100000 /dev/zero; sleep 1", "remote-python", "a line"),
        ("exit 0", "remote-python", "--python"),
        ("timeout 20 yes error >&2", "remote-python", "no response"),
    ],
)  # fmt: skip
def test_a_failure_at_the_start_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: str, words: str
) -> None:
    install_ssh(tmp_path, monkeypatch, script)
    for name, seconds in (("SILENT", 0.5), ("GREETING", 4.0), ("LEAVING", 0.5), ("DYING", 0.5)):
        monkeypatch.setattr(f"benchmarks.targets.ssh.ssh_target.{name}_SECONDS", seconds)
    with raises_code(code, "ssh:", words) as caught:
        measure(a_plan())
    assert isinstance(caught.value, ConnectionLostError) and "\n" not in str(caught.value)


def test_no_ssh_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises_code("missing-tool", "ssh: ", "openssh-client"):
        measure(a_plan())


def test_the_error_for_a_machine_without_numpy_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    install_ssh(tmp_path, monkeypatch)
    with raises_code(
        "benchmark-worker-failed", "No module named 'numpy'", f"{bare_python} -m pip install numpy"
    ):
        measure(a_plan(), python=bare_python)


def test_the_error_for_a_machine_without_an_interpreter_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    install_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="1.26.4")
    with raises_code("runtime-not-installed", f"{bare_python} -m pip install ai-edge-litert"):
        measure(a_plan(), python=bare_python)


@pytest.mark.parametrize("runtimes", [(), ("tflite-runtime",)])
def test_the_old_runtime_with_a_new_numpy_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str, runtimes: tuple[str, ...]
) -> None:
    install_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="2.1.0", tflite_runtime="2.14.0")
    words = ("tflite-runtime 2.14.0", "numpy 2.1.0", f"{bare_python} -m pip install 'numpy<2'")
    with raises_code("incompatible-numpy", *words):
        measure(a_plan(runtimes=runtimes), python=bare_python)


def test_the_old_runtime_is_left_out_where_its_successor_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: str
) -> None:
    install_ssh(tmp_path, monkeypatch)
    a_machine(tmp_path, monkeypatch, numpy="2.1.0", tflite_runtime="2.14.0", ai_edge_litert="2.3.0")
    measured = measure(a_plan(), python=bare_python)
    assert {refused.setting.runtime for refused in measured.refused} == {"ai-edge-litert"}
    assert "tflite-runtime 2.14.0 does not run with numpy 2.1.0 and was left out" in measured.notes
