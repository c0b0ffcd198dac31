"""Post-training quantization by NNCF, and its outcome as plain tensors. Imports NNCF when it is called.

NNCF works on the OpenVINO graph of the engine. What it finds is read out of its graph, since a server must
parse no graph of unknown origin.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezenet.architecture import convolutions
from squeezenet.artifact import Artifact
from squeezenet.engines.numpy_reference import STEPS
from squeezenet.engines.openvino_engine import build_model
from squeezenet.engines.openvino_runtime import apart, import_openvino, without_module
from squeezenet.errors import ConfigError, EngineError
from squeezenet.quantization import LAST, QuantizedConvolution

METHOD = "NNCF post-training quantization"


def import_nncf() -> Any:
    """The module, imported so that it reports its use to nobody. Raises ConfigError where it is missing."""
    try:
        import_openvino()
        with without_module("openvino_telemetry"):
            import nncf
    except ImportError as error:
        raise ConfigError(
            "quantizing needs NNCF, which is not installed here: pip install 'squeezeserve[quantize]'."
        ) from error
    return nncf


def quantize(artifact: Artifact, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, QuantizedConvolution]:
    """Every convolution in int8, calibrated on RGB squares uint8 [crop, crop, 3].

    Weights keep to 7 bits, so that a CPU without VNNI gives the same answer. Ranges reach to the largest
    value seen, since a value that is cut off costs more than a coarser step.
    """
    nncf = import_nncf()
    # NNCF draws its progress on standard output, which is for answers.
    with redirect_stdout(sys.stderr):
        # It loads and drops cores of its own.
        graph = apart(lambda: _quantized(nncf, artifact, pictures))
    nodes = {node.get_friendly_name(): node for node in graph.get_ops()}
    return {name: _read(nodes[name], name) for name in convolutions(artifact.config.architecture)}


def _quantized(nncf: Any, artifact: Artifact, pictures: Sequence[NDArray[np.uint8]]) -> Any:
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level("ERROR")
    return nncf.quantize(
        build_model(artifact),
        nncf.Dataset(pictures, lambda picture: picture[None].astype(np.float32)),
        subset_size=len(pictures),
        # The mean over a class's map gives the logits, which stay float.
        ignored_scope=nncf.IgnoredScope(types=["ReduceMean"]),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE,
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
    )


def _read(convolution: Any, name: str) -> QuantizedConvolution:
    """Reads constant -> convert -> multiply -> convolution -> add -> ReLU -> rounding."""
    multiply = _is("Multiply", convolution.input_value(1).get_node())
    convert = _is("Convert", multiply.input_value(0).get_node())
    add = _is("Add", _behind(convolution))
    behind = _behind(_is("Relu", _behind(add)))
    outputs = int(convolution.get_output_shape(0)[1])
    return QuantizedConvolution(
        _constant(convert.input_value(0).get_node()).astype(np.int8, casting="safe"),
        np.broadcast_to(_constant(multiply.input_value(1).get_node()).reshape(-1), outputs).astype(
            np.float32
        ),
        _constant(add.input_value(1).get_node()).reshape(outputs).astype(np.float32),
        None if name == LAST else _limit(_is("FakeQuantize", behind)),
    )


def _limit(rounding: Any) -> NDArray[np.float32]:
    low, high, low_out, high_out = (_constant(rounding.input_value(i).get_node()) for i in range(1, 5))
    if low.any() or (low != low_out).any() or (high != high_out).any() or high.size != 1:
        raise _unknown("a range that does not begin at 0")
    if rounding.get_attributes()["levels"] != STEPS + 1:
        raise _unknown(f"not {STEPS + 1} levels")
    return np.asarray(high.reshape(()), np.float32)


def _behind(node: Any) -> Any:
    """The one node that takes a node's output."""
    (target,) = node.output(0).get_target_inputs()
    return target.get_node()


def _is(kind: str, node: Any) -> Any:
    if node.get_type_name() != kind:
        raise _unknown(f"{node.get_type_name()} in the place of {kind}")
    return node


def _constant(node: Any) -> NDArray[Any]:
    values: NDArray[Any] = _is("Constant", node).data
    return values.copy()


def _unknown(what: str) -> EngineError:
    return EngineError(f"this version of NNCF gives a graph that is not understood: {what}.")
