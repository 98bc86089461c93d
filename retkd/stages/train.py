"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.objectives import AnyObjective
from retkd.optimisation import Optimisation
from retkd.parts import Candidates
from retkd.query_order import AnyBatches, Shuffled
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import AnyStudent
from retkd.trace import dev_values, losses

NAME = "train"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("encoder",)


class Config(Optimisation, StageConfig):
    """The student, its objective, and how it is trained."""

    kind: Literal["train"] = "train"
    candidates: Candidates
    student: AnyStudent
    objective: list[AnyObjective] = Field(min_length=1)
    batch_queries: int = Field(default=16, ge=1)
    batches: AnyBatches = Shuffled()
    dev_queries: int = Field(default=200, ge=1, description="dev queries whose candidates are re-ranked at each look")
    primary: str = Field(default="nDCG@10", description="the dev measure that `keep` and `patience` go by")


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a sentence-transformers folder), ``trace.jsonl`` and ``student.json``."""
    import torch

    from retkd import candidates as table
    from retkd.collator import Collator
    from retkd.dense_teacher import dense_teachers
    from retkd.distillation import DistilledEncoder
    from retkd.examples import CandidateLists, require_objective, teachers_of
    from retkd.objectives.base import Training
    from retkd.resources import device
    from retkd.trainer import train, write_trace

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    base = inputs.models[config.student.base]
    encoder = config.student.build(base.path, where, inputs.collection)
    artifact = inputs.artifacts[config.candidates]
    rows = table.read(artifact / "train")
    require_objective(config.objective, rows, config.steps)
    examples = CandidateLists(rows, inputs.collection, "train", teachers_of(config.objective))
    whole = dense_teachers(config.objective if config.steps else [], "train", inputs, where, out / "work")
    companion = config.student.companion(encoder) if config.steps else None
    training = Training(encoder.dim, {ref: each.dim for ref, each in whole.items()}, config.steps, inputs.seed)
    trace = train(
        DistilledEncoder(encoder, config.objective, training, companion),
        examples,
        Collator(encoder, whole, frozenset(term.model for term in config.objective if term.reads_vectors)),
        config,
        batch_queries=config.batch_queries,
        seed=inputs.seed,
        work=out / "work",
        device=where,
        label=f"train {config.steps} steps",
        dev=_dev_measures(config, inputs, encoder, artifact),
        primary=config.primary,
        topics=config.batches.topics([q for q, _, _ in examples.groups], config.candidates, inputs.artifacts),
    )
    encoder.model.eval()
    if companion is not None:
        companion.finish(encoder, out)
    save_model(encoder.model, out / "model")
    for name, write in (
        ("trace.jsonl", partial(write_trace, trace)),
        ("student.json", partial(_describe, config, encoder)),
    ):
        with atomic(out / name) as temporary:
            write(temporary)
    return _metrics(config, examples, trace, encoder)


def _dev_measures(config: Config, inputs: Inputs, encoder: Any, artifact: Path) -> Any:
    from retkd import candidates as table
    from retkd.evaluation.dev_reranking import Reranking

    if config.evaluate_every is None or "dev" not in table.splits(artifact):
        return None
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    budget = inputs.runtime.tokens_per_batch

    def measures() -> dict[str, float]:
        documents = encoder.encode(list(lists.documents.values()), "document", budget)
        queries = encoder.encode(list(lists.queries.values()), "query", budget)
        return {config.primary: lists.mean(config.primary, lists.inner_products(queries, documents))}

    return measures


def save_model(model: Any, folder: Path) -> None:
    """Save a sentence-transformers model without its generated model card."""
    from retkd.batching import settle

    settle(model.tokenizer, model.max_seq_length)
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").unlink(missing_ok=True)


def _describe(config: Config, encoder: Any, path: Path) -> None:
    model = encoder.model
    told = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": getattr(model[0].auto_model.config, "num_hidden_layers", None),
        "dim": encoder.dim,
        "max_length": model.max_seq_length,
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


def _metrics(config: Config, examples: Any, trace: list[dict[str, Any]], encoder: Any) -> Metrics:
    values = {
        "queries": len(examples),
        "parameters": sum(p.numel() for p in encoder.model.parameters()),
        **losses(trace),
        **dev_values(trace, config.primary),
    }
    return Metrics(rows_in=len(examples.doc_ids), rows_out=len(examples.doc_ids), values=values)
