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
from trainer.spec import Arch, NetworkSpec, Weights

h5py = pytest.importorskip("h5py", reason="needs the train extra")
pytestmark = pytest.mark.tensorflow

SPEC = NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4, 6), kernel=2)
MOBILENET = NetworkSpec(alpha=0.35, size=96, classes=3)


def made(spec: NetworkSpec = SPEC, *, weights: Path | Weights = Weights.NONE, seed: int = 0) -> Any:
    from trainer.network import build

    return build(spec, weights=weights, seed=seed)


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


def refusal_of(path: Path, spec: NetworkSpec = SPEC) -> str:
    with pytest.raises(InputError) as caught:
        made(spec, weights=path)
    return str(caught.value)


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
    message = refusal_of(path)
    assert "layer conv2d" in message
    assert "kernel 3×3×3×5" in message
    assert "block_1_conv takes kernel 2×2×3×4" in message
    assert not marker.exists()


def test_another_width_is_refused_by_its_first_layer_that_does_not_fit(mobilenet_file: Path) -> None:
    wider = NetworkSpec(alpha=0.5, size=96, classes=3)
    message = refusal_of(mobilenet_file, wider)
    assert "expanded_conv_project holds kernel 1×1×16×8" not in message  # both widths have this one
    assert (
        "layer block_1_project holds kernel 1×1×48×8 where block_1_project takes kernel 1×1×48×16" in message
    )


def test_a_file_that_ends_early_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as saved:
        names = [name for name in saved.attrs["layer_names"] if "bn" not in str(name)][:2]
        saved.attrs["layer_names"] = [*names, "block_1_bn"]
    assert "ends before layer block_2_conv" in refusal_of(file)


def test_a_file_with_more_layers_is_refused(file: Path) -> None:
    shallow = NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4,), kernel=2)
    assert "holds layer block_2_conv, which the network has not" in refusal_of(file, shallow)


def test_nothing_is_set_when_the_last_layer_does_not_fit(file: Path) -> None:
    from trainer.weights import load_backbone, named_weights

    model = made(NetworkSpec(arch=Arch.SCRATCH_CNN, size=32, classes=3, filters=(4, 7), kernel=2))
    before = named_weights(model)
    with pytest.raises(InputError):
        load_backbone(model, file)
    after = named_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


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
    ("spoil", "message"),
    [
        (lambda group: _replace(group, h5py.ExternalLink("/etc/hostname", "/x")), "link to somewhere else"),
        (lambda group: _replace(group, h5py.SoftLink("/block_1_bn")), "link to somewhere else"),
        (lambda group: _replace(group, "a text"), "no array of numbers"),
        (lambda group: _replace(group, np.arange(4)), "holds kernel 4 where"),
        (lambda group: group.__delitem__("kernel:0"), "has no block_1_conv/kernel:0"),
        (_external_storage, "lies outside the file"),
        (_virtual, "lies outside the file"),
        (_huge, "holds more than 1024 MiB of weights"),
        (_nan, "holds a NaN or an infinity"),
    ],
)
def test_a_spoiled_array_is_refused(file: Path, spoil: Callable[[Any], None], message: str) -> None:
    with h5py.File(file, "a") as saved:
        spoil(saved["block_1_conv/block_1_conv"])
    assert message in refusal_of(file)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (np.zeros((2, 2)), "is no list of names"),
        (np.zeros(3), "holds something else than names"),
        (["x" * 300], "holds something else than names"),
        (["nowhere"], "has no nowhere"),
    ],
)
def test_a_spoiled_list_of_layers_is_refused(file: Path, names: object, message: str) -> None:
    with h5py.File(file, "a") as saved:
        saved.attrs["layer_names"] = names
    assert message in refusal_of(file)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert "is no readable HDF5 file" in refusal_of(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal_of(tmp_path / "weights.h5")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    assert "weights.npz: cannot be read (No such file or directory)" in refusal_of(tmp_path)


def test_a_cut_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])
    assert "is no readable HDF5 file" in refusal_of(file)


