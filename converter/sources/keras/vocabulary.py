"""List the layers and operations that a Keras file may contain; every other one is refused by its name.

What a layer computes is decided by `options`; an option that is not listed must have the value that changes
nothing. The variables of a layer are listed in the order in which Keras stores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODELS = ("Functional", "Model", "Sequential")
INPUT = "InputLayer"
PIXELS = "pixels"  # the name of the input of the flat network
# Layers that change pictures only while a network trains. Without those that also change them afterwards:
# Resizing, CenterCrop, RandomCrop, AutoContrast, Equalization.
TRAINING_ONLY = frozenset(
    {
        *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
        *("RandomBrightness", "RandomHeight", "RandomWidth", "RandomShear", "RandomHue", "RandomSaturation"),
        *("RandomGrayscale", "RandomColorJitter", "RandomColorDegeneration", "RandomPosterization"),
        *("RandomSharpness", "RandomErasing", "RandomGaussianBlur", "RandomInvert", "RandomPerspective"),
        *("RandomElasticTransform", "RandAugment", "AugMix", "CutMix", "MixUp"),
        *("GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout2D", "ActivityRegularization"),
    }
)
# Operations of Keras 3, and functions of TensorFlow in files of Keras 2, by the kind of call that they are.
OPERATIONS: Mapping[str, str] = {
    **dict.fromkeys(("TrueDivide", "Divide", "math.truediv", "math.divide"), "Divide"),
    **dict.fromkeys(("Add", "math.add", "__operators__.add", "nn.bias_add"), "Add"),
    **dict.fromkeys(("Subtract", "math.subtract"), "Subtract"),
    **dict.fromkeys(("Multiply", "math.multiply"), "Multiply"),
    **dict.fromkeys(("GetItem", "__operators__.getitem"), "GetItem"),
    **dict.fromkeys(("Stack", "stack"), "Stack"),
    **dict.fromkeys(("Cast", "cast"), "Cast"),
}
# Activations that are operations of their own.
FUNCTIONS: Mapping[str, str] = {
    **dict.fromkeys(("Relu", "nn.relu"), "relu"),
    **dict.fromkeys(("Relu6", "nn.relu6"), "relu6"),
    **dict.fromkeys(("Sigmoid", "math.sigmoid", "sigmoid"), "sigmoid"),
    **dict.fromkeys(("Softmax", "nn.softmax"), "softmax"),
    **dict.fromkeys(("Silu", "nn.silu", "nn.swish"), "swish"),
    **dict.fromkeys(("Tanh", "math.tanh", "tanh"), "tanh"),
}
# Activations that tf_keras computes as the file declares, by their names in either version of Keras.
ACTIVATIONS: Mapping[str, str] = {
    **{name: name for name in ("linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "gelu")},
    **{name: name for name in ("softplus", "softsign", "exponential", "swish", "relu6", "hard_sigmoid")},
    "silu": "swish",
    "hard_silu": "hard_swish",
    "hard_swish": "hard_swish",
}
# Keys of a configuration that decide nothing about the answers of a trained network.
TRAINING_KEYS = frozenset(
    {
        *("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "build_input_shape", "momentum"),
        *("synchronized", "seed", "noise_shape", "input_dim", "input_length", "autocast", "renorm_momentum"),
    }
)
TRAINING_ENDINGS = ("_initializer", "_regularizer", "_constraint")
# Values of an option that is not listed, with which the layer is the ordinary one.
ORDINARY: tuple[Any, ...] = (None, False, "channels_last", "default", [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRule:
    """The options of a layer with their defaults, and the names of its variables."""

    options: Mapping[str, Any]
    variables: tuple[tuple[str, ...], ...] = ()  # each with the names that versions of Keras give it
    is_public: bool = True  # whether tf_keras has the layer under this name


BIAS = ("bias",)
STRIDED = {
    "strides": (1, 1),
    "padding": "valid",
    "dilation_rate": (1, 1),
    "activation": "linear",
    "use_bias": True,
}
POOLED = {"pool_size": (2, 2), "strides": None, "padding": "valid"}
LAYERS: Mapping[str, LayerRule] = {
    "Conv2D": LayerRule(
        options={"filters": None, "kernel_size": None, "groups": 1, **STRIDED}, variables=(("kernel",), BIAS)
    ),
    "DepthwiseConv2D": LayerRule(
        options={"kernel_size": None, "depth_multiplier": 1, **STRIDED},
        variables=(("depthwise_kernel", "kernel"), BIAS),
    ),
    "SeparableConv2D": LayerRule(
        options={"filters": None, "kernel_size": None, "depth_multiplier": 1, **STRIDED},
        variables=(("depthwise_kernel",), ("pointwise_kernel",), BIAS),
    ),
    "Dense": LayerRule(
        options={"units": None, "activation": "linear", "use_bias": True}, variables=(("kernel",), BIAS)
    ),
    "BatchNormalization": LayerRule(
        options={"axis": -1, "epsilon": 1e-3, "center": True, "scale": True},
        variables=(("gamma",), ("beta",), ("moving_mean",), ("moving_variance",)),
    ),
    "Normalization": LayerRule(
        options={"axis": -1, "mean": None, "variance": None, "invert": False},
        variables=(("mean",), ("variance",), ("count",)),
    ),
    "Rescaling": LayerRule(options={"scale": None, "offset": 0.0}),
    "Activation": LayerRule(options={"activation": None}),
    "ReLU": LayerRule(options={"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
    "LeakyReLU": LayerRule(options={"alpha": None, "negative_slope": None}),
    "ELU": LayerRule(options={"alpha": 1.0}),
    "PReLU": LayerRule(options={"shared_axes": None}, variables=(("alpha",),)),
    "Softmax": LayerRule(options={"axis": -1}),
    "ZeroPadding2D": LayerRule(options={"padding": (1, 1)}),
    "Cropping2D": LayerRule(options={"cropping": ((0, 0), (0, 0))}),
    "UpSampling2D": LayerRule(options={"size": (2, 2), "interpolation": "nearest"}),
    "MaxPooling2D": LayerRule(options=POOLED),
    "AveragePooling2D": LayerRule(options=POOLED),
    "GlobalAveragePooling2D": LayerRule(options={"keepdims": False}),
    "GlobalMaxPooling2D": LayerRule(options={"keepdims": False}),
    "Flatten": LayerRule(options={}),
    "Reshape": LayerRule(options={"target_shape": None}),
    "Dropout": LayerRule(options={"rate": None}),
    **{
        name: LayerRule(options={})
        for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")
    },
    "Concatenate": LayerRule(options={"axis": -1}),
    # These are not layers of tf_keras: only the normalization of the pixels may contain them.
    "Divide": LayerRule(options={}, is_public=False),
    "GetItem": LayerRule(options={}, is_public=False),
    "Stack": LayerRule(options={}, is_public=False),
    "Cast": LayerRule(options={}, is_public=False),
    "Resizing": LayerRule(
        options={
            **{"height": None, "width": None, "interpolation": "bilinear", "crop_to_aspect_ratio": False},
            **{"pad_to_aspect_ratio": False, "antialias": False, "fill_mode": "constant", "fill_value": 0.0},
        },
        is_public=False,
    ),
}
OTHER_NAMES: Mapping[str, str] = {
    **{
        "MaxPool2D": "MaxPooling2D",
        "AvgPool2D": "AveragePooling2D",
        "GlobalAvgPool2D": "GlobalAveragePooling2D",
    },
    **{"GlobalMaxPool2D": "GlobalMaxPooling2D", "Convolution2D": "Conv2D"},
    **{"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"},
    **{"SyncBatchNormalization": "BatchNormalization"},
}


def list_options(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a layer, or raise ValueError for one that is not supported."""
    rule = LAYERS[kind]
    for key, value in config.items():
        is_training = key in TRAINING_KEYS or key.endswith(TRAINING_ENDINGS) or (key, value) == ("groups", 1)
        if key in rule.options or is_training or any(value is other or value == other for other in ORDINARY):
            continue
        raise ValueError(f"its option {key} = {value!r} is not supported")
    return {key: config.get(key, default) for key, default in rule.options.items()}


def list_variables(kind: str, options: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the possible names of each variable that a layer with these options has."""
    left_out = set()
    if kind == "Normalization" and options["mean"] is not None:
        left_out = {"mean", "variance", "count"}
    for option, name in (("use_bias", "bias"), ("scale", "gamma"), ("center", "beta")):
        if kind != "Rescaling" and not options.get(option, True):
            left_out.add(name)
    return [names for names in LAYERS[kind].variables if names[0] not in left_out]
