"""Write the student in the forms that search stacks load, each checked to rank as the evaluated model does.

Writes a folder for each target (``sentence_transformers/``, ``onnx/``, ...), ``parity.json`` and ``speed.json``.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from retkd.exporters import AnyExporter
from retkd.exporters.onnx import Onnx
from retkd.exporters.sentence_transformers import SentenceTransformersFolder
from retkd.parts import ModelInput, Retriever
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, Model, StageConfig

if TYPE_CHECKING:
    from retkd.exporters.parity import Ranking
    from retkd.exporters.sample import Sample

NAME = "export"
VERSION = 2
SEEDED = True
VOLATILE: tuple[str, ...] = ("speed.json",)
OUTPUTS = ("export",)


class Config(StageConfig):
    """Which model, in which forms, compared on what."""

    LATER: ClassVar[tuple[str, ...]] = ("dim",)

    kind: Literal["export"] = "export"
    model: Retriever
    targets: list[AnyExporter] = Field(default=[SentenceTransformersFolder(), Onnx()], min_length=1)
    dim: int | None = Field(
        default=None, ge=1, description="only the first coordinates of each vector, made a unit vector again; null: all"
    )
    split: str | None = Field(default=None, description="whose judged queries are compared; default: dev, else test")
    measures: list[str] = Field(default=["nDCG@10", "R@100"], min_length=1)
    max_queries: int = Field(default=500, ge=1)
    max_documents: int = Field(default=1000, ge=1, description="besides the judged ones, which are all compared")

    @field_validator("targets")
    @classmethod
    def _different(cls, targets: list[Any]) -> list[Any]:
        kinds = [target.kind for target in targets]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(f"the target {twice[0]} stands twice: each kind is one folder")
        written = set.intersection(*(set(target.WRITES) for target in targets))
        if not written:
            told = "; ".join(f"{target.kind} writes {', '.join(target.WRITES)}" for target in targets)
            raise ValueError(f"no one model can be written as all of these targets: {told}")
        return targets

    @property
    def wants(self) -> dict[str, ModelInput]:
        """A model that every target can write."""
        first, *rest = self.targets
        written = tuple(given for given in first.WRITES if all(given in target.WRITES for target in rest))
        fewest = min(self.targets, key=lambda target: len(target.WRITES))
        why = f"the target {fewest.kind} writes no other: choose other `targets`, such as [{{kind: sentence_transformers}}]"
        return {"model": ModelInput(written, why)}


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Write, compare and time every target. Raises :class:`ParityError` when one does not rank as the model does."""
    from retkd.encoders import kind_in, load_encoder
    from retkd.exporters.check import ParityCheck
    from retkd.exporters.speed import query_speed
    from retkd.resources import device

    runtime, model = inputs.runtime, inputs.models[config.model]
    if config.dim is not None:
        model = _cut(model, config.dim, out / "work" / "cut")
    encoder = load_encoder(kind_in(model.path), model.path, device(runtime.device, runtime.threads))
    sample = _sample(config, inputs)
    texts, tokens = list(sample.queries.values()), runtime.tokens_per_batch
    check = ParityCheck(encoder, sample, partial(_means, config.measures), tokens, out / "parity.json")
    speed = {"model": query_speed(encoder, texts, tokens)}
    for target in config.targets:
        served = target.write(model, out / target.kind, inputs)
        check.of(target.kind, target, served)
        speed[target.kind] = query_speed(served, texts, tokens)
    with atomic(out / "speed.json") as temporary:
        told = speed | {"device": str(encoder.model.device), "threads": runtime.threads}
        temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return _metrics(sample, check.found, speed, out)


def _cut(model: Model, dim: int, folder: Path) -> Model:
    """The model with vectors of ``dim`` coordinates, saved in ``folder``: what the exports are compared with."""
    from retkd.encoders.encoder import Encoder as LoadedEncoder
    from retkd.encoders.truncation import cut_model, require_narrower

    encoder = LoadedEncoder.load(model.path)
    require_narrower(dim, encoder.dim, "stage export, dim")
    LoadedEncoder(cut_model(encoder.model, dim)).save(folder)
    return replace(model, path=folder)


def _sample(config: Config, inputs: Inputs) -> "Sample":
    from retkd.exporters.sample import sample

    splits = inputs.collection.splits
    split = config.split or next((name for name in ("dev", "test") if name in splits), splits[0])
    return sample(inputs.collection, split, config.max_queries, config.max_documents, inputs.seed)


def _means(
    measures: list[str], runs: Mapping[str, "Ranking"], qrels: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, float]]:
    """run -> measure -> mean over the judged queries."""
    from retkd.evaluation.measures import measured

    values = measured(runs.items(), qrels, measures)
    return {run: {name: float(values.of(run, name).mean()) for name in values.measures} for run in runs}


def _metrics(sample: "Sample", parity: dict[str, Any], speed: dict[str, dict[str, float]], out: Path) -> Metrics:
    num_texts = len(sample.queries) + len(sample.documents)
    sizes = {kind: sum(p.stat().st_size for p in (out / kind).rglob("*") if p.is_file()) for kind in parity}
    return Metrics(
        rows_in=num_texts,
        rows_out=num_texts,
        values={"parity": parity, "sizes": {f"{kind}_bytes": size for kind, size in sizes.items()}},
        timings={f"{name}_{what}": value for name, told in speed.items() for what, value in told.items()},
    )
