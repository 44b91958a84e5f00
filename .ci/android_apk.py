"""The parts of `make android` that a shell does badly: archives, and what an APK must be."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

PERMISSIONS: frozenset[str] = frozenset()  # none: pictures come from the picker and the camera app
ALIGNED_BYTES = 4  # what zipalign gives the model
PAGE_BYTES = 16384  # Android 15 and later
LOCAL_HEADER_BYTES = 30
CLOSE = 1e-9  # what Java and numpy may differ by in logarithms
DEX_MAGIC, DEX_HEAD_BYTES, DEX_SUM_FROM = b"dex\n03", 112, 32
NEEDED_CLASSES = (
    b"Ldermpack/demo/MainActivity;",
    b"Ldermpack/skin/SkinClassifier;",
    b"Lorg/tensorflow/lite/InterpreterApi;",
)
JAVA_TEST = """package dermpack.skin;

import static org.junit.Assert.assertEquals;

import android.content.Context;
import java.util.List;
import org.junit.Test;

/** The README's own lines. */
public final class SnippetTest {{
    @Test
    public void theLinesOfTheReadmeWork() throws Exception {{
        Context context = Desk.context();
        byte[] picture = Desk.asset("golden/turned-6.jpg");
{lines}
        assertEquals(Math.min(3, result.getScores().size()), bars.size());
        assertEquals(result.getRefusal() == null ? bars.get(0).getMeaning() : result.getRefusal(), answer);
{called}    }}
}}
"""
KOTLIN_TEST = """import android.content.Context
import android.content.res.AssetManager
import dermpack.skin.SkinClassifier
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Test

/** The README's own lines. */
class KotlinSnippetTest {{
    @Test
    fun theLinesOfTheReadmeWork() {{
        val assets = File(System.getProperty("bundle.assets"))
        val context = Context(AssetManager(assets))
        val picture = File(assets, "skin/golden/turned-6.jpg").readBytes()
{lines}
        assertEquals(result.refusal ?: bars[0].first, answer)
{called}    }}
}}
"""
# Name of the file, the test, and what it checks if the model has labels that must not be missed.
SNIPPETS = {
    "java": ("SnippetTest.java", JAVA_TEST, "        assertEquals(result.getCalled(), called);\n"),
    "kotlin": (
        "KotlinSnippetTest.kt",
        KOTLIN_TEST,
        "        assertEquals(result.called.map { it.meaning }, called)\n",
    ),
}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def export(into: str) -> None:
    """The reference model: a tiny integer network, made here."""
    sys.path.insert(0, str(Path.cwd()))
    from dermpack.cli.console import silenced_stderr

    with silenced_stderr():  # TensorFlow has much to say when it starts
        from tests.support.small_export import write_export

        write_export(Path(into))


def assemble(base: str, into: str, dex: str, libraries: str) -> None:
    """Everything as it must lie: native libraries stored, so that they can be mapped."""
    with zipfile.ZipFile(base) as old, zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info, old.read(info), compress_type=info.compress_type)
        new.write(dex, "classes.dex")
        for path in sorted(Path(libraries).rglob("*.so")):
            name = f"lib/{path.relative_to(libraries).as_posix()}"
            new.write(path, name, compress_type=zipfile.ZIP_STORED)


def check(apk: str, bundle: str, permissions: str) -> None:
    """Everything that goes wrong in real apps, asserted of this one."""
    data = Path(apk).read_bytes()
    with zipfile.ZipFile(apk) as archive, zipfile.ZipFile(bundle) as given:
        _models(archive, given, data)
        _dex(archive.read("classes.dex"))
        _libraries(archive, data)
    asked = set(re.findall(r"uses-permission: name='([^']+)'", Path(permissions).read_text(encoding="utf-8")))
    _hold(asked == PERMISSIONS, f"permissions: {', '.join(sorted(asked)) or 'none'}")
    say(f"APK: {len(data):,} bytes, signed and verified")


def _hold(is_well: bool, claim: str) -> None:
    say(f"{'holds' if is_well else 'FAILS'}  {claim}")
    if not is_well:
        sys.exit(1)


def _models(archive: zipfile.ZipFile, given: zipfile.ZipFile, data: bytes) -> None:
    from dermpack.tflite.lint import DISTANCE_TENSORS, inner_floats
    from dermpack.tflite.reading import read_model

    models = [info for info in archive.infolist() if info.filename.endswith(".tflite")]
    bundled = {name.partition("src/main/")[2]: name for name in given.namelist() if name.endswith(".tflite")}
    _hold({info.filename for info in models} == set(bundled), f"models: {', '.join(sorted(bundled))}")
    for info in models:
        start = _start(data, info)
        stored = info.compress_type == zipfile.ZIP_STORED and start % ALIGNED_BYTES == 0
        _hold(stored, f"{info.filename} is stored as it is, at a multiple of {ALIGNED_BYTES}")
        _hold(archive.read(info) == given.read(bundled[info.filename]), f"{info.filename} is the bundle's")
    contract = json.loads(archive.read("assets/skin/model.json"))
    main = read_model(archive.read("assets/skin/model.tflite"), where="model.tflite")
    golden = [name for name in archive.namelist() if "/golden/" in name]
    _hold(not golden, "a release contains no golden vectors")
    floats = [tensor.name for tensor in inner_floats(main) if not tensor.name.startswith(DISTANCE_TENSORS)]
    is_integer = contract["recipe"]["name"] == "int8" and not floats
    _hold(is_integer, "the main model is int8 inside: no float model by mistake")


def _start(data: bytes, info: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry begin."""
    name_bytes, extra_bytes = struct.unpack_from("<HH", data, info.header_offset + 26)
    return info.header_offset + LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)


