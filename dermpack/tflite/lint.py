"""Find what usually goes wrong when a .tflite is put into an app, or differs from its contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermpack.contract import Contract, TensorInterface
from dermpack.errors import InputError, count_noun
from dermpack.tflite.model_file import LOWEST, ModelFile, TensorInfo, takes_raw_bytes

SHOWN = 3  # names in a line
INTEGERS = frozenset(("int8", "uint8", "int16"))
AGAIN = "export it again with dermpack convert"
DISTANCE_TENSORS = "familiarity/"  # the beginning of their names


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One finding: a fixed word for its kind, what was found, and what to do about it."""

    kind: str
    detail: str
    hint: str


def lint_model(model: ModelFile, *, runtimes: Sequence[str]) -> tuple[LintFinding, ...]:
    """Return what an app developer should know before embedding the file; `runtimes` are NAME==VERSION."""
    return (*_lint_ends(model), *_lint_metadata(model), *_lint_operators(model, runtimes))


def is_integer(model: ModelFile) -> bool:
    """Return whether most of the computed tensors are quantized integers."""
    quantized = [tensor for tensor in model.computed if tensor.dtype in INTEGERS and tensor.scales]
    return len(quantized) > sum(tensor.is_float for tensor in model.computed)


def inner_floats(model: ModelFile) -> tuple[TensorInfo, ...]:
    """Return the float tensors that are neither input nor output."""
    ends = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    return tuple(tensor for tensor in model.tensors if tensor.is_float and tensor.name not in ends)


def _lint_ends(model: ModelFile) -> Iterator[LintFinding]:
    """Check inputs and outputs, and that nothing between those of an int8 file is float."""
    has_names = bool(model.signatures)
    if len(model.inputs) != 1 and not has_names:
        detail = f"{count_noun(len(model.inputs), 'input')}: {_names(model.inputs)}"
        yield LintFinding(kind="several inputs", detail=detail, hint="name each input when feeding it")
    if len(model.outputs) != 1 and not has_names:
        detail = f"{count_noun(len(model.outputs), 'output')}: {_names(model.outputs)}"
        yield LintFinding(kind="several outputs", detail=detail, hint="look up which one has the scores")
    for tensor in (*model.inputs, *model.outputs):
        if tensor.is_dynamic:
            hint = "resize the input, or export for one picture"
            yield LintFinding(kind="dynamic shape", detail=f"{tensor.name} has no fixed shape", hint=hint)
    for tensor in model.inputs:
        if tensor.is_picture and tensor.dtype == "int8":
            detail = f"{tensor.name} is int8: a byte above 127 turns negative, and MediaPipe refuses it"
            hint = "subtract 128, or convert with --io uint8"
            yield LintFinding(kind="signed input", detail=detail, hint=hint)
        if tensor.is_picture and tensor.dtype in LOWEST and not takes_raw_bytes(tensor, model.metadata):
            steps = f"scale {list(tensor.scales)}, zero point {list(tensor.zero_points)}"
            detail = f"{tensor.name} has {steps}, by which a pixel is another number"
            hint = "quantize each pixel by this scale and zero point"
            yield LintFinding(kind="not raw bytes", detail=detail, hint=hint)
    # dermpack computes the distance to the training pictures in float in every file.
    inner = tuple(tensor for tensor in inner_floats(model) if not tensor.name.startswith(DISTANCE_TENSORS))
    if inner and is_integer(model):
        detail = f"{len(inner)} of {len(model.tensors)} tensors are float: {_names(inner)}"
        hint = f"{AGAIN} --int8, unless they are float on purpose"
        yield LintFinding(kind="float inside int8", detail=detail, hint=hint)


def _lint_metadata(model: ModelFile) -> Iterator[LintFinding]:
    metadata = model.metadata
    if metadata is None:
        detail = "the file does not define how to feed it, nor the meaning of its outputs"
        yield LintFinding(kind="no metadata", detail=detail, hint=AGAIN)
        return
    outputs = model.outputs[0].shape[-1] if model.outputs and model.outputs[0].shape else 0
    if not metadata.labels:
        yield LintFinding(kind="no labels", detail="the outputs have no names", hint=AGAIN)
    elif len(metadata.labels) != outputs:
        detail = f"{count_noun(len(metadata.labels), 'label')} for {count_noun(outputs, 'output')}"
        yield LintFinding(kind="other labels", detail=detail, hint=AGAIN)
    if any(tensor.is_float and tensor.is_picture for tensor in model.inputs) and not metadata.mean:
        detail = "the input is float, and the file does not define how a pixel is normalised"
        yield LintFinding(kind="no normalisation", detail=detail, hint=AGAIN)


def _lint_operators(model: ModelFile, runtimes: Sequence[str]) -> Iterator[LintFinding]:
    for operator in model.operators:
        if operator.is_flex:
            detail = f"{operator.name} needs the kernels of full TensorFlow"
            yield LintFinding(kind="flex operator", detail=detail, hint="export with builtin operators only")
        elif operator.custom:
            detail = f"{operator.name} is not a builtin operator"
            yield LintFinding(kind="custom operator", detail=detail, hint="link its kernel into the app")
    for runtime in runtimes:
        newest = newest_versions(runtime)
        for operator in model.operators:
            known = newest.get(operator.name, 0)
            if operator.custom or operator.version <= known:
                continue
            support = f"supports it up to version {known}" if known else "does not support it"
            detail = f"{operator.name} has version {operator.version}; {runtime} {support}"
            yield LintFinding(kind="operator too new", detail=detail, hint=f"use a newer runtime, or {AGAIN}")


def _names(tensors: Sequence[TensorInfo]) -> str:
    shown = ", ".join(tensor.name[:60] for tensor in tensors[:SHOWN])
    return f"{shown} and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else shown


