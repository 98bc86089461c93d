"""What a student is written as: ``kind`` -> exporter."""

from typing import Any

from retkd.exporters.impacts import Impacts
from retkd.exporters.onnx import Onnx, OnnxInt8
from retkd.exporters.sentence_transformers import SentenceTransformersFolder
from retkd.parts import one_of, registry

EXPORTERS = registry("exporters", SentenceTransformersFolder, Onnx, OnnxInt8, Impacts)

AnyExporter: Any = one_of(EXPORTERS)
