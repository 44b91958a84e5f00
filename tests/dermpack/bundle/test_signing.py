"""A bundle and its signature are replaced together: at every moment, the old or the new pair verifies."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from dermpack.bundle.signing import check_signature, read_private_key, signature_path, write_with_signature
from dermpack.errors import InputError
from tests.support.errors import raises_code
from tests.support.interrupted_writes import fail_at_each_step, kill_at_each_step

pytest.importorskip("cryptography")

OLD, NEW, NEXT = b"old bundle", b"new bundle", b"next bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key in files, and a folder for a bundle."""

    private: Path
    public: Path
    bundle: Path

    def write(self, data: bytes) -> None:
        write_with_signature(self.bundle, data, read_private_key(self.private).sign(data))

    def reset(self) -> None:
        """Put the old bundle and its signature into an otherwise empty folder."""
        for path in self.bundle.parent.iterdir():
            path.unlink()
        self.write(OLD)

    def verifies(self) -> bool:
        check_signature(self.bundle.read_bytes(), where=self.bundle, key=self.public)
        return True


def signer(tmp_path: Path, name: str = "key") -> Signer:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = Ed25519PrivateKey.generate()
    (tmp_path / name).write_bytes(key.private_bytes(pem, private, plain))
    (tmp_path / f"{name}.pub").write_bytes(key.public_key().public_bytes(pem, info))
    (tmp_path / "out").mkdir(exist_ok=True)
    return Signer(
        private=tmp_path / name, public=tmp_path / f"{name}.pub", bundle=tmp_path / "out" / "skin.zip"
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_after_a_kill_at_any_step_one_pair_verifies(tmp_path: Path) -> None:
    mine = signer(tmp_path)
    left = [
        mine.bundle.read_bytes()
        for _ in kill_at_each_step(lambda: mine.write(NEW), prepare=mine.reset)
        if mine.verifies()
    ]
    assert set(left) == {OLD, NEW}
    assert len(left) >= 9
    # The call that completed left the new pair and nothing else.
    assert mine.bundle.read_bytes() == NEW
    assert signature_path(mine.bundle).stat().st_size == 64
    assert names(mine.bundle.parent) == ["skin.zip", "skin.zip.sig"]


def test_a_second_kill_leaves_a_pair_that_verifies_too(tmp_path: Path) -> None:
    mine = signer(tmp_path)
    killed = kill_at_each_step(lambda: mine.write(NEW), prepare=mine.reset)
    left = {(mine.bundle.read_bytes(), signature_path(mine.bundle).read_bytes()) for _ in killed}
    assert len(left) == 4  # old, old with both signatures, new with both signatures, new
    for bundle, signatures in left:

        def prepare(bundle: bytes = bundle, signatures: bytes = signatures) -> None:
            mine.bundle.write_bytes(bundle)
            signature_path(mine.bundle).write_bytes(signatures)

        for _ in kill_at_each_step(lambda: mine.write(NEXT), prepare=prepare):
            assert mine.verifies()
            assert mine.bundle.read_bytes() in (bundle, NEXT)


def test_a_full_disk_at_any_step_leaves_the_old_or_the_new_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = signer(tmp_path)
    failing = fail_at_each_step(lambda: mine.write(NEW), prepare=mine.reset, monkeypatch=monkeypatch)
    count = 0
    for _ in failing:
        assert mine.verifies()
        count += 1
    assert count >= 9


@pytest.mark.parametrize("limit", [0, 1, 63, 64, 100, 127, 128, 5000])
def test_a_file_that_cannot_become_so_large_changes_nothing(tmp_path: Path, limit: int) -> None:
    """The system itself refuses to write on, as on a full disk."""
    mine = signer(tmp_path)
    mine.reset()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            mine.write(bytes(6000))
        except InputError:
            os._exit(2)
        except Exception as error:  # noqa: BLE001 # any other error is a failed test, in the parent
            os._exit(1 if getattr(error, "code", "") == "cannot-write" else 3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert mine.verifies()
    assert mine.bundle.read_bytes() == OLD
    assert names(mine.bundle.parent) == ["skin.zip", "skin.zip.sig"]


def test_a_new_key_takes_over_without_a_moment_that_neither_verifies(tmp_path: Path) -> None:
    mine, other = signer(tmp_path), signer(tmp_path, "other")
    for _ in kill_at_each_step(lambda: other.write(NEW), prepare=mine.reset):
        assert (mine if mine.bundle.read_bytes() == OLD else other).verifies()
    with raises_code("invalid-signature", mine.bundle):
        mine.verifies()


def test_an_unsigned_bundle_becomes_a_signed_one(tmp_path: Path) -> None:
    mine = signer(tmp_path)

    def prepare() -> None:
        mine.reset()
        write_with_signature(mine.bundle, OLD, None)
        assert names(mine.bundle.parent) == ["skin.zip"]

    for _ in kill_at_each_step(lambda: mine.write(NEW), prepare=prepare):
        if signature_path(mine.bundle).exists():
            assert mine.verifies()
        else:
            assert mine.bundle.read_bytes() in (OLD, NEW)


def test_files_of_a_killed_process_are_removed_by_the_next_one(tmp_path: Path) -> None:
    mine = signer(tmp_path)
    killed = kill_at_each_step(lambda: mine.write(NEW), prepare=mine.reset)
    assert [step for step, _ in zip(killed, range(3), strict=False)] == [0, 1, 2]
    assert [name for name in names(mine.bundle.parent) if name.endswith(".partial")]
    mine.write(NEW)
    assert names(mine.bundle.parent) == ["skin.zip", "skin.zip.sig"]


@pytest.mark.parametrize("content", [b"", b"mine", bytes(65), bytes(64 * 9), bytes(64)])
def test_a_file_without_a_signature_of_the_key_is_rejected(tmp_path: Path, content: bytes) -> None:
    mine = signer(tmp_path)
    mine.reset()
    signature_path(mine.bundle).write_bytes(content)
    with raises_code("invalid-signature", mine.bundle):
        mine.verifies()


@pytest.mark.parametrize("content", [b"mine", bytes(1 << 15)])
def test_a_file_without_a_signature_is_replaced(tmp_path: Path, content: bytes) -> None:
    mine = signer(tmp_path)
    signature_path(mine.bundle).write_bytes(content)
    mine.write(NEW)
    assert mine.verifies()
