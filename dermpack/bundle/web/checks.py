"""Check a web bundle: the runtime, the lists of hashes, the security policy, and its answers in Node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dermpack.bundle.read_bundle import OpenedBundle
from dermpack.bundle.web.layout import (
    CLIENT_FOLDER,
    LIST_FILE,
    PAGE_FILE,
    RUNTIME_FOLDER,
    WORKER_FILE,
    lay_out_runtime,
    read_policy,
    seal_site,
)
from dermpack.bundle.web.runtime import (
    GZIP_ENDING,
    UNPACKED_FILE,
    RuntimeLock,
    describe_unpacked,
    read_lock,
    shipped_name,
    unpack_gzip,
)
from dermpack.processes.limits import divide_memory, ending_with_parent
from dermpack.storage.files import parse_json, sha256_of
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems

# What the policy must contain, whatever else it restricts: nothing is loaded from or sent to another origin.
LEAST_POLICY = {
    "default-src": {"'none'"},
    "script-src": {"'self'", "'wasm-unsafe-eval'"},
    "style-src": {"'self'"},
    "img-src": {"'self'", "blob:"},
    "connect-src": {"'self'"},
    "worker-src": {"'self'"},
    "manifest-src": {"'self'"},
    "base-uri": {"'none'"},
    "form-action": {"'none'"},
    "require-trusted-types-for": {"'script'"},
    "trusted-types": {"default"},
}
LOADED = (".html", ".css", ".js", ".json", ".webmanifest", ".svg")
ADDRESS = re.compile(
    r"""(?:https?|wss?|ftp):/+[\w\[][^\s"'<>)]*|["'(=]\s*//[\w\[][^\s"'<>)]*""", re.IGNORECASE
)
NAMESPACES = "http://www.w3.org/"  # names of XML, which nothing loads
NODE_PROGRAM = CLIENT_FOLDER / "node" / "golden.mjs"
LEAST_NODE = 18  # the first with fetch; tried with 18, 20 and 24
NODE_BYTES, NODE_SECONDS = 4 << 30, 300
NODE_VERSION = re.compile(rb"v(\d+)\.")
NODE_CHECK = "golden answers in Node"
MAX_NAMED = 3


def check_site(
    opened: OpenedBundle, *, is_known_code: bool, lock: RuntimeLock | None = None
) -> Iterator[Check]:
    """Yield the checks of a web bundle; Node runs its code only if that is ours (`is_known_code`)."""
    lock = lock or read_lock()
    before = [
        _check_runtime(opened, lock),
        _check_lists(opened.files),
        _check_policy(opened.files),
        _check_addresses(opened),
    ]
    yield from before
    is_safe = is_known_code and all(check.outcome is CheckOutcome.HOLDS for check in before)
    yield _run_in_node(opened) if is_safe else _untried("the code of the bundle is not known to be ours")


def _check_runtime(opened: OpenedBundle, lock: RuntimeLock) -> Check:
    """Check that the runtime is the locked one, file by file."""
    found = {
        name.removeprefix(f"{RUNTIME_FOLDER}/"): _hash_content(
            name.removeprefix(f"{RUNTIME_FOLDER}/"), data, lock
        )
        for name, data in opened.files.items()
        if name.startswith(f"{RUNTIME_FOLDER}/")
    }
    written = lay_out_runtime(lock, {})
    wanted = {name.removeprefix(f"{RUNTIME_FOLDER}/"): sha256_of(data) for name, data in written.items()}
    wanted |= {shipped_name(name): file.sha256 for name, file in lock.files.items()}
    wanted[UNPACKED_FILE] = sha256_of(describe_unpacked(lock))
    different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    problems = [f"differs from {lock.title}: {_first(different)}"] if different else []
    if opened.bundle.runtime != lock.coordinates:
        problems.append(f"the bundle names {opened.bundle.runtime[:80]}, not {lock.coordinates}")
    return check_from_problems("web runtime", problems, success=f"the {len(wanted)} files of {lock.title}")


def _hash_content(name: str, data: bytes, lock: RuntimeLock) -> str:
    """Return the hash that the lock has: of the content of a packed file, because versions of zlib differ."""
    locked = name.removesuffix(GZIP_ENDING)
    if name == locked or locked not in lock.files:
        return sha256_of(data)
    content = unpack_gzip(data, most=lock.files[locked].size_bytes)
    return "" if content is None else sha256_of(content)


def _check_lists(files: Mapping[str, bytes]) -> Check:
    """Check that files.json and the worker list every file with its hash."""
    if WORKER_FILE not in files:
        return check_from_problems("web integrity", [f"contains no {WORKER_FILE}"], success="")
    sealed = seal_site(files)
    different = [name for name in (LIST_FILE, WORKER_FILE) if files.get(name) != sealed[name]]
    problems = [f"does not list the files of this bundle: {', '.join(different)}"] if different else []
    listed = len(parse_json(sealed[LIST_FILE]))
    return check_from_problems(
        "web integrity", problems, success=f"{listed} files are listed with their hashes"
    )


def _check_policy(files: Mapping[str, bytes]) -> Check:
    """Check that the page begins with a policy that is at least as strict as ours."""
    policy = read_policy(files.get(PAGE_FILE, b""))
    found: dict[str, set[str]] = {}
    for directive in filter(None, (part.split() for part in policy.split(";"))):
        found.setdefault(directive[0].lower(), set(directive[1:]))  # browsers ignore a second one
    weaker = [name for name, most in LEAST_POLICY.items() if name not in found or not found[name] <= most]
    added = [
        name
        for name, values in found.items()
        if name not in LEAST_POLICY and name.endswith("-src") and values != {"'none'"}
    ]
    problems = (
        [f"index.html allows more than it needs: {', '.join(weaker + added)}"] if weaker + added else []
    )
    success = "index.html allows nothing from or to another origin"
    return check_from_problems("web policy", problems, success=success)


def _check_addresses(opened: OpenedBundle) -> Check:
    """Check that nothing that a browser loads contains the address of another origin."""
    problems = []
    for name, data in sorted(opened.files.items()):
        # The runtime is compared with the lock; records of the model name sources and licences.
        is_record = name.startswith((f"{RUNTIME_FOLDER}/", "model/")) or name in (
            "bundle.json",
            "bom.cdx.json",
        )
        if is_record or not name.endswith(LOADED):
            continue
        found = (address[0] for address in ADDRESS.finditer(data.decode("utf-8", "replace")))
        others = [address for address in found if not address.startswith(NAMESPACES)]
        problems += [f"{name} contains {others[0][:80]}"] if others else []
    return check_from_problems("web addresses", problems[:MAX_NAMED], success="all addresses are relative")


def _run_in_node(opened: OpenedBundle) -> Check:
    """Run the golden vectors in Node, with the code that a browser runs."""
    if opened.golden is None:
        return _untried("the bundle contains no golden vectors")
    node = _find_node()
    if node is None:
        return _untried(f"Node {LEAST_NODE} or later is not installed")
    with TemporaryDirectory(prefix="dermpack-web-") as temporary:
        folder = Path(temporary)
        for name, data in opened.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "package.json").write_text('{"type": "module"}')  # for Node: .js files are modules
        command = ending_with_parent(
            [node, str(NODE_PROGRAM), str(folder)],
            data_bytes=divide_memory(1, most=NODE_BYTES),
            cpu_seconds=NODE_SECONDS,
        )
        # No options of the user's environment: NODE_OPTIONS can load any code.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        try:
            done = subprocess.run(
                command, capture_output=True, cwd=folder, env=environment, timeout=NODE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return check_from_problems(NODE_CHECK, [f"no end within {NODE_SECONDS} s"], success="")
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    if done.returncode:
        what = next((line for line in lines if "Error" in line), f"exit code {done.returncode}")
        return check_from_problems(NODE_CHECK, [what[:200]], success="")
    return _summarize([parse_json(line) for line in done.stdout.splitlines()])


def _find_node() -> str | None:
    node = shutil.which("node")
    if node is None:
        return None
    done = subprocess.run(ending_with_parent([node, "--version"]), capture_output=True, check=False)
    version = NODE_VERSION.match(done.stdout)
    return node if version and int(version[1]) >= LEAST_NODE else None


def _summarize(results: list[dict[str, Any]]) -> Check:
    failed = [f"{result['name']} ({result['detail']})" for result in results if result["outcome"] == "failed"]
    passed = [result for result in results if result["outcome"] == "passed"]
    untried = len(results) - len(passed) - len(failed)
    same = sum(result["detail"].endswith("same bytes") for result in passed)
    success = f"{len(passed)} checks pass, {same} of them with the same bytes"
    success += f"; the pixels of {untried} JPEG files need a browser" if untried else ""
    problems = [_first(failed)] if failed else [] if passed else ["no check was run"]
    return check_from_problems(NODE_CHECK, problems, success=success)


def _untried(reason: str) -> Check:
    return Check(name=NODE_CHECK, outcome=CheckOutcome.UNTRIED, detail=reason)


def _first(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