def _dex(dex: bytes) -> None:
    sums = (
        dex[8:12] == struct.pack("<I", zlib.adler32(dex[12:]))
        and dex[12:32] == hashlib.sha1(dex[DEX_SUM_FROM:], usedforsecurity=False).digest()
    )
    whole = dex.startswith(DEX_MAGIC) and struct.unpack_from("<II", dex, 32) == (len(dex), DEX_HEAD_BYTES)
    (classes,) = struct.unpack_from("<I", dex, 96)
    named = all(name in dex for name in NEEDED_CLASSES)
    _hold(sums and whole and named, f"classes.dex is valid: {classes} classes, {len(dex):,} bytes")


def _libraries(archive: zipfile.ZipFile, data: bytes) -> None:
    for info in archive.infolist():
        if info.filename.endswith(".so"):
            aligned = min(_alignments(archive.read(info)))
            placed = _start(data, info) % PAGE_BYTES == 0
            fits = "fits" if aligned >= PAGE_BYTES else "does NOT fit"
            say(
                f"note   {info.filename}: segments at multiples of {aligned:,}, {fits} 16 KB pages"
                f"{'' if placed else '; in the APK not at a page'}"
            )
    say("note   of TensorFlow Lite 2.16.1; the Gradle files pin LiteRT, which is not to be had here")


def _alignments(library: bytes) -> Iterator[int]:
    path = Path("build/android/library.so")
    path.write_bytes(library)
    told = subprocess.run(["readelf", "-lW", str(path)], capture_output=True, text=True, check=True).stdout
    path.unlink()
    yield from (int(line.split()[-1], 16) for line in told.splitlines() if line.lstrip().startswith("LOAD"))


