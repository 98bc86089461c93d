"""The folder that sentence-transformers loads: as SentenceTransformer, SparseEncoder or MultiVectorEncoder."""

import shutil
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from retkd.exporters.base import Encodes, Exporter
from retkd.parts import RETRIEVERS
from retkd.shards import atomic
from retkd.stage import Inputs, Model

LEFT_OUT = {".git", ".cache", "onnx", "openvino", "README.md", ".gitattributes"}


class SentenceTransformersFolder(Exporter):
    """The model's own files. The model card is written by whoever reports the run."""

    WRITES: ClassVar[tuple[str, ...]] = RETRIEVERS

    kind: Literal["sentence_transformers"] = "sentence_transformers"
    num_compared: int | None = Field(default=64, ge=1, description="few: the files are copies")

    def write(self, model: Model, out: Path, inputs: Inputs) -> Encodes:
        """Copy the files; a bare transformers folder is saved by sentence-transformers, with its default pooling."""
        from retkd.encoders import kind_in, load_encoder

        source, what = model.path, kind_in(model.path)
        if not (source / "modules.json").is_file():
            source = out.parent / "work" / self.kind
            load_encoder(what, model.path).model.save_pretrained(str(source), create_model_card=False)
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = path.relative_to(source)
            if not LEFT_OUT & set(name.parts):
                with atomic(out / name) as temporary:
                    shutil.copyfile(path, temporary)
        return load_encoder(what, out)
