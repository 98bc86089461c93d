"""Dynamic 8-bit quantisation of an ONNX graph's weights."""

import logging
from pathlib import Path

from retkd.shards import atomic


def quantise(full: Path, path: Path, *, per_channel: bool, reduce_range: bool) -> None:
    """Write ``path``: the float graph ``full`` with int8 weights; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)
    try:
        with atomic(path) as temporary:
            quantize_dynamic(
                str(full),
                str(temporary),
                per_channel=per_channel,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
    finally:
        logger.setLevel(level)
