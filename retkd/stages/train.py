"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.encoders import WHAT
from retkd.objectives import AnyObjective
from retkd.optimisation import Optimisation
from retkd.parts import Candidates
from retkd.query_order import AnyBatches, Shuffled
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import STUDENTS, AnyStudent
from retkd.trace import dev_values, losses

NAME = "train"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
SAMPLED_QUERIES = 64
OUTPUTS = ("encoder", "asymmetric_encoder", "sparse_encoder", "late_interaction_encoder")


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

    @property
    def gives(self) -> tuple[str, ...]:
        """An encoder of the student's kind."""
        return (self.student.GIVES,)

    @model_validator(mode="after")
    def _fitting(self) -> "Config":
        given = self.student.REPRESENTS
        for term in self.objective:
            if given not in term.students:
                able = " or ".join(kind for kind, cls in STUDENTS.items() if cls.REPRESENTS in term.students)
                raise ValueError(
                    f"the objective {term.kind} reads {' or '.join(WHAT[each] for each in term.students)}, and a student "
                    f"of kind {self.student.kind} gives {WHAT[given]}: leave it out, or take a student of kind {able}"
                )
        return self


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
    from retkd.vectors import note_document_tower

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    encoder = config.student.made(inputs.models, where)
    stored = config.student.stored_documents
    artifact = inputs.artifacts[config.candidates]
    rows = table.read(artifact / "train")
    require_objective(config.objective, rows, config.steps)
    examples = CandidateLists(rows, inputs.collection, "train", teachers_of(config.objective))
    taught = (config.objective, stored) if config.steps else ([], None)
    whole = dense_teachers(taught[0], "train", inputs, where, out / "work", taught[1])
    training = Training(encoder.dim, {ref: each.dim for ref, each in whole.items()}, config.steps, inputs.seed)
    trace = train(
        DistilledEncoder(encoder, config.objective, training, stored),
        examples,
        Collator(encoder, whole, _with_vectors(config), stored is not None),
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
    save_encoder(encoder, out / "model")
    if stored is not None:
        note_document_tower(inputs.models[stored], out / "model")
    for name, write in (
        ("trace.jsonl", partial(write_trace, trace)),
        ("student.json", partial(_describe, config, encoder)),
    ):
        with atomic(out / name) as temporary:
            write(temporary)
    metrics = _metrics(config, examples, trace, encoder)
    if config.student.REPRESENTS == "sparse_encoder":
        metrics.values |= _sparsity(encoder, examples, inputs.runtime.tokens_per_batch)
    return metrics


def _with_vectors(config: Config) -> frozenset[str]:
    """The encoders whose vectors the batches bring along."""
    read = {term.model for term in config.objective if term.reads_vectors}
    return frozenset(read | ({config.student.stored_documents} - {None}))


def _dev_measures(config: Config, inputs: Inputs, encoder: Any, artifact: Path) -> Any:
    from retkd import candidates as table
    from retkd.evaluation.dev_reranking import Reranking

    if config.evaluate_every is None or "dev" not in table.splits(artifact):
        return None
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    budget = inputs.runtime.tokens_per_batch

    def measures() -> dict[str, float]:
        documents = encoder.represented(list(lists.documents.values()), "document", budget)
        queries = encoder.represented(list(lists.queries.values()), "query", budget)
        scores = encoder.pair_scores(queries, documents, *lists.positions())
        return {config.primary: lists.mean(config.primary, scores)}

    return measures


def save_encoder(encoder: Any, folder: Path) -> None:
    """Save an encoder as sentence-transformers does, without its generated model card."""
    from retkd.batching import settle
    from retkd.encoder import SIDES

    for side in SIDES:
        settle(encoder.tokenizer(side), encoder.max_length(side))
    encoder.model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").unlink(missing_ok=True)


def _describe(config: Config, encoder: Any, path: Path) -> None:
    model = encoder.model
    told = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": getattr(encoder.tower("document")[0].config, "num_hidden_layers", None),
        "dim": encoder.dim,
        "max_length": encoder.max_length("document"),
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


def _sparsity(encoder: Any, examples: Any, tokens_per_batch: int | None) -> dict[str, float]:
    """How many terms the trained student gives to the first training queries and their candidates."""
    from retkd.sparse_vectors import sparsity

    taken = [examples[row] for row in range(min(len(examples), SAMPLED_QUERIES))]
    documents = list(dict.fromkeys(text for example in taken for text in example.documents))
    queries = encoder.represented([example.query for example in taken], "query", tokens_per_batch)
    return sparsity(queries, encoder.represented(documents, "document", tokens_per_batch))


def _metrics(config: Config, examples: Any, trace: list[dict[str, Any]], encoder: Any) -> Metrics:
    values = {
        "queries": len(examples),
        "parameters": sum(p.numel() for p in encoder.model.parameters()),
        **losses(trace),
        **dev_values(trace, config.primary),
    }
    return Metrics(rows_in=len(examples.doc_ids), rows_out=len(examples.doc_ids), values=values)
