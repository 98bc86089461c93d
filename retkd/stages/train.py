"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.document_languages import DocumentLanguages
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

    LATER: ClassVar[tuple[str, ...]] = ("document_languages",)

    kind: Literal["train"] = "train"
    candidates: Candidates
    student: AnyStudent
    objective: list[AnyObjective] = Field(min_length=1)
    batch_queries: int = Field(default=16, ge=1)
    batches: AnyBatches = Shuffled()
    dev_queries: int = Field(default=200, ge=1, description="dev queries whose candidates are re-ranked at each look")
    primary: str = Field(default="nDCG@10", description="the dev measure that `keep` and `patience` go by")
    document_languages: DocumentLanguages | None = Field(
        default=None,
        description="languages that the documents of the lists are read in; default: the collection's first",
    )

    @model_validator(mode="after")
    def _languages_fit(self) -> "Config":
        told = self.document_languages
        for term in self.objective:
            if term.needs_variants and (told is None or told.mix != "all" or len(told.languages) < 2):
                raise ValueError(
                    f"{term.kind} compares languages: give `document_languages: {{mix: all, languages: [...]}}` with two or more"
                )
            if told is not None and getattr(term, "model", None):
                raise ValueError(
                    f"{term.kind} reads vectors of an encoder, which has read each document in one language: it does not go "
                    "with `document_languages`; take a term that reads a teacher's scores"
                )
        if self.batches.kind == "by_language" and (told is None or told.mix != "lists"):
            raise ValueError("batches by_language need `document_languages: {mix: lists, languages: [...]}`")
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
    from retkd.translated_lists import TranslatedLists

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    base = inputs.models[config.student.base]
    encoder = config.student.build(base.path, where)
    artifact = inputs.artifacts[config.candidates]
    rows = table.read(artifact / "train")
    require_objective(config.objective, rows, config.steps)
    lists = CandidateLists(rows, inputs.collection, "train", teachers_of(config.objective))
    told = config.document_languages
    examples = lists if told is None else TranslatedLists(lists, told, inputs.seed)
    whole = dense_teachers(config.objective if config.steps else [], "train", inputs, where, out / "work")
    training = Training(encoder.dim, {ref: each.dim for ref, each in whole.items()}, config.steps, inputs.seed)
    trace = train(
        DistilledEncoder(encoder, config.objective, training),
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
        topics=config.batches.topics(examples.query_ids, config.candidates, inputs.artifacts, examples.languages),
    )
    encoder.model.eval()
    save_model(encoder.model, out / "model")
    for name, write in (
        ("trace.jsonl", partial(write_trace, trace)),
        ("student.json", partial(_describe, config, encoder)),
    ):
        with atomic(out / name) as temporary:
            write(temporary)
    return _metrics(config, lists, trace, encoder)


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
