"""A web bundle contains the page, the model and the locked runtime, and changes of any of them are found."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shlex
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dermpack.bundle.build_bundle import BuiltBundle, BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, GoldenPlace
from dermpack.bundle.read_bundle import OpenedBundle, read_bundle
from dermpack.bundle.release_comparison import compare_with_release, generalize_files, write_release_files
from dermpack.bundle.variants import Variant, read_variants
from dermpack.bundle.web.checks import check_site
from dermpack.bundle.web.layout import CLIENT_FOLDER, seal_site
from dermpack.bundle.web.runtime import RuntimeLock, pack_gzip, read_lock, read_runtime
from dermpack.bundle.web.site import AnsweredBy, site_files
from dermpack.cli import main
from dermpack.cli.package import command_to_open
from dermpack.contract import TensorType
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import CheckOutcome
from tests.support.bundle_exports import write_export, write_exports
from tests.support.contracts import with_picture
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.web_sites import needs_node, run_node, stand_in_lock, write_files

HOLDS, FAILS, UNTRIED = CheckOutcome.HOLDS, CheckOutcome.FAILS, CheckOutcome.UNTRIED
BUILD = "litert_wasm_internal.wasm"
PACKED = f"vendor/litert/{BUILD}.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedSite:
    """A web bundle with a small stand-in for the runtime."""

    export: Path
    packages: Path  # the folder with the tarballs of the stand-in
    lock: RuntimeLock
    request: BundleRequest
    built: BuiltBundle
    opened: OpenedBundle


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> PackagedSite:
    folder = tmp_path_factory.mktemp("web")
    export, bundle = write_export(folder / "export"), folder / "skin-web.zip"
    lock = stand_in_lock(folder)
    request = BundleRequest(
        format=BundleFormat.WEB, name="Skin lesions", version="2", runtime=read_runtime(folder, lock=lock)
    )
    built = build_bundle(read_variants(export), request)
    bundle.write_bytes(built.data)
    opened = read_bundle(bundle)
    return PackagedSite(
        export=export, packages=folder, lock=lock, request=request, built=built, opened=opened
    )


def outcomes(packaged: PackagedSite, files: Mapping[str, bytes]) -> dict[str, CheckOutcome]:
    """Return the outcome of each check of the bundle with these files; the code is taken for unknown."""
    opened = replace(packaged.opened, files=files)
    return {
        check.name: check.outcome for check in check_site(opened, is_known_code=False, lock=packaged.lock)
    }


def listed_in_worker(files: Mapping[str, bytes]) -> dict[str, str]:
    found = re.search(r"^const BUNDLE = (\{.*?^\});$", files["sw.js"].decode(), re.DOTALL | re.MULTILINE)
    assert found is not None
    listed: dict[str, str] = json.loads(found[1])["files"]
    return listed


def test_every_file_that_the_page_can_load_is_listed_with_its_hash(packaged: PackagedSite) -> None:
    files = packaged.built.files
    for name in ("index.html", "js/classifier.js", "js/app/main.js", "i18n/en.json", "icons/icon-192.png"):
        assert files[name] == (CLIENT_FOLDER / name).read_bytes()
    assert not [name for name in files if name.startswith("node/") or name.endswith(".py")]
    listed = json.loads(files["files.json"])
    assert listed == {name: sha256_of(files[name]) for name in listed}
    unlisted = {"files.json", "sw.js", "README.md", "SHA256SUMS"}
    assert set(listed) == set(files) - unlisted
    integrity = listed_in_worker(files)
    assert set(integrity) == {*listed, "files.json"}
    for name, hashed in integrity.items():
        # A server may declare a .gz file as encoded: then the worker gets the content.
        accepted = [files[name], *([gzip.decompress(files[name])] if name.endswith(".gz") else [])]
        digests = (base64.b64encode(hashlib.sha256(data).digest()).decode() for data in accepted)
        assert hashed == " ".join(f"sha256-{digest}" for digest in digests)


def test_the_files_of_a_release_are_known_whatever_the_model_is_called(packaged: PackagedSite) -> None:
    hashes = []
    for name in ("Skin lesions", 'Größe "x"'):
        request = replace(packaged.request, name=name)
        variants = read_variants(packaged.export)
        bundle = build_bundle(variants, request).bundle
        general = generalize_files(write_release_files(bundle, variants), bundle, variants)
        hashes.append({name: sha256_of(data) for name, data in general.items() if name != "bom.cdx.json"})
    assert hashes[0] == hashes[1]


def test_the_same_export_gives_the_same_bytes(packaged: PackagedSite) -> None:
    assert build_bundle(read_variants(packaged.export), packaged.request).data == packaged.built.data


def test_record_manifest_and_bill_of_materials_name_model_and_runtime(packaged: PackagedSite) -> None:
    files, bundle = packaged.built.files, packaged.opened.bundle
    assert json.loads(files["app.webmanifest"])["name"] == "Skin lesions"
    assert json.loads(files["site.json"])["name"] == "Skin lesions"
    assert (bundle.package, bundle.class_name, bundle.slug) == ("", "", "skin_lesions")
    version = read_lock().version
    assert bundle.runtime == f"npm:@litertjs/core:{version}"
    bill = json.loads(files["bom.cdx.json"])
    assert bill["components"][-1]["purl"] == f"pkg:npm/%40litertjs/core@{version}"
    assert files["vendor/litert/VERSION"].decode() == f"{version}\n"
    readme = files["README.md"].decode()
    assert "frame-ancestors 'none'" in readme
    assert "connect-src 'self'" in readme
    assert "Java" not in readme


def test_an_unchanged_bundle_passes_and_node_never_runs_unknown_code(packaged: PackagedSite) -> None:
    found = outcomes(packaged, packaged.opened.files)
    assert found.pop("golden answers in Node") is UNTRIED
    assert set(found.values()) == {HOLDS}
    assert compare_with_release(packaged.opened).outcome is HOLDS


PAGE = "index.html"
CHANGES = {  # what is replaced in a file, and the check that finds it after the bundle is sealed again
    "another runtime": ("vendor/litert/litert.js", b"// litert", b"// other!!", "web runtime"),
    "a policy with eval": (PAGE, b"'wasm-unsafe-eval'", b"'unsafe-eval'", "web policy"),
    "a policy for any host": (PAGE, b"connect-src 'self'", b"connect-src *", "web policy"),
    "a policy for frames": (PAGE, b"base-uri 'none'", b"base-uri 'none'; frame-src *", "web policy"),
    "no policy": (PAGE, b"Content-Security-Policy", b"Content-Security-Polite", "web policy"),
    "a script before the policy": (PAGE, b"<head>", b"<head><script src='js/x.js'></script>", "web policy"),
    "a second policy first": (
        PAGE,
        b"connect-src 'self'",
        b"connect-src https://a.example; connect-src 'self'",
        "web policy",
    ),
    "an address": (PAGE, b"</body>", b"<img src='https://a.example/x.png'></body>", "web addresses"),
    "an address without a scheme": (
        PAGE,
        b"</body>",
        b'<img src="//a.example/x.png"></body>',
        "web addresses",
    ),
    "an address in a module": (
        "js/engine.js",
        b"// @ts-check",
        b"import 'https://a.example/x.js';",
        "web addresses",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_even_if_all_hashes_are_written_again(packaged: PackagedSite, change: str) -> None:
    name, old, new, check = CHANGES[change]
    data = packaged.opened.files[name]
    assert old in data
    files = seal_site({**packaged.opened.files, name: data.replace(old, new, 1)})
    found = outcomes(packaged, files)
    assert found[check] is FAILS
    assert found["web integrity"] is HOLDS
    if check != "web runtime":
        changed = compare_with_release(replace(packaged.opened, files=files))
        assert changed.outcome is FAILS
        assert name in changed.detail


def test_the_runtime_is_stored_with_gzip_without_time_and_name(packaged: PackagedSite) -> None:
    files = packaged.built.files
    assert not [name for name in files if name.endswith(".wasm")]
    unpacked = json.loads(files["vendor/litert/unpacked.json"])
    assert set(unpacked) == {name for name in packaged.lock.files if name.endswith(".wasm")}
    for name, record in unpacked.items():
        data = files[f"vendor/litert/{name}.gz"]
        assert data[:10].hex() == "1f8b08000000000002ff"
        content = gzip.decompress(data)
        assert record == {"sha256": sha256_of(content), "size_bytes": len(content)}
        assert sha256_of(content) == packaged.lock.files[name].sha256


def test_verify_compares_the_content_of_a_packed_file_and_accepts_nothing_around_it(
    packaged: PackagedSite,
) -> None:
    data = packaged.opened.files[PACKED]
    content = gzip.decompress(data)
    compressor = zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)  # as another zlib would: other bytes
    other_zlib = data[:10] + compressor.compress(content) + compressor.flush() + data[-8:]
    assert other_zlib != data
    for packed, outcome in (
        (other_zlib, HOLDS),
        (pack_gzip(content.replace(b"tests", b"other")), FAILS),
        (pack_gzip(content + bytes(1 << 20)), FAILS),  # no more than the size in the lock is unpacked
        (data + b"more", FAILS),
        (data[:-1], FAILS),
        (data[:3] + b"\x08" + data[4:10] + b"name\0" + data[10:], FAILS),
        (content, FAILS),
    ):
        found = outcomes(packaged, seal_site({**packaged.opened.files, PACKED: packed}))
        assert found["web runtime"] is outcome
        assert found["web integrity"] is HOLDS


@needs_node
def test_the_page_accepts_the_content_packed_or_as_a_server_unpacked_it(
    packaged: PackagedSite, tmp_path: Path
) -> None:
    data = packaged.opened.files[PACKED]
    content = gzip.decompress(data)
    arrived = {  # what arrives → the file that files.json lists
        "packed": (data, data),
        "unpacked by the browser": (content, data),
        "another packed file": (pack_gzip(b"other"), data),
        "another content": (content.replace(b"tests", b"other"), data),
        "another content, listed": (pack_gzip(content[::-1]), pack_gzip(content[::-1])),
        "a longer content, listed": (
            pack_gzip(content + bytes(1 << 24)),
            pack_gzip(content + bytes(1 << 24)),
        ),
        "half a file, listed": (data[:-20], data[:-20]),
        "nothing": (b"", data),
    }
    files, listed = {}, {}
    for number, (name, (sent, expected)) in enumerate(arrived.items()):
        files[f"{number}/x.gz"] = sent
        listed[name] = sha256_of(expected)
    program = """
