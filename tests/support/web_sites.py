"""Make web bundles without the real runtime, and run their code in Node."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.bundle.web.layout import CLIENT_FOLDER
from dermpack.bundle.web.runtime import RuntimeLock, is_runtime_cached, read_lock, runtime_folder
from dermpack.storage.files import sha256_of

NODE = shutil.which("node")
# The folder in the cache of the user, before a fixture sets another cache folder.
RUNTIME = runtime_folder()
needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")
needs_runtime = pytest.mark.skipif(
    NODE is None or not is_runtime_cached(),
    reason=f"Node is not installed, or LiteRT.js is not in {RUNTIME} (make web downloads it)",
)


def stand_in_lock(folder: Path) -> RuntimeLock:
    """Write packages with small files of the real names, and return the lock of these bytes."""
    lock, packages, files = read_lock(), {}, {}
    for package_name, package in lock.packages.items():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, file in lock.files.items():
                if file.package == package_name:
                    data = f"// {name} for tests\n".encode()
                    member = tarfile.TarInfo(f"package/{file.path}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
                    files[name] = replace(file, size_bytes=len(data), sha256=sha256_of(data))
        digest = hashlib.sha512(buffer.getvalue()).digest()
        packages[package_name] = replace(package, sha512=base64.b64encode(digest).decode())
        (folder / package.tarball).write_bytes(buffer.getvalue())
    return replace(lock, packages=packages, files=files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, with a package.json that lets Node read .js files as modules."""
    for name, data in {**files, "package.json": b'{"type": "module"}'}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def run_node(folder: Path, program: str, value: object) -> Any:
    """Run a module in a folder with the client code, with `value` as JSON on stdin; return what it prints.

    The program reads it from `input`, and prints one value with `print(value)`.
    """
    code = folder / "js"
    if not code.exists():
        shutil.copytree(CLIENT_FOLDER / "js", code)
    write_files(folder, {"browser.mjs": (CLIENT_FOLDER / "node" / "browser.mjs").read_bytes()})
    head = """import './browser.mjs';
import { readFileSync } from 'node:fs';
const input = JSON.parse(readFileSync(0, 'utf8'));
const read = (path) => new Uint8Array(readFileSync(path));
const print = (value) => console.log(JSON.stringify(value));
"""
    (folder / "program.mjs").write_text(f"{head}{program}", encoding="utf-8")
    command = [str(NODE), str(folder / "program.mjs")]
    done = subprocess.run(command, input=json.dumps(value).encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
