"""Write dermpack/bundle/web/litert.json for another version of LiteRT.js.

    npm pack --ignore-scripts @litertjs/core@VERSION @litertjs/wasm-utils@VERSION
    python -m tests.tools.litert_lock VERSION FOLDER

FOLDER has the tarballs. Compare the SHA-512 with `npm view PACKAGE@VERSION dist.integrity`, then run
`make web`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

from dermpack.bundle.web.runtime import IMPORT, LOCAL_IMPORT, LOCK_FILE, RuntimeLock, read_lock
from dermpack.storage.codec import encode
from dermpack.storage.files import format_json, sha256_of, write_text


def lock_packages(lock: RuntimeLock, version: str, folder: Path) -> RuntimeLock:
    """Return the lock of the packages in a folder, with the files of an earlier lock."""
    packages, files = {}, {}
    for package_name, package in lock.packages.items():
        tarball = package.tarball.replace(lock.version, version)
        data = (folder / tarball).read_bytes()
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        packages[package_name] = replace(package, tarball=tarball, sha512=digest)
        with tarfile.TarFile(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
            for name, file in lock.files.items():
                if file.package == package_name:
                    member = archive.extractfile(f"package/{file.path}")
                    assert member is not None, f"{file.path} is not a file of {tarball}"
                    shipped = member.read()
                    if name.endswith(".js"):
                        shipped = shipped.replace(IMPORT, LOCAL_IMPORT)
                    files[name] = replace(file, size_bytes=len(shipped), sha256=sha256_of(shipped))
    return replace(lock, version=version, packages=packages, files=files)


if __name__ == "__main__":
    write_text(LOCK_FILE, format_json(encode(lock_packages(read_lock(), sys.argv[1], Path(sys.argv[2])))))