const { BundleFiles } = await import('./js/bundle_files.js');
const results = {};
for (const [number, [name, hash]] of Object.entries(input.listed).entries()) {
  const files = new BundleFiles(new URL(`./${number}/`, import.meta.url), { 'x.gz': hash });
  results[name] = await files.readUnpacked('x', input.content).then(
    (data) => new TextDecoder().decode(data),
    (error) => error.code,
  );
}
print(results);
"""
    record = {"sha256": sha256_of(content), "size_bytes": len(content)}
    found = run_node(write_files(tmp_path, files), program, {"listed": listed, "content": record})
    assert found.pop("packed") == found.pop("unpacked by the browser") == content.decode()
    assert set(found.values()) == {"file-changed"}


def test_a_list_that_does_not_fit_the_files_fails(packaged: PackagedSite) -> None:
    files = packaged.opened.files
    listed = files["files.json"].replace(b'"index.html"', b'"other.html"')
    (entry,) = re.findall(rb'    "index.html": "sha256-[^"]+",\n', files["sw.js"])
    for name, data in (
        ("files.json", listed),
        ("sw.js", files["sw.js"].replace(entry, b"")),
        ("sw.js", files["sw.js"].replace(entry, entry + b"    [steal()]: 1,\n")),
    ):
        assert data != files[name]
        assert outcomes(packaged, {**files, name: data})["web integrity"] is FAILS


def test_other_code_in_the_worker_fails(packaged: PackagedSite) -> None:
    worker = packaged.opened.files["sw.js"]
    for changed in (worker + b"steal();\n", worker.replace(b"Response.error()", b"fetch(event.request)")):
        assert changed != worker
        files = {**packaged.opened.files, "sw.js": changed}
        assert compare_with_release(replace(packaged.opened, files=files)).outcome is FAILS


def test_more_files_than_dermpack_writes_fail(packaged: PackagedSite) -> None:
    for name, check in (("vendor/litert/more.js", "web runtime"), ("js/more.js", None)):
        files = seal_site({**packaged.opened.files, name: b"export {};\n"})
        if check:
            assert outcomes(packaged, files)[check] is FAILS
        else:
            assert compare_with_release(replace(packaged.opened, files=files)).outcome is FAILS


def test_the_runtime_is_read_from_tarballs_and_from_node_modules(
    packaged: PackagedSite, tmp_path: Path
) -> None:
    lock, expected = packaged.lock, packaged.request.runtime
    tarball = packaged.packages / lock.packages["@litertjs/core"].tarball
    assert read_runtime(tarball, lock=lock) == expected
    for name, package in lock.packages.items():
        with tarfile.open(packaged.packages / package.tarball) as archive:
            archive.extractall(tmp_path / name, filter="data")
        (tmp_path / "node_modules" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / name / "package", tmp_path / "node_modules" / name)
    assert read_runtime(tmp_path, lock=lock) == expected
    (tmp_path / "node_modules/@litertjs/core/dist/index.js").write_bytes(b"other")
    with raises_code("web-runtime-mismatch"):
        read_runtime(tmp_path, lock=lock)


def test_other_bytes_are_refused_and_absent_ones_get_the_command(
    packaged: PackagedSite, tmp_path: Path
) -> None:
    # The tarballs of the stand-in have the names of the real ones, and other bytes.
    with raises_code("web-runtime-mismatch"):
        read_runtime(packaged.packages)
    with raises_code("missing-web-runtime") as raised:
        read_runtime(tmp_path)
    lock = read_lock()
    names = " ".join(f"{name}@{lock.version}" for name in lock.packages)
    assert "npm pack --ignore-scripts --pack-destination" in raised.value.hint
    assert raised.value.hint.endswith(names)


def test_a_model_that_the_runtime_cannot_feed_is_refused(packaged: PackagedSite) -> None:
    (variant,) = read_variants(packaged.export)
    signed = with_picture(variant.contract, dtype=TensorType.INT8, zero_point=-1)
    with raises_code("web-type-unsupported"):
        build_bundle([replace(variant, contract=signed)], packaged.request)


def test_several_variants_are_refused(packaged: PackagedSite, tmp_path: Path) -> None:
    variants: tuple[Variant, ...] = read_variants(write_exports(tmp_path / "exports"), ("int8", "float32"))
    with raises_code("invalid-option"):
        build_bundle(variants, packaged.request)


def test_a_bundle_without_golden_vectors_has_a_site(packaged: PackagedSite, tmp_path: Path) -> None:
    request = replace(packaged.request, golden_in=GoldenPlace.NONE)
    built = build_bundle(read_variants(packaged.export), request)
    assert not [name for name in built.files if "golden" in name]
    (tmp_path / "skin.zip").write_bytes(built.data)
    opened = read_bundle(tmp_path / "skin.zip")
    found = {check.name: check for check in check_site(opened, is_known_code=True, lock=packaged.lock)}
    assert found["golden answers in Node"].outcome is UNTRIED


def test_a_server_gets_the_site_of_an_export_and_of_an_android_bundle(
    packaged: PackagedSite, tmp_path: Path
) -> None:
    module = tmp_path / "module.zip"
    module.write_bytes(build_bundle(read_variants(packaged.export), BundleRequest(name="skin")).data)
    for source in (packaged.export, module):
        files = site_files(source, answered_by=AnsweredBy.SERVER)
        assert json.loads(files["site.json"])["answers"] == "server"
        assert not [name for name in files if name.startswith("vendor/") or name.endswith(".tflite")]
        assert files == seal_site(files)
        assert "model/model.json" in json.loads(files["files.json"])
    with raises_code("missing-web-runtime"):
        site_files(packaged.export, litert=tmp_path)


def test_the_command_that_opens_a_site_unpacks_it_into_a_folder_of_its_own(
    packaged: PackagedSite, tmp_path: Path
) -> None:
    bundle = tmp_path / "skin lesions" / "web.zip"
    command = shlex.split(command_to_open(bundle, packaged.built.bundle.slug))
    unpack, serve = command[: command.index("&&")], command[command.index("&&") + 1 :]
    assert unpack == ["unzip", "-d", "web", str(bundle)]
    assert serve[-2:] == ["--directory", "web/skin_lesions"]
    with zipfile.ZipFile(io.BytesIO(packaged.built.data)) as site:
        site.extractall(tmp_path / unpack[2])
    assert (tmp_path / serve[-1] / PAGE).is_file()


def test_the_command_names_what_is_missing_before_any_work(
    packaged: PackagedSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "skin-web.zip"
    command = ["package", str(packaged.export), "-o", str(output)]
    assert main([*command, "--format", "web"]) == 1
    assert_stderr_code(capsys.readouterr().err, "missing-web-runtime")
    assert main([*command, "--litert", str(packaged.packages)]) == 2
    assert not output.exists()
