"""Weights: taken by topology from a foreign file, which is never run; kept in a format without code."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.errors import InputError
from tests.support.errors import raises_code
from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

h5py = pytest.importorskip("h5py", reason="needs the train extra")
pytestmark = pytest.mark.tensorflow

SPEC = NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4, 6), kernel=2)
MOBILENET = NetworkSpec(alpha=0.35, size=96, classes=3)


def made(spec: NetworkSpec = SPEC, *, weights: Path | Weights = Weights.NONE, seed: int = 0) -> Any:
    from trainer.model.network import build_network

    return build_network(spec, weights=weights, seed=seed)


@pytest.fixture(scope="module")
def model() -> Any:
    return made(seed=1)


@pytest.fixture
def file(model: Any, tmp_path: Path) -> Path:
    """The weights of a backbone with a classifier above it, as Keras saves them."""
    path = tmp_path / "weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tf_keras

    path = tmp_path_factory.mktemp("keras") / "mobilenet.h5"
    shape = (MOBILENET.size, MOBILENET.size, 3)
    keras = tf_keras.applications.MobileNetV2(
        alpha=MOBILENET.alpha, include_top=False, weights=None, input_shape=shape
    )
    keras.save_weights(path)
    return path


def conv_of(model: Any) -> NDArray[np.float32]:
    return np.asarray(model.get_layer("block_1_conv").get_weights()[0])


def check_refused(path: Path, code: str, *values: object, spec: NetworkSpec = SPEC) -> InputError:
    with raises_code(code, *values) as raised:
        made(spec, weights=path)
    assert isinstance(raised.value, InputError)
    return raised.value


# Files of Keras


def test_the_backbone_is_filled_and_the_head_stays_new(model: Any, file: Path) -> None:
    filled = made(weights=file, seed=2)
    assert np.array_equal(conv_of(filled), conv_of(model))
    untouched = made(seed=2).get_layer("predictions").get_weights()[0]
    assert np.array_equal(filled.get_layer("predictions").get_weights()[0], untouched)


def test_keras_saves_a_backbone_that_fills_ours(mobilenet_file: Path) -> None:
    model = made(MOBILENET, weights=mobilenet_file)
    with h5py.File(mobilenet_file) as saved:
        kernel = saved["Conv_1/Conv_1/kernel:0"][()]
    assert np.array_equal(model.get_layer("Conv_1").get_weights()[0], kernel)


def test_the_weights_of_a_whole_model_are_taken_and_its_description_is_not(
    model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "whole.h5"
    model.save(path)
    with h5py.File(path, "a") as saved:
        saved.attrs["model_config"] = "no description at all"
    assert np.array_equal(conv_of(made(weights=path)), conv_of(model))


def test_a_hostile_model_with_a_lambda_is_refused_without_being_run(tmp_path: Path) -> None:
    import tf_keras

    marker, path = tmp_path / "marker", tmp_path / "hostile.h5"
    where = str(marker)
    pixels = tf_keras.Input((32, 32, 3))
    writes = tf_keras.layers.Lambda(lambda x: (__import__("pathlib").Path(where).touch(), x)[1])
    tf_keras.Model(pixels, tf_keras.layers.Conv2D(5, 3)(writes(pixels))).save(path)
    marker.unlink()  # building the model ran it
    check_refused(
        path, "weights-mismatch", path, "conv2d", "kernel 3×3×3×5", "block_1_conv", "kernel 2×2×3×4"
    )
    assert not marker.exists()


def test_another_width_is_refused_by_its_first_layer_that_does_not_fit(mobilenet_file: Path) -> None:
    wider = NetworkSpec(alpha=0.5, size=96, classes=3)
    values = ("layer block_1_project", "kernel 1×1×48×8", "kernel 1×1×48×16")
    error = check_refused(mobilenet_file, "weights-mismatch", *values, spec=wider)
    assert "expanded_conv_project" not in str(error)  # both widths have this one


def test_a_file_that_ends_early_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as saved:
        names = [name for name in saved.attrs["layer_names"] if "bn" not in str(name)][:2]
        saved.attrs["layer_names"] = [*names, "block_1_bn"]
    check_refused(file, "weights-mismatch", file, "block_2_conv")


def test_a_file_with_more_layers_is_refused(file: Path) -> None:
    shallow = NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4,), kernel=2)
    check_refused(file, "weights-mismatch", file, "block_2_conv", spec=shallow)


def test_nothing_is_set_when_the_last_layer_does_not_fit(file: Path) -> None:
    from trainer.model.weights import load_backbone, named_weights

    model = made(NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4, 7), kernel=2))
    before = named_weights(model)
    with raises_code("weights-mismatch"):
        load_backbone(model, file)
    after = named_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


KERNEL = "block_1_conv/kernel:0"  # as Keras lists it in weight_names


def _replace(group: Any, item: object) -> None:
    del group["kernel:0"]
    group["kernel:0"] = item


def _external_storage(group: Any) -> None:
    del group["kernel:0"]
    group.create_dataset("kernel:0", (2, 2, 3, 4), "f4", external=[("/etc/hostname", 0, 192)])


def _virtual(group: Any) -> None:
    del group["kernel:0"]
    layout = h5py.VirtualLayout((2, 2, 3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "kernel:0", (2, 2, 3, 4))
    group.create_virtual_dataset("kernel:0", layout)


def _huge(group: Any) -> None:
    del group["kernel:0"]
    group.create_dataset("kernel:0", (1 << 20, 1 << 10), "f4", compression="gzip", chunks=(1 << 10, 1 << 10))


def _nan(group: Any) -> None:
    group["kernel:0"][0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "code", "value"),
    [
        (lambda group: _replace(group, h5py.ExternalLink("/etc/hostname", "/x")), "hostile-file", KERNEL),
        (lambda group: _replace(group, h5py.SoftLink("/block_1_bn")), "hostile-file", KERNEL),
        (lambda group: _replace(group, "a text"), "invalid-weights", KERNEL),
        (lambda group: _replace(group, np.arange(4)), "weights-mismatch", "kernel 4"),
        (lambda group: group.__delitem__("kernel:0"), "invalid-weights", KERNEL),
        (_external_storage, "hostile-file", KERNEL),
        (_virtual, "hostile-file", KERNEL),
        (_huge, "file-too-large", "512 MiB"),
        (_nan, "invalid-weights", KERNEL),
    ],
)
def test_a_spoiled_array_is_refused(file: Path, spoil: Callable[[Any], None], code: str, value: str) -> None:
    with h5py.File(file, "a") as saved:
        spoil(saved["block_1_conv/block_1_conv"])
    check_refused(file, code, file, value)


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (np.zeros((2, 2)), "layer_names"),
        (np.zeros(3), "layer_names"),
        (["x" * 300], "layer_names"),
        (["nowhere"], "nowhere"),
    ],
)
def test_a_spoiled_list_of_layers_is_refused(file: Path, names: object, value: str) -> None:
    with h5py.File(file, "a") as saved:
        saved.attrs["layer_names"] = names
    check_refused(file, "invalid-weights", file, value)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    check_refused(path, "invalid-weights", path, "HDF5")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    check_refused(tmp_path / "weights.h5", "file-not-found", tmp_path / "weights.h5")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    check_refused(tmp_path, "file-not-found", tmp_path / "weights.npz")


def test_a_cut_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])
    check_refused(file, "invalid-weights", file, "HDF5")


def test_the_newer_layout_of_keras_is_refused(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "newer.weights.h5"
    model.save_weights(path)
    check_refused(path, "invalid-weights", path, "save_weights")


@pytest.mark.slow
def test_efficientnet_leaves_the_normalization_to_the_input_map(tmp_path: Path) -> None:
    import tf_keras

    path, size = tmp_path / "efficientnet.h5", 96
    keras = tf_keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    keras.layers[2].set_weights([mean, deviation, 0])  # as in Keras's own file
    keras.save_weights(path)
    model = made(NetworkSpec(arch=Arch.EFFICIENTNET_B0, size=size, classes=3), weights=path)
    stem = keras.get_layer("stem_conv").get_weights()[0]
    assert np.array_equal(model.get_layer("stem_conv").get_weights()[0], stem)
    keras.layers[2].set_weights([mean * 0, deviation * 0 + 1, 0])
    keras.save_weights(path)
    spec = NetworkSpec(arch=Arch.EFFICIENTNET_B0, size=size, classes=3)
    check_refused(path, "weights-mismatch", path, "layer normalization", "ImageNet", spec=spec)


def test_a_badly_spoiled_file_is_refused_or_read_but_brings_nothing_down(file: Path) -> None:
    from trainer.model.keras_file import read_layers

    whole, chance = file.read_bytes(), np.random.default_rng(0)
    for _ in range(3):
        data = bytearray(whole)
        for at in chance.integers(100, 8000, 40):
            data[at] = chance.integers(256)
        file.write_bytes(data)
        with contextlib.suppress(InputError):
            read_layers(file)


# ImageNet


def test_a_download_that_fails_hints_at_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import tf_keras

    def fails(**_: object) -> None:
        raise Exception("URL fetch failure: None")

    monkeypatch.setattr(tf_keras.applications, "MobileNetV2", fails)
    spec = NetworkSpec(alpha=0.35, size=96, classes=3)
    with raises_code(
        "download-failed", "URL fetch failure: None", "--weights FILE", "bundled", "efficientnet_lite0"
    ) as raised:
        load_imagenet_of(spec)
    assert isinstance(raised.value, InputError)


def load_imagenet_of(spec: NetworkSpec) -> None:
    import tf_keras

    from trainer.model.weights import load_imagenet

    load_imagenet(tf_keras.Sequential(), spec)


def test_the_bundled_weights_are_small_and_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from trainer.model import weights

    data = weights.BUNDLED_FILE.read_bytes()
    assert len(data) < 2_000_000
    assert weights.BUNDLED_SHA256 in weights.BUNDLED_FILE.with_suffix(".NOTICE.md").read_text()
    model = made(MOBILENET, weights=Weights.BUNDLED)
    (kernel,) = model.get_layer("Conv1").get_weights()
    assert np.array_equal(kernel, read_npz(weights.BUNDLED_FILE)["Conv1/kernel"])
    # A damaged file is refused.
    monkeypatch.setattr(weights, "BUNDLED_FILE", tmp_path / "damaged.npz")
    weights.BUNDLED_FILE.write_bytes(data[:-1])
    with raises_code("weights-mismatch", weights.BUNDLED_FILE):
        made(MOBILENET, weights=Weights.BUNDLED)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.real_data
def test_the_bundled_weights_are_exactly_the_published_ones(backbone_035: Path) -> None:
    from trainer.model.weights import named_weights

    published = named_weights(made(MOBILENET, weights=backbone_035))
    bundled = named_weights(made(MOBILENET, weights=Weights.BUNDLED))
    assert all(np.array_equal(published[name], bundled[name]) for name in published)


@pytest.mark.real_data
@pytest.mark.parametrize(("alpha", "fixture"), [(0.35, "backbone_035"), (1.0, "backbone_100")])
def test_imagenet_weights_give_what_keras_gives(
    request: pytest.FixtureRequest, alpha: float, fixture: str
) -> None:
    import tf_keras

    from trainer.model.freezing import POOL, split_model

    path: Path = request.getfixturevalue(fixture)
    model = made(NetworkSpec(alpha=alpha, size=96, classes=3), weights=path)
    keras = tf_keras.applications.MobileNetV2(
        alpha=alpha, include_top=False, weights=str(path), input_shape=(96, 96, 3), pooling="avg"
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    expected = keras(pixels, training=False).numpy()
    np.testing.assert_allclose(
        split_model(model, POOL)[0](pixels, training=False).numpy(), expected, atol=1e-6
    )


@pytest.mark.real_data
@pytest.mark.parametrize(("size", "published"), [(96, 96), (97, 224), (160, 160), (300, 224)])
def test_a_size_that_nobody_published_weights_for_takes_those_of_the_largest(
    size: int, published: int
) -> None:
    from trainer.model.weights import _as_published

    assert _as_published(NetworkSpec(size=size, classes=3)).size == published
    other = NetworkSpec(arch=Arch.RESNET50, size=size, classes=3)
    assert _as_published(other) == other


def test_imagenet_weights_of_another_width_are_refused(backbone_035: Path) -> None:
    spec = NetworkSpec(alpha=1.0, size=96, classes=3)
    values = ("layer Conv1", "kernel 3×3×3×16", "kernel 3×3×3×32")
    check_refused(backbone_035, "weights-mismatch", *values, spec=spec)


# Our own files


def test_weights_come_back_as_they_were(model: Any, tmp_path: Path) -> None:
    from trainer.model.weights import load_weights, named_weights, save_weights

    save_weights(model, tmp_path / "weights.npz")
    other = made(seed=9)
    load_weights(other, tmp_path / "weights.npz")
    expected, found = named_weights(model), named_weights(other)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_the_same_weights_are_the_same_bytes(model: Any, tmp_path: Path) -> None:
    from trainer.model.weights import save_weights

    for name in ("a.npz", "b.npz"):
        save_weights(model, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_freezing_does_not_change_the_bytes(tmp_path: Path) -> None:
    from trainer.model.freezing import freeze_below
    from trainer.model.weights import save_weights

    model = made()
    save_weights(model, tmp_path / "a.npz")
    freeze_below(model, 0)
    save_weights(model, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_quantized_network_is_kept_too(model: Any, tmp_path: Path) -> None:
    import tensorflow_model_optimization as tfmot

    from trainer.model.weights import load_weights, save_weights

    quantized = tfmot.quantization.keras.quantize_model(model)
    save_weights(quantized, tmp_path / "weights.npz")
    load_weights(quantized, tmp_path / "weights.npz")


def test_numpy_reads_the_file_too(model: Any, tmp_path: Path) -> None:
    from trainer.model.weights import save_weights

    save_weights(model, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["block_1_conv/kernel"], conv_of(model))


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({"predictions/bias": None}, ("predictions/bias",)),
        ({"predictions/bias": np.zeros(4, np.float32)}, ("predictions/bias", "4", "3")),
        ({"predictions/bias": np.zeros(3, np.float64)}, ("predictions/bias", "float64", "float32")),
        ({"predictions/bias": np.full(3, np.nan, np.float32)}, ("predictions/bias", "NaN")),
        ({"other/bias": np.zeros(3, np.float32)}, ("other/bias",)),
    ],
)
def test_weights_of_another_network_are_refused(
    model: Any, tmp_path: Path, change: dict[str, NDArray[Any] | None], values: tuple[str, ...]
) -> None:
    from trainer.data.array_file import write_arrays
    from trainer.model.weights import load_weights, named_weights

    arrays = {name: value for name, value in {**named_weights(model), **change}.items() if value is not None}
    write_arrays(tmp_path / "weights.npz", arrays)
    with raises_code("weights-mismatch", *values) as raised:
        load_weights(made(), tmp_path / "weights.npz")
    assert isinstance(raised.value, InputError)


# Arrays


@pytest.mark.parametrize(
    "array", [np.float32(2.5), np.arange(6).reshape(2, 3), np.zeros((0, 4)), np.asfortranarray(np.eye(3))]
)
def test_an_array_of_any_shape_comes_back(tmp_path: Path, array: Any) -> None:
    from trainer.data.array_file import read_arrays, write_arrays

    write_arrays(tmp_path / "x.npz", {"x": np.asarray(array)})
    found = read_arrays(tmp_path / "x.npz")["x"]
    assert found.dtype == np.asarray(array).dtype
    assert found.shape == np.asarray(array).shape
    assert np.array_equal(found, array)


def _bad_archives(folder: Path) -> Iterator[Path]:
    np.savez(folder / "pickle.npz", x=np.array([{}], dtype=object))
    np.savez_compressed(folder / "compressed.npz", x=np.zeros(1000))
    header = (
        b"\x93NUMPY\x01\x00\x76\x00"
        + f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 40},), }}".ljust(117).encode()
        + b"\n"
    )
    with zipfile.ZipFile(folder / "claims.npz", "w") as archive:
        archive.writestr("x.npy", header + bytes(8))
    with zipfile.ZipFile(folder / "other.npz", "w") as archive:
        archive.writestr("x.txt", "text")
    (folder / "empty.npz").write_bytes(b"")
    np.savez(folder / "cut.npz", x=np.zeros(1000))
    (folder / "cut.npz").write_bytes((folder / "cut.npz").read_bytes()[:2000])
    np.savez(folder / "flipped.npz", x=np.zeros(1000))
    data = bytearray((folder / "flipped.npz").read_bytes())
    data[3000] ^= 1
    (folder / "flipped.npz").write_bytes(data)
    yield from sorted(folder.glob("*.npz"))
    yield folder / "missing.npz"


def test_a_spoiled_or_hostile_file_of_arrays_is_refused(tmp_path: Path) -> None:
    from trainer.data.array_file import read_arrays

    for path in _bad_archives(tmp_path):
        code = "file-not-found" if path.name == "missing.npz" else "invalid-format"
        with raises_code(code, path) as raised:
            read_arrays(path)
        assert isinstance(raised.value, InputError)
