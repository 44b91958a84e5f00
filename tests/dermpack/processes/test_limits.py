"""Every child process ends with its parent, and all of them share one budget of memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from dermpack.processes.child_process import ChildEndedError, ChildProcess
from dermpack.processes.limits import (
    FLOOR_BYTES,
    MEMORY_SHARE,
    UNKNOWN_MEMORY_BYTES,
    divide_memory,
    read_memory_bytes,
)
from dermpack.processes.process_pool import map_in_processes
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY

WORKER = "tests.support.child_workers"
GIB = 1 << 30
needs_linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


def write_tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def write_group(root: Path, group: str, name: str, limit: str) -> None:
    folder = root / "sys/fs/cgroup" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(limit, encoding="utf-8")


def test_the_memory_of_the_machine_is_the_largest_budget(tmp_path: Path) -> None:
    write_tree(tmp_path, proc__meminfo=f"MemTotal:  {8 * GIB >> 10} kB\nMemFree: 1 kB\n")
    assert read_memory_bytes(tmp_path) == 8 * GIB
    assert read_memory_bytes(tmp_path / "nothing") == UNKNOWN_MEMORY_BYTES


@pytest.mark.parametrize(
    ("own", "group", "name"),
    [("0::/a/b\n", "", "memory.max"), ("5:cpu:/x\n7:memory:/a/b\n", "memory/", "memory.limit_in_bytes")],
    ids=["version 2", "version 1"],
)
def test_the_smallest_cgroup_around_the_process_counts(
    tmp_path: Path, own: str, group: str, name: str
) -> None:
    write_tree(tmp_path, proc__meminfo=f"MemTotal:  {8 * GIB >> 10} kB\n", proc__self__cgroup=own)
    write_group(tmp_path, f"{group}a/b", name, "max\n")
    write_group(tmp_path, f"{group}a", name, f"{3 * GIB}\n")
    write_group(tmp_path, group, name, f"{4 * GIB}\n")
    assert read_memory_bytes(tmp_path) == 3 * GIB


def test_a_cgroup_outside_of_the_mount_falls_back_to_its_root(tmp_path: Path) -> None:
    write_tree(tmp_path, proc__self__cgroup="0::/not/mounted\n")
    write_group(tmp_path, "", "memory.max", f"{2 * GIB}\n")
    assert read_memory_bytes(tmp_path) == 2 * GIB


def test_children_divide_a_share_of_the_memory_down_to_a_floor() -> None:
    total = read_memory_bytes()
    assert divide_memory(1) == max(int(total * MEMORY_SHARE), FLOOR_BYTES)
    assert divide_memory(1_000_000) == FLOOR_BYTES
    assert divide_memory(1, most=12345) == 12345


def test_the_processor_time_of_a_child_is_limited(tmp_path: Path) -> None:
    with (
        ChildProcess(WORKER, "spin", cpu_seconds=1, log=tmp_path / "log") as child,
        pytest.raises(ChildEndedError, match="SIGXCPU"),
    ):
        child.receive()


def test_a_worker_of_a_pool_has_a_limit_even_if_it_is_the_only_one() -> None:
    assert list(map_in_processes(read_limit, [0], jobs=1, most_memory_bytes=2 * GIB)) == [(0, 2 * GIB)]


def read_limit(_: int) -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0]


def print_id_and_spin(_: int) -> None:
    """Write the process id to the parent's stderr, in one call, and never end."""
    Path(f"/proc/{os.getppid()}/fd/2").write_text(f"{os.getpid()}\n")
    while True:
        pass


