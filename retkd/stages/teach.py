"""Train a teacher: a cross-encoder on labels and mined negatives, from any encoder checkpoint."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.optimisation import Optimisation
from retkd.parts import AnyModel, Candidates
from retkd.selection import AnySampler
from retkd.selection.samplers import Random
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.trace import dev_values, losses

NAME = "teach"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("cross_encoder",)


class Config(Optimisation, StageConfig):
    """The checkpoint to begin with, the lists, and how it is trained."""

    kind: Literal["teach"] = "teach"
    candidates: Candidates
    base: AnyModel
    sampler: AnySampler = Random(num_negatives=7)
    batch_queries: int = Field(default=8, ge=1)
    max_length: int = Field(default=256, ge=8, description="tokens of query, document and special tokens together")
    query_max_length: int = Field(default=64, ge=2)
    head: Literal["classifier", "segments"] = Field(
        default="classifier",
        description="classifier: a new one-label head. segments: compares the two texts' mean vectors, so that a "
        "sentence encoder begins as a judge and not at random (retkd/segment_head.py)",
    )
    head_learning_rate: float | None = Field(
        default=None, gt=0.0, description="of the new head; default: learning_rate"
    )
    frozen_layers: int | None = Field(
        default=None, ge=0, description="lowest layers that stay as they are, with the word embeddings; null: none"
    )
    dev_queries: int = Field(default=100, ge=1)
    primary: str = "nDCG@10"


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a sequence-classification folder with one label) and ``trace.jsonl``."""
    import torch

    from retkd import candidates as table
    from retkd.batching import settle
    from retkd.examples import CandidateLists
    from retkd.resources import device
    from retkd.selection.rules import select
    from retkd.teachers.training import CrossEncoderModel, PairCollator, new_cross_encoder, optimizer
    from retkd.trainer import train, write_trace

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    scorer = new_cross_encoder(inputs.models[config.base].path, where, config)
    artifact = inputs.artifacts[config.candidates]
    mined = table.read(artifact / "train")
    chosen = select(
        mined,
        inputs.collection,
        "train",
        filters=[],
        sampler=config.sampler,
        teacher=None,
        unlabelled="drop",
        seed=inputs.seed,
    )
    examples = CandidateLists(chosen.rows, inputs.collection, "train", [])
    model = CrossEncoderModel(scorer.model)
    trace = train(
        model,
        examples,
        PairCollator(scorer),
        config,
        batch_queries=config.batch_queries,
        seed=inputs.seed,
        work=out / "work",
        device=where,
        label=f"teach {config.steps} steps",
        dev=_dev_measures(config, inputs, scorer, artifact),
        primary=config.primary,
        optimizer=optimizer(model, config),
    )
    scorer.model.eval()
    scorer.model.save_pretrained(str(out / "model"))
    settle(scorer.tokenizer, scorer.max_length)
    scorer.tokenizer.save_pretrained(str(out / "model"))
    with atomic(out / "trace.jsonl") as temporary:
        write_trace(trace, temporary)
    looks = dev_values(trace, config.primary)
    return Metrics(
        mined.num_rows,
        chosen.rows.num_rows,
        chosen.dropped,
        values={"queries": len(examples), **losses(trace), **looks},
    )


def _dev_measures(config: Config, inputs: Inputs, scorer: Any, artifact: Path) -> Any:
    from retkd import candidates as table
    from retkd.evaluation.dev_reranking import Reranking

    if config.evaluate_every is None or "dev" not in table.splits(artifact):
        return None
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    budget = inputs.runtime.tokens_per_batch

    def measures() -> dict[str, float]:
        scores = scorer.score(lists.pairs(), budget)
        return {config.primary: lists.mean(config.primary, scores)}

    return measures