def second(classes: str, dx: str, into: str) -> None:
    """What a second bundle adds to an app, and how much of it shared runtime classes would save."""
    sizes = []
    for pattern in ("*.class", "*Classifier*.class"):  # everything, and the only class with a name of its own
        folder = Path(into) / "dermpack" / "mole"
        shutil.rmtree(into, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in (Path(classes) / "dermpack" / "mole").glob(pattern):
            if path.name != "PictureClassifier.class" or pattern == "*.class":
                shutil.copy(path, folder)
        dex = Path(into) / "classes.dex"
        command = ["java", "-cp", dx, "com.android.dx.command.Main", "--dex", "--min-sdk-version=24"]
        subprocess.run([*command, f"--output={dex}", into], check=True)
        sizes += [len(dex.read_bytes()), len(zlib.compress(dex.read_bytes(), 9))]
    whole, whole_packed, own, own_packed = sizes
    say(f"note   a second bundle adds {whole:,} bytes of dex, {whole_packed:,} in the APK, before R8;")
    say(f"note   shared runtime classes would save {whole - own:,} and {whole_packed - own_packed:,} of them")


def snippet(readme: str, into: str) -> None:
    """The lines that the bundle's README shows, in tests of their own."""
    text = Path(readme).read_text(encoding="utf-8")
    Path(into).mkdir(parents=True, exist_ok=True)
    for language, (name, test, called) in SNIPPETS.items():
        block = re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert block is not None, f"{readme} shows no {language}"
        lines = "".join(f"        {line}\n" for line in block[1].splitlines())
        checked = test.format(lines=lines, called=called if " called = " in lines else "")
        (Path(into) / name).write_text(checked, encoding="utf-8")


def pictures(data: str, into: str, count: str) -> None:
    """So many pictures from all over a folder, as PNG: every decoder makes the same pixels of these."""
    from PIL import Image

    from dermpack.imaging.decoding import decode

    there = sorted(Path(data).rglob("*.jpg"))
    _hold(len(there) >= int(count), f"{data} holds {len(there)} pictures")
    Path(into).mkdir(parents=True, exist_ok=True)
    for index in range(int(count)):
        path = there[index * len(there) // int(count)]
        Image.fromarray(decode(path).pixels).save(Path(into) / f"{path.stem}.png", compress_level=1)


def agree(export: str, folder: str, answers: str) -> None:
    """Check that the JVM answered every picture as `dermpack predict` does, byte for byte."""
    import numpy as np

    from dermpack.bundle.variants import read_variants, run_variants
    from dermpack.imaging.preprocessing import prepare

    (variant,) = read_variants(Path(export))
    files = sorted(Path(folder).iterdir())
    size = variant.contract.picture.width
    pixels = np.stack([prepare(path, size, policy=variant.policy) for path in files])
    (outputs,) = run_variants((variant,), pixels)
    raw = {
        path.name: output.outputs[variant.answer_name].hex()
        for path, output in zip(files, outputs, strict=True)
    }
    command = [sys.executable, "-m", "dermpack", "predict", export, folder, "--json", "--quiet"]
    answered = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["pictures"]
    predicted = {Path(answer["picture"]).name: answer for answer in answered}
    lines = [line.split("\t") for line in Path(answers).read_text(encoding="utf-8").splitlines()]
    _hold(len(lines) == len(files) == len(predicted), f"{len(lines)} pictures were answered")
    labels = sum(predicted[name]["top"][0]["label"] == label for name, label, *_ in lines)
    sure = sum(predicted[name]["sure"] == (is_sure == "true") for name, _, is_sure, *_ in lines)
    apart = max(abs(predicted[line[0]]["top"][0]["probability"] - float(line[3])) for line in lines)
    same = sum(raw[line[0]] == line[4] for line in lines)
    _hold(labels == len(lines), f"the same label on {labels} of {len(lines)}")
    _hold(sure == len(lines), f"as sure or unsure on {sure}; probabilities at most {apart:.1g} apart")
    _hold(apart < CLOSE, f"probabilities are the same to {CLOSE:g}")
    _hold(same == len(lines), f"the same output bytes on {same} of {len(lines)}")


COMMANDS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (export, assemble, check, second, snippet, pictures, agree)
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
