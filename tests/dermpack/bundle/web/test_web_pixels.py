"""The JavaScript of a web bundle prepares, measures, feeds and decides as Python does, in Node."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermpack.bundle.golden_vectors import generate_golden_pictures
from dermpack.contract import (
    CategoricalColumn,
    Contract,
    MetadataInput,
    NumericColumn,
    QualityGates,
    TensorType,
    format_contract,
)
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.imaging.quality import measure_quality
from dermpack.inference.metadata_rows import encode_values
from dermpack.inference.picture_feed import build_feed, declared_tensor, quantize
from dermpack.metrics.calibration import apply_temperature
from tests.support.contracts import contract_for, with_picture, with_probabilities
from tests.support.web_sites import needs_node, run_node

pytestmark = needs_node

SIZE = 32
PREPARE = """
const { decode } = await import('./js/decoding.js');
const { orientationOf } = await import('./js/exif.js');
const { prepare } = await import('./js/preparing.js');
const browser = { reduction: 'blocks', isCanvasFalsified: false };
const answers = {};
for (const [name, size, policy] of input) {
  try {
    const file = read(name);
    const pixels = prepare(await decode(file, size, browser), orientationOf(file), size, policy);
    answers[`${name} ${size} ${policy}`] = Buffer.from(pixels).toString('base64');
  } catch (error) { answers[`${name} ${size} ${policy}`] = error.code ?? String(error); }
}
print(answers);
"""


def png(pixels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def pngs() -> dict[str, bytes]:
    """PNG files of every kind that our own decoder reads, and of odd sizes."""
    noise = np.random.default_rng(0)
    colour = noise.integers(0, 256, (67, 41, 4), dtype=np.uint8)
    palette = Image.fromarray(colour[..., :3]).quantize(200)
    palette_bytes, clear_bytes, grey_bytes = io.BytesIO(), io.BytesIO(), io.BytesIO()
    palette.save(palette_bytes, "PNG", bits=8)
    palette.save(clear_bytes, "PNG", bits=8, transparency=bytes(range(200)))
    Image.fromarray(colour[..., :2], "LA").save(grey_bytes, "PNG")
    turned = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned[f"turned-{orientation}.png"] = png(colour[..., :3], exif=exif)
    return {
        "rgb.png": png(colour[..., :3]),
        "rgba.png": png(colour),
        "grey.png": png(colour[..., 0]),
        "palette.png": palette_bytes.getvalue(),
        "clear-palette.png": clear_bytes.getvalue(),
        "grey-alpha.png": grey_bytes.getvalue(),
        "clear-colour.png": png(colour[:, :, :3] // 64 * 64, transparency=(64, 128, 0)),
        "line.png": png(colour[:1, :, :3]),
        "dot.png": png(colour[:1, :1, :3]),
        **turned,
        **{picture.name: picture.data for picture in generate_golden_pictures(SIZE) if picture.is_exact},
    }


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_every_png_is_prepared_to_the_bytes_of_python(tmp_path: Path) -> None:
    files = pngs()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    cases = [(name, size, policy) for name in files for size in (SIZE, 47) for policy in Policy]
    found = run_node(
        tmp_path,
        PREPARE.replace("read(name)", f"read('{tmp_path}/' + name)"),
        [(name, size, policy.value) for name, size, policy in cases],
    )
    for name, size, policy in cases:
        expected = prepare(files[name], size, policy=policy).tobytes()
        assert found[f"{name} {size} {policy.value}"] == base64.b64encode(expected).decode(), (name, size)


def test_what_is_no_picture_is_refused_with_its_code(tmp_path: Path) -> None:
    whole = png(np.zeros((9, 9, 3), np.uint8))
    large = whole[:16] + (1 << 16).to_bytes(4, "big") + whole[20:]
    # Inflates to more than the size of the picture.
    start = whole.index(b"IDAT")
    bomb = zlib.compress(bytes(1 << 20))
    bombed = whole[: start - 4] + len(bomb).to_bytes(4, "big") + b"IDAT" + bomb + bytes(4) + whole[-12:]
    files = {
        "text.png": (b"hello", "not-a-picture"),
        "empty.png": (b"", "not-a-picture"),
        "photo.heic": (b"\0\0\0\x18ftypheic", "picture-unsupported"),
        "old.gif": (b"GIF89a", "picture-unsupported"),
        "scan.tif": (b"II*\0", "picture-unsupported"),
        "large.png": (large, "picture-too-large"),
        "cut.png": (whole[: start + 12], "picture-damaged"),
        "header.png": (whole[:12], "picture-damaged"),
        "bomb.png": (bombed, "picture-damaged"),
        "moving.png": (whole.replace(b"IDAT", b"acTL\0\0\0\0\0\0\0\0IDAT", 1), "picture-unsupported"),
        "no-canvas.jpg": (generate_golden_pictures(SIZE)[5].data, "unsupported-browser"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    program = PREPARE.replace("read(name)", f"read('{tmp_path}/' + name)")
    found = run_node(tmp_path, program, [(name, SIZE, Policy.WHOLE.value) for name in files])
    assert {name: found[f"{name} {SIZE} {Policy.WHOLE.value}"] for name in files} == {
        name: code for name, (_, code) in files.items()
    }


def test_the_orientation_is_read_and_removed_in_every_format(tmp_path: Path) -> None:
    expected = {}
    for form, name in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
        for orientation in (1, 3, 6, 8, 9):
            exif, buffer = Image.Exif(), io.BytesIO()
            exif[0x0112] = orientation
            exif[0x010F] = "a maker"
            Image.new("RGB", (8, 6)).save(buffer, form, exif=exif)
            path = tmp_path / f"{orientation}.{name}"
            path.write_bytes(buffer.getvalue())
            expected[str(path)] = [orientation if orientation < 9 else 1, 1, [8, 6]]
    program = """
