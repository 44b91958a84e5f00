"""Limits of child processes: memory, processor time, and an end together with their parent.

One budget covers all child processes of a command: a share of the memory that the machine, or the cgroup of
a container, has. It is divided by the number of children that run at the same time. A limit applies to
address space, which Linux can limit; a process never uses more memory than that.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

MEMORY_SHARE = 0.75  # of the memory, for all children together; the rest is for the parent and the system
FLOOR_BYTES = 1 << 30  # of a child: the libraries alone map 0.4 GiB without using it
UNKNOWN_MEMORY_BYTES = 4 << 30  # where the system does not report it, as outside Linux
PR_SET_PDEATHSIG, KILL = 1, 9  # numbers of Linux
# Without a traceback: what this prints is taken for the output of the program.
LAUNCHER = f"""
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, int(sys.argv[2]))
for limit, value in ((resource.RLIMIT_DATA, int(sys.argv[3])), (resource.RLIMIT_CPU, int(sys.argv[4]))):
    hard = resource.getrlimit(limit)[1]
    if value:
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
if os.getppid() == int(sys.argv[1]):
    try:
        os.execvp(sys.argv[5], sys.argv[5:])
    except OSError as error:
        sys.exit(f"{{sys.argv[5]}}: {{error.strerror}}")
"""
TOTAL_LINE = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


def divide_memory(children: int, *, most: int | None = None) -> int:
    """Return the limit of each of `children` that run at the same time: 24 GiB, 4 children → 4.5 GiB."""
    share = int(read_memory_bytes() * MEMORY_SHARE) // max(children, 1)
    limit = max(share, FLOOR_BYTES)
    return limit if most is None else min(limit, most)


def read_memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory of the machine, or of the smallest cgroup around this process."""
    limits = list[int]()
    with suppress(OSError):
        found = TOTAL_LINE.search((root / "proc/meminfo").read_text())
        limits += [int(found[1]) << 10] if found else []
    lines = list[str]()
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # Version 2 has one hierarchy without a name; version 1 has one for memory.
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        # Each group around a group limits it too. In a container, the path may lie outside of the mount.
        group = mount / path.strip("/")
        while True:
            with suppress(OSError, ValueError):  # "max" means unlimited
                limits.append(int((group / name).read_text()))
            if group == mount or mount not in group.parents:
                break
            group = group.parent
    return min((limit for limit in limits if limit > 0), default=UNKNOWN_MEMORY_BYTES)


def apply_limits(*, memory_bytes: int, cpu_seconds: int) -> None:
    """Limit this process (0: no limit), which then writes no core file either."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    # Only address space can be limited on Linux; a limit on resident memory has no effect.
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, cpu_seconds)):
        if value:
            _set_soft_limit(limit, value)
    _set_soft_limit(resource.RLIMIT_CORE, 0)


def avoid_threads_under_limit() -> None:
    """Prevent threads of OpenBLAS where the address space is limited: if one fails, it sends SIGINT."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def end_with_parent(parent: int, *, death_signal: int) -> None:
    """Make the kernel send a signal to this process when its parent ends for any reason."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    # The parent may have ended before the call: then this process has another parent by now.
    if os.getppid() != parent:
        os._exit(1)


def ending_with_parent(
    command: Sequence[str], *, death_signal: int = KILL, data_bytes: int = 0, cpu_seconds: int = 0
) -> list[str]:
    """Return the command of another program, such that it ends with this process; it keeps its process id.

    It gets `death_signal` when this process ends, however that happens.
    A program that does not start ends with exit code 1, so a missing one must be found before.
    `data_bytes` limits the memory that it can write to (0: no limit): unlike address space, that can be
    limited for a program with a garbage collector, which reserves far more than it uses.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    numbers = map(str, (int(death_signal), data_bytes, cpu_seconds))
    # -I and -S: no variable of the program's environment applies to this start.
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *numbers, *command]


def allow_cpu_seconds(seconds: float) -> None:
    """Limit the processor time of this process to that used so far plus `seconds`."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set_soft_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1)


def _set_soft_limit(limit: int, value: int) -> None:
    import resource

    # A process cannot raise its hard limit, which is negative if there is none.
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