def test_the_newer_layout_of_keras_is_refused(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "newer.weights.h5"
    model.save_weights(path)
    message = refusal_of(path)
    assert "save_weights" in message


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
    assert "normalizes otherwise than ImageNet" in refusal_of(path, spec)


def test_a_badly_spoiled_file_is_refused_or_read_but_brings_nothing_down(file: Path) -> None:
    from trainer.kerasfile import read_layers

    whole, chance = file.read_bytes(), np.random.default_rng(0)
    for _ in range(3):
        data = bytearray(whole)
        for at in chance.integers(100, 8000, 40):
            data[at] = chance.integers(256)
        file.write_bytes(data)
        with contextlib.suppress(InputError):
            read_layers(file)


# ImageNet


def test_a_download_that_fails_names_the_file_as_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    import tf_keras

    def fails(**_: object) -> None:
        raise Exception("URL fetch failure: None")

    monkeypatch.setattr(tf_keras.applications, "MobileNetV2", fails)
    spec = NetworkSpec(alpha=0.35, size=96, classes=3)
    with pytest.raises(
        InputError, match=r"cannot be downloaded \(URL fetch failure: None\); .*--weights FILE"
    ):
        load_imagenet_of(spec)


def load_imagenet_of(spec: NetworkSpec) -> None:
    import tf_keras

    from trainer.weights import load_imagenet

    load_imagenet(tf_keras.Sequential(), spec)


@pytest.mark.real_data
@pytest.mark.parametrize(("alpha", "fixture"), [(0.35, "backbone_035"), (1.0, "backbone_100")])
def test_imagenet_weights_give_what_keras_gives(
    request: pytest.FixtureRequest, alpha: float, fixture: str
) -> None:
    import tf_keras

    from trainer.cut import features

    path: Path = request.getfixturevalue(fixture)
    model = made(NetworkSpec(alpha=alpha, size=96, classes=3), weights=path)
    keras = tf_keras.applications.MobileNetV2(
        alpha=alpha, include_top=False, weights=str(path), input_shape=(96, 96, 3), pooling="avg"
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    expected = keras(pixels, training=False).numpy()
    np.testing.assert_allclose(features(model)(pixels, training=False).numpy(), expected, atol=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize(("size", "published"), [(96, 96), (97, 224), (160, 160), (300, 224)])
def test_a_size_that_nobody_published_weights_for_takes_those_of_the_largest(
    size: int, published: int
) -> None:
    from trainer.weights import _as_published

    assert _as_published(NetworkSpec(size=size, classes=3)).size == published
    other = NetworkSpec(arch=Arch.RESNET50, size=size, classes=3)
    assert _as_published(other) == other


def test_imagenet_weights_of_another_width_are_refused(backbone_035: Path) -> None:
    message = refusal_of(backbone_035, NetworkSpec(alpha=1.0, size=96, classes=3))
    assert "layer Conv1 holds kernel 3×3×3×16 where Conv1 takes kernel 3×3×3×32" in message


# Our own files


def test_weights_come_back_as_they_were(model: Any, tmp_path: Path) -> None:
    from trainer.weights import load_weights, named_weights, save_weights

    save_weights(model, tmp_path / "weights.npz")
    other = made(seed=9)
    load_weights(other, tmp_path / "weights.npz")
    expected, found = named_weights(model), named_weights(other)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_the_same_weights_are_the_same_bytes(model: Any, tmp_path: Path) -> None:
    from trainer.weights import save_weights

    for name in ("a.npz", "b.npz"):
        save_weights(model, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_freezing_does_not_change_the_bytes(tmp_path: Path) -> None:
    from trainer.cut import freeze_below
    from trainer.weights import save_weights

    model = made()
    save_weights(model, tmp_path / "a.npz")
    freeze_below(model, 0)
    save_weights(model, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_quantized_network_is_kept_too(model: Any, tmp_path: Path) -> None:
    import tensorflow_model_optimization as tfmot

    from trainer.weights import load_weights, save_weights

    quantized = tfmot.quantization.keras.quantize_model(model)
    save_weights(quantized, tmp_path / "weights.npz")
    load_weights(quantized, tmp_path / "weights.npz")


def test_numpy_reads_the_file_too(model: Any, tmp_path: Path) -> None:
    from trainer.weights import save_weights

    save_weights(model, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["block_1_conv/kernel"], conv_of(model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions/bias": None}, "has no predictions/bias"),
        ({"predictions/bias": np.zeros(4, np.float32)}, "predictions/bias is 4, not 3"),
        ({"predictions/bias": np.zeros(3, np.float64)}, "predictions/bias is of float64, not float32"),
        ({"predictions/bias": np.full(3, np.nan, np.float32)}, "holds a NaN"),
        ({"other/bias": np.zeros(3, np.float32)}, "holds other/bias, which the network has not"),
    ],
)
def test_weights_of_another_network_are_refused(
    model: Any, tmp_path: Path, change: dict[str, NDArray[Any] | None], message: str
) -> None:
    from trainer.arrays import write_arrays
    from trainer.weights import load_weights, named_weights

    arrays = {name: value for name, value in {**named_weights(model), **change}.items() if value is not None}
    write_arrays(tmp_path / "weights.npz", arrays)
    with pytest.raises(InputError, match=message):
        load_weights(made(), tmp_path / "weights.npz")


# Arrays


@pytest.mark.parametrize(
    "array", [np.float32(2.5), np.arange(6).reshape(2, 3), np.zeros((0, 4)), np.asfortranarray(np.eye(3))]
)
def test_an_array_of_any_shape_comes_back(tmp_path: Path, array: Any) -> None:
    from trainer.arrays import read_arrays, write_arrays

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
    from trainer.arrays import read_arrays

    for path in _bad_archives(tmp_path):
        with pytest.raises(InputError, match=path.name):
            read_arrays(path)