const { orientationOf, withoutOrientation } = await import('./js/exif.js');
const { sizeOf } = await import('./js/formats.js');
print(Object.fromEntries(input.map((path) => {
  const plain = withoutOrientation(read(path));
  return [path, [orientationOf(read(path)), orientationOf(plain), sizeOf(plain)]];
})));
"""
    assert run_node(tmp_path, program, list(expected)) == expected
    for path in tmp_path.glob("6.*"):  # what was removed is only the orientation
        with Image.open(path) as opened:
            opened.load()


COLUMNS = (
    NumericColumn(name="age", mean=51.863, std=16.9127, minimum=0.0, maximum=85.0),
    CategoricalColumn(name="sex", categories=("female", "male")),
    CategoricalColumn(name="site", categories=("Fuß", "back", "lower extremity")),
)
ROWS: tuple[dict[str, str], ...] = (
    {},
    {"age": "33.3", "sex": "male"},
    {"age": "8.5e1", "sex": "female", "site": "lower extremity"},
    {"age": " 0 ", "site": "Fuß", "sex": ""},
)
REFUSED = (
    {"age": "86"},
    {"age": "NaN"},
    {"age": "0x10"},
    {"sex": "diverse"},
    {"skin": "I"},
    {"site": "Back"},
)
FEED = """
const { parseContract } = await import('./js/contract.js');
const { feedMetadata, feedPicture } = await import('./js/tensors.js');
const hex = (numbers) => Buffer.from(numbers.buffer).toString('hex');
print(input.map(({ contract, pixels, rows }) => {
  const parsed = parseContract(JSON.parse(contract));
  const fed = rows.map((row) => {
    try { return hex(feedMetadata(parsed, row)); } catch (error) { return error.code; }
  });
  return [hex(feedPicture(parsed, Uint8Array.from(pixels))), ...fed];
}));
"""


def with_metadata(contract: Contract, dtype: TensorType) -> Contract:
    is_float = dtype is TensorType.FLOAT32
    metadata = MetadataInput(
        shape=(1, 9),
        dtype=dtype,
        scale=None if is_float else 0.0204,
        zero_point=None if is_float else 146,
        columns=COLUMNS,
    )
    return replace(contract, signature="serving_default", inputs={**contract.inputs, "metadata": metadata})


def test_inputs_have_the_same_bytes_as_in_python(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    floats = {"dtype": TensorType.FLOAT32, "scale": None, "zero_point": None, "size_bytes": 12 * SIZE**2}
    ranges = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    contracts = [
        contract_for(),  # the pixels themselves
        with_picture(contract_for(), scale=0.02, zero_point=118, **ranges),
        with_picture(contract_for(), **floats, **ranges),
    ]
    dtypes = (TensorType.UINT8, TensorType.FLOAT32, TensorType.FLOAT32)
    contracts = [with_metadata(contract, dtype) for contract, dtype in zip(contracts, dtypes, strict=True)]
    cases = [
        {"contract": format_contract(contract), "pixels": pixels.ravel().tolist(), "rows": [*ROWS, *REFUSED]}
        for contract in contracts
    ]
    found = run_node(tmp_path, FEED, cases)
    for contract, (fed, *rows) in zip(contracts, found, strict=True):
        feed = build_feed(declared_tensor(contract.picture), contract.picture)
        assert fed == feed(pixels).tobytes().hex()
        tensor = declared_tensor(contract.inputs["metadata"])
        encoded = [quantize(encode_values(COLUMNS, row, where="row"), tensor).tobytes().hex() for row in ROWS]
        assert rows == [*encoded, *["invalid-metadata"] * len(REFUSED)]


DECIDE = """
const { parseContract } = await import('./js/contract.js');
const { decide, measureQuality, probabilitiesOf } = await import('./js/scoring.js');
const contract = parseContract(JSON.parse(input.contract));
print(input.cases.map(({ real, distance, pixels }) => {
  const probabilities = probabilitiesOf(contract, Float64Array.from(real));
  const answer = decide({ ...contract, unlikeAbove: 2 }, probabilities, distance, Uint8Array.from(pixels));
  return { ...answer, probabilities, quality: measureQuality(Uint8Array.from(pixels), contract.size) };
}));
"""


def test_decisions_are_those_of_python(tmp_path: Path) -> None:
    gates = QualityGates(
        least_sharpness=8, least_brightness=70, most_white_percent=25, accepted=0.9, n=10, split="validation"
    )
    contract = replace(contract_for(), quality=gates)
    noise = np.random.default_rng(0).integers(0, 200, (SIZE, SIZE, 3), dtype=np.uint8)
    flat = np.full_like(noise, 128)
    cases = [
        ([0.1, 0.2, 0.7], 1.0, noise, None),
        ([0.4, 0.31, 0.29], 1.0, noise, "not sure"),
        ([0.0, 0.0, 1.0], 2.5, noise, "unlike the pictures this model was trained on"),
        ([0.1, 0.2, 0.7], None, flat, "too blurred"),
        ([0.1, 0.2, 0.7], 9.0, noise // 8, "too dark"),
        ([0.1, 0.2, 0.7], 1.0, flat + 127, "overexposed"),
    ]
    sent = [
        {"real": real, "distance": distance, "pixels": pixels.ravel().tolist()}
        for real, distance, pixels, _ in cases
    ]
    found = run_node(tmp_path, DECIDE, {"contract": format_contract(contract), "cases": sent})
    temperature = contract.probabilities.temperature
    assert temperature is not None
    for (real, distance, pixels, refusal), answer in zip(cases, found, strict=True):
        expected = apply_temperature(np.array([real]), temperature)[0]
        assert answer["probabilities"] == pytest.approx(expected.tolist(), abs=1e-12)
        assert answer["refusal"] == refusal
        assert answer["label"] == (None if refusal else "nv")
        assert answer["unlikeTraining"] == (None if distance is None else distance > 2)
        quality = measure_quality(pixels)
        fault = quality.find_fault(gates)
        assert answer["fault"] == (fault and fault.value)
        assert answer["quality"] == {
            "sharpness": quality.sharpness,
            "brightness": quality.brightness,
            "whitePercent": quality.white_percent,
        }
        (point,) = contract.thresholds
        called = [score["label"] for score in answer["scores"] if score["called"]]
        is_called = expected[contract.labels.index(point.label)] >= point.threshold
        assert called == ([point.label] if is_called else [])
        ranked = [score["probability"] for score in answer["scores"]]
        assert ranked == sorted(ranked, reverse=True)


def test_logits_and_sigmoids_become_probabilities(tmp_path: Path) -> None:
    contract = with_probabilities(
        contract_for(), applied=False, dtype=TensorType.FLOAT32, scale=None, zero_point=None, temperature=None
    )
    case = {"real": [1.0, -2.0, 0.5], "distance": None, "pixels": [0] * 3 * SIZE**2}
    (answer,) = run_node(tmp_path, DECIDE, {"contract": format_contract(contract), "cases": [case]})
    powers = np.exp([1.0, -2.0, 0.5])
    assert answer["probabilities"] == pytest.approx((powers / powers.sum()).tolist(), abs=1e-12)