# Each program prints the process id of a child that never ends, and waits for it.
STAND_IN = """
import os
from pathlib import Path
def stand_in(name):
    # It writes its process id to stderr of this program, and ignores the end of its input.
    Path(name).write_text("#!/bin/sh\\necho $$ > /proc/$PPID/fd/2\\nexec sleep 600\\n")
    Path(name).chmod(0o755)
    os.environ["PATH"] = f"{os.getcwd()}:{os.environ['PATH']}"
"""
PROGRAMS = {
    "a child": """
from dermpack.processes.child_process import ChildProcess
with ChildProcess("tests.support.child_workers", "spin") as child:
    print(child.pid, file=sys.stderr, flush=True)
    child.receive()
""",
    "a child of a thread": """
from threading import Thread
from dermpack.processes.child_process import ChildProcess
def work():
    child = ChildProcess("tests.support.child_workers", "spin", new_session=True)
    print(child.pid, file=sys.stderr, flush=True)
    child.receive()
thread = Thread(target=work)
thread.start()
thread.join()  # Python 3.12 starts no thread once the main one has ended
""",
    "a worker of a pool": """
from dermpack.processes.process_pool import map_in_processes
from tests.dermpack.processes.test_limits import print_id_and_spin
list(map_in_processes(print_id_and_spin, [0, 1], jobs=2))
""",
    "an interpreter": """
from pathlib import Path
from dermpack.inference.interpreter_host import Runtime, open_host
from tests.support.runnable_models import SIZE, endless_model
with open_host(Runtime.LITERT) as host:
    session = host.load(endless_model(), where=Path("model.tflite"), threads=1)
    print(session.pid, file=sys.stderr, flush=True)
    session.run({"picture": bytes(4 * 3 * SIZE * SIZE)})
""",
    "a decoder": """
import os
from dermpack.imaging.picture_decoder import PictureDecoder
with PictureDecoder() as decoder:
    decoder.start()
    print(decoder._started[0].pid, file=sys.stderr, flush=True)
    decoder._started[0].receive()
    decoder._started[0].receive()
""",
    "a worker of a benchmark": """
from pathlib import Path
from benchmarks.targets.host import run_worker
code = "import os; os.write(2, b'%d\\\\n' % os.getpid()); os.dup2(2, 1)\\nwhile True: pass"
Path("stderr").symlink_to("/dev/stderr")
run_worker([sys.executable, "-c", code], {"patience_seconds": 600}, folder=Path("."))
""",
    "another program": """
import subprocess
from dermpack.processes.limits import ending_with_parent
code = "import os; os.write(2, b'%d\\\\n' % os.getpid())\\nwhile True: pass"
subprocess.run(ending_with_parent([sys.executable, "-c", code]))
""",
    "adb": f"""
{STAND_IN}
from benchmarks.targets.adb.phone import list_phones
stand_in("adb")
list_phones()
""",
    "ssh": f"""
{STAND_IN}
from benchmarks.targets.ssh.ssh_target import connect, read_address
stand_in("ssh")
with connect(read_address("board"), python="python3", identity=None, options=()):
    pass
""",
    "the Java compiler": f"""
{STAND_IN}
from dermpack.bundle.android_module import _run_javac
stand_in("javac")
_run_javac("javac", [], output=Path("."), classpath=None)
""",
}


@needs_linux
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=lambda ending: ending.name)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_child_that_never_ends_ends_with_its_parent(
    kind: str, ending: signal.Signals, tmp_path: Path
) -> None:
    program = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{PROGRAMS[kind]}"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path
    ) as parent:
        assert parent.stderr is not None
        child = int(parent.stderr.readline())
        watched = os.pidfd_open(child)
        parent.send_signal(ending)
        # The descriptor is readable as soon as the process has ended, whoever collects its exit code.
        is_gone = bool(select.select([watched], [], [], 10)[0])
        if not is_gone:
            os.kill(child, signal.SIGKILL)
        os.close(watched)
    assert is_gone


@needs_linux
def test_a_child_outlives_the_thread_that_started_it() -> None:
    started = list[ChildProcess]()
    thread = Thread(target=lambda: started.append(ChildProcess(WORKER, "echo")))
    thread.start()
    thread.join()
    with started[0] as child:
        child.send(b"frame")
        assert child.receive() == b"frame"


@pytest.mark.parametrize("files", range(3, 24))
def test_few_file_descriptors_are_an_error_of_one_line(files: int) -> None:
    program = f"""
import resource, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from dermpack.errors import DermpackError
from dermpack.processes.child_process import ChildProcess
from dermpack.processes.limits import divide_memory
import subprocess, threading
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
children = []
try:
    while True:
        children.append(ChildProcess({WORKER!r}, "sleep"))
except DermpackError as error:
    print(error.code)
for child in children:
    child.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "child-not-started\n", done.stderr


def test_a_limit_of_threads_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ChildProcess(WORKER, "echo") as child:
        monkeypatch.setattr(Thread, "start", fail)
        with raises_code("child-not-started"), child.time_limit(1):
            pass
