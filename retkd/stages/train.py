"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd import processes
from retkd.objectives import Objectives
from retkd.parts import RETRIEVERS, Candidates
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import AnyStudent
from retkd.training.document_languages import DocumentLanguages
from retkd.training.optimisation import Optimisation
from retkd.training.partners import AnyPartner
from retkd.training.query_order import AnyBatches, Shuffled
from retkd.training.student_fit import misfits
from retkd.training.trace import dev_values, losses

NAME = "train"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = (*RETRIEVERS, "partner")
SAMPLED_LISTS = 64
"""Candidate lists whose texts time the exits of a student, and count the terms of a sparse one."""


class Config(Optimisation, StageConfig):
    """The student, its objective, and how it is trained."""

    LATER: ClassVar[tuple[str, ...]] = ("document_languages", "co_train")

    kind: Literal["train"] = "train"
    candidates: Candidates
    student: AnyStudent
    objective: Objectives = Field(description="weighted terms; may be empty where a `co_train` teaches the student")
    batch_queries: int = Field(default=16, ge=1, description="of all processes together, however many there are")
    batches: AnyBatches = Shuffled()
    dev_queries: int = Field(default=200, ge=1, description="dev queries whose candidates are re-ranked at each look")
    primary: str = Field(default="nDCG@10", description="the dev measure that `keep` and `patience` go by")
    document_languages: DocumentLanguages | None = Field(
        default=None,
        description="languages that the documents of the lists are read in; default: the collection's first",
    )
    co_train: AnyPartner | None = Field(
        default=None,
        description="a model that is trained beside the student in the same steps; a stage of kind partner publishes it",
    )

    @property
    def gives(self) -> tuple[str, ...]:
        """An encoder of the student's kind, and its partner where it has one."""
        return (self.student.GIVES, *(("partner",) if self.co_train is not None else ()))

    @property
    def folders(self) -> dict[str, str]:
        """Models beside the one under the stage's own name: ``STAGE:NAME`` -> folder in the artifact."""
        return dict(self.student.folders)

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        for problem in misfits(self):
            raise ValueError(problem)
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a sentence-transformers folder), ``trace.jsonl``, ``student.json``; with `co_train`, ``partner/``."""
    import torch

    from retkd import candidates as table
    from retkd.encoders.vectors import note_document_tower
    from retkd.evaluation.dev_reranking import dev_look
    from retkd.resources import device
    from retkd.training.examples import Repeated
    from retkd.training.student_training import assembled, training_lists
    from retkd.training.trace import write_trace
    from retkd.training.trainer import train

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    artifact = inputs.artifacts[config.candidates]
    lists, examples = training_lists(config, inputs, table.read(artifact / "train"))
    times = config.batches.times(examples.query_ids, config.candidates, inputs.artifacts)
    if config.batches.stops(times):
        config = config.model_copy(update={"steps": 0})
    encoder = config.student.made(inputs.models, where, inputs.collection)
    made = assembled(config, inputs, encoder, out / "work", where, lists.doc_ids)
    budget = inputs.runtime.tokens_per_batch
    trace = train(
        made.model,
        examples if times is None else Repeated(examples, times),
        made.collator,
        config,
        batch_queries=config.batch_queries,
        seed=inputs.seed,
        work=out / "work",
        device=where,
        label=f"train {config.steps} steps",
        dev=dev_look(config, inputs, artifact, lambda lists: lists.measure_of(encoder, config.primary, budget)),
        primary=config.primary,
        optimizer=made.optimizer,
        topics=config.batches.topics(examples.query_ids, config.candidates, inputs.artifacts, examples.languages),
    )
    if not processes.is_first():
        return Metrics()
    encoder.model.eval()
    if made.companion is not None:
        made.companion.finish(encoder, out)
    encoder.save(out / "model")
    if config.student.stored_documents is not None:
        note_document_tower(inputs.models[config.student.stored_documents], out / "model")
    timings = _exits(config, inputs, encoder, examples, out) if config.folders else {}
    if made.partner is not None:
        made.partner.save(out / "partner")
    for name, write in (("trace.jsonl", partial(write_trace, trace)), ("student.json", partial(_describe, encoder))):
        with atomic(out / name) as temporary:
            write(temporary)
    rows = len(lists.doc_ids)
    values = {"queries": len(lists), **_values(config, inputs, encoder, made, examples, trace)}
    return Metrics(rows_in=rows, rows_out=rows, values=values, timings=timings)


def _exits(config: Config, inputs: Inputs, encoder: Any, examples: Any, out: Path) -> dict[str, float]:
    """Publish the model of each exit; how fast each encodes queries and documents."""
    from retkd.encoders.encoder import Encoder
    from retkd.exporters.speed import document_speed, query_speed
    from retkd.students.multi_exit import exit_model

    queries, documents = _sampled(examples)
    told: dict[str, float] = {}
    for exit, (name, folder) in zip(encoder.exits, config.folders.items(), strict=True):
        if folder != "model":
            exit_model(encoder, exit).save(out / folder)
        alone = Encoder.load(out / folder, str(encoder.model.device))
        budget = inputs.runtime.tokens_per_batch
        speed = query_speed(alone, queries, budget) | document_speed(alone, documents, budget)
        told |= {f"{name}.{what}": value for what, value in speed.items()}
    return told


def _sampled(examples: Any) -> tuple[list[str], list[str]]:
    """The first training queries and their candidates, each document once."""
    taken = [examples[position] for position in range(min(len(examples), SAMPLED_LISTS))]
    documents = list(dict.fromkeys(text for example in taken for text in example.documents))
    return [example.query for example in taken], documents


def _describe(encoder: Any, path: Path) -> None:
    told = {
        "parameters": encoder.num_parameters,
        "layers": getattr(encoder.tower("document")[0].config, "num_hidden_layers", None),
        "dim": encoder.dim,
        "max_length": encoder.max_length("document"),
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


def _values(
    config: Config, inputs: Inputs, encoder: Any, made: Any, examples: Any, trace: list[dict[str, Any]]
) -> dict[str, Any]:
    values = {
        "parameters": encoder.num_parameters,
        **losses(trace),
        **dev_values(trace, config.primary),
        **{name: float(value) for name, value in made.student.objective.told().items()},
    }
    if made.partner is not None:
        values["partner"] = {"kind": made.partner.told.kind, "parameters": made.partner.num_parameters}
    if config.student.REPRESENTS == "sparse_encoder":
        values |= _sparsity(encoder, *_sampled(examples), inputs.runtime.tokens_per_batch)
    return values


def _sparsity(encoder: Any, queries: list[str], documents: list[str], tokens_per_batch: int | None) -> dict[str, float]:
    """How many terms the trained student gives to a text."""
    from retkd.encoders.sparse_vectors import num_having, sparsity

    asked = encoder.represented(queries, "query", tokens_per_batch)
    held = encoder.represented(documents, "document", tokens_per_batch)
    return sparsity(asked, num_having(held), held.shape[0])