def find_mismatches(contract: Contract, model: ModelFile, *, sha256: str) -> tuple[str, ...]:
    """Return what the contract states differently from the file; () if both agree."""
    if contract.sha256 != sha256:
        return ("it describes another file: the sha256 differs",)
    return tuple(_mismatches(contract, model))


def _mismatches(contract: Contract, model: ModelFile) -> Iterator[str]:
    yield from _tensor_mismatches(contract, model)
    if contract.size_bytes != model.size_bytes:
        yield f"size_bytes is {contract.size_bytes}, the file has {model.size_bytes}"
    stated_operators = {(operator.name, operator.version) for operator in contract.operators}
    if stated_operators != {(operator.name, operator.version) for operator in model.operators}:
        yield "its operators differ from those of the file"
    if model.metadata and model.metadata.labels and model.metadata.labels != contract.labels:
        yield "its labels differ from those inside the file"


def _tensor_mismatches(contract: Contract, model: ModelFile) -> Iterator[str]:
    """Compare each input and output."""
    bound = bind_tensors(contract, model)
    for name, stated in {**contract.inputs, **contract.outputs}.items():
        tensor = bound.get(name)
        if tensor is None:
            yield f"the file has no tensor with the name {name}"
            continue
        if tensor.dtype != stated.dtype.value:
            yield f"{name}: {stated.dtype.value}, the file has {tensor.dtype}"
        if tensor.shape != stated.shape:
            yield f"{name}: {list(stated.shape)}, the file has {list(tensor.shape)}"
        expected = ((), ()) if stated.scale is None else ((stated.scale,), (stated.zero_point,))
        if (tensor.scales, tensor.zero_points) != expected:
            steps = f"scale {stated.scale} and zero point {stated.zero_point}"
            yield f"{name}: {steps} differ from those of the file"
    counts = (len(contract.inputs), len(contract.outputs)), (len(model.inputs), len(model.outputs))
    if counts[0] != counts[1]:
        yield f"the file has {counts[1][0]} inputs and {counts[1][1]} outputs"


def bind_tensors(interface: TensorInterface, model: ModelFile) -> dict[str, TensorInfo]:
    """Return the tensors of the file by the names of the contract: by its signature, or the only ones."""
    if interface.signature is not None:
        signatures = [one for one in model.signatures if one.key == interface.signature]
        return {**signatures[0].inputs, **signatures[0].outputs} if signatures else {}
    ends = ((interface.inputs, model.inputs), (interface.outputs, model.outputs))
    return {name: tensors[0] for names, tensors in ends for name in names if len(names) == len(tensors) == 1}


def newest_versions(runtime: str) -> dict[str, int]:
    """Return the newest version of each operator that a runtime like "tflite-runtime==2.14.0" supports.

    An interpreter supports all older versions, too.
    """
    if runtime not in NEWEST:
        hint = f"Choose one of: {', '.join(NEWEST)}."
        raise InputError(runtime, "unknown runtime", hint, code="invalid-option")
    newest, version = {}, 0
    for word in NEWEST[runtime].split():
        # The operators after "3:" are supported up to version 3; a later entry replaces an earlier one.
        if word.endswith(":"):
            version = int(word[:-1])
        else:
            newest[word] = version
    return newest


TFLITE_RUNTIME = """
1: ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL COMPLEX_ABS
   CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS
   FLOOR HARD_SWISH HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG
   L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION MATRIX_DIAG
   MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU
   RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE REAL REDUCE_ALL REDUCE_ANY RELU_0_TO_1
   RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT ROUND SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM
   SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM
   VAR_HANDLE WHILE ZEROS_LIKE
2: DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU LESS_EQUAL
   LOG_SOFTMAX RANGE REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE SQUEEZE SUM
   WHERE
3: ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO
   EMBEDDING_LOOKUP FLOOR_DIV GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NOT_EQUAL QUANTIZE
   REDUCE_MAX REDUCE_MIN RELU RELU6 REVERSE_V2 RNN SOFTMAX SPARSE_TO_DENSE TANH TILE TOPK_V2
   UNIDIRECTIONAL_SEQUENCE_RNN
4: BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM MINIMUM PACK PAD PADV2
   RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT SPACE_TO_BATCH_ND SPLIT SVDF TRANSPOSE_CONV
   UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
5: ABS ADD CAST DEQUANTIZE SUB
6: GATHER SLICE TRANSPOSE
7: CONV_2D DEPTHWISE_CONV_2D MUL
8: STRIDED_SLICE
10: FULLY_CONNECTED
"""
# The newer runtime supports the same operators, and these in addition or up to a newer version.
NEWEST = {
    "tflite-runtime==2.14.0": TFLITE_RUNTIME,
    "ai-edge-litert==2.3.0": f"""{TFLITE_RUNTIME}
1: DILATE REDUCE_WINDOW STABLEHLO_ADD STABLEHLO_AND STABLEHLO_CASE STABLEHLO_COMPOSITE STABLEHLO_GATHER
   STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_PAD STABLEHLO_REDUCE_WINDOW
   STABLEHLO_RNG_BIT_GENERATOR STABLEHLO_SCATTER STABLEHLO_SHIFT_LEFT
2: COS LOG SIN SQRT
3: GELU RSQRT SPLIT_V
4: BROADCAST_TO NOT_EQUAL REVERSE_V2 SOFTMAX
5: EMBEDDING_LOOKUP EQUAL FILL PACK SPLIT TRANSPOSE_CONV
6: ADD DYNAMIC_UPDATE_SLICE GATHER_ND PAD PADV2 QUANTIZE UNPACK
7: CONCATENATION
8: CONV_2D GATHER MUL SLICE
9: CAST DEQUANTIZE TRANSPOSE
14: FULLY_CONNECTED
""",
}
