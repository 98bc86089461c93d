"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.objectives import AnyObjective
from retkd.optimisation import Optimisation
from retkd.partners import AnyPartner
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
OUTPUTS = ("encoder", "partner")


class Config(Optimisation, StageConfig):
    """The student, its objective, and how it is trained."""

    kind: Literal["train"] = "train"
    candidates: Candidates
    student: AnyStudent
    objective: list[AnyObjective] = Field(
        description="weighted terms; may be empty where a `co_train` teaches the student"
    )
    batch_queries: int = Field(default=16, ge=1)
    batches: AnyBatches = Shuffled()
    dev_queries: int = Field(default=200, ge=1, description="dev queries whose candidates are re-ranked at each look")
    primary: str = Field(default="nDCG@10", description="the dev measure that `keep` and `patience` go by")
    co_train: AnyPartner | None = Field(
        default=None,
        description="a model that is trained beside the student in the same steps; a stage of kind partner publishes it",
    )

    @property
    def gives(self) -> tuple[str, ...]:
        """The student, and its partner where it has one."""
        return ("encoder",) if self.co_train is None else ("encoder", "partner")

    @model_validator(mode="after")
    def _learns(self) -> "Config":
        if not self.objective and not (self.co_train and self.co_train.to_student):
            raise ValueError(
                "the student would learn nothing: give it an `objective`, or `co_train` with `to_student` above 0"
            )
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a sentence-transformers folder), ``trace.jsonl``, ``student.json``; with `co_train`, ``partner/``."""
    import torch

    from retkd import candidates as table
    from retkd.collator import Collator
    from retkd.dense_teacher import dense_teachers
    from retkd.distillation import DistilledEncoder
    from retkd.examples import CandidateLists, Repeated, require_objective, teachers_of
    from retkd.objectives.base import Training
    from retkd.resources import device
    from retkd.trainer import train, write_trace

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    base = inputs.models[config.student.base]
    encoder = config.student.build(base.path, where)
    artifact = inputs.artifacts[config.candidates]
    rows = table.read(artifact / "train")
    objective = [*config.objective, *(config.co_train.objective if config.co_train else [])]
    require_objective(objective, rows, config.steps)
    examples = CandidateLists(rows, inputs.collection, "train", teachers_of(objective))
    whole = dense_teachers(objective if config.steps else [], "train", inputs, where, out / "work")
    training = Training(encoder.dim, {ref: each.dim for ref, each in whole.items()}, config.steps, inputs.seed)
    model: Any = DistilledEncoder(encoder, config.objective, training)
    collator: Any = Collator(encoder, whole, frozenset(term.model for term in config.objective if term.reads_vectors))
    partner, optimizer = _partner(config, inputs, rows, training, whole, where), None
    if partner is not None:
        model, collator, optimizer = partner.beside(model, collator, config)
    query_ids = [q for q, _, _ in examples.groups]
    times = config.batches.times(query_ids, config.candidates, inputs.artifacts)
    trace = train(
        model,
        examples if times is None else Repeated(examples, times),
        collator,
        config.model_copy(update={"steps": 0}) if config.batches.stops(times) else config,
        batch_queries=config.batch_queries,
        seed=inputs.seed,
        work=out / "work",
        device=where,
        label=f"train {config.steps} steps",
        dev=_dev_measures(config, inputs, encoder, artifact),
        primary=config.primary,
        optimizer=optimizer,
        topics=config.batches.topics(query_ids, config.candidates, inputs.artifacts),
    )
    encoder.model.eval()
    save_model(encoder.model, out / "model")
    if partner is not None:
        partner.save(out / "partner", save_model)
    for name, write in (
        ("trace.jsonl", partial(write_trace, trace)),
        ("student.json", partial(_describe, config, encoder)),
    ):
        with atomic(out / name) as temporary:
            write(temporary)
    metrics = _metrics(config, examples, trace, encoder)
    if partner is not None:
        metrics.values["partner"] = {"kind": partner.told.kind, "parameters": partner.num_parameters}
    return metrics


def _partner(config: Config, inputs: Inputs, rows: Any, training: Any, teachers: dict[str, Any], where: str) -> Any:
    """What is trained beside the student, loaded; None without `co_train`."""
    from retkd.examples import require_lists

    if config.co_train is None:
        return None
    from retkd.co_training import load_partner

    if config.steps:
        require_lists(rows, "`co_train`")
    return load_partner(config.co_train, inputs.models, where, training, teachers)


def _dev_measures(config: Config, inputs: Inputs, encoder: Any, artifact: Path) -> Any:
    from retkd import candidates as table
    from retkd.evaluation.dev_reranking import Reranking

    if config.evaluate_every is None or "dev" not in table.splits(artifact):
        return None
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    budget = inputs.runtime.tokens_per_batch
    return lambda: {config.primary: lists.measure_of(encoder, config.primary, budget)}


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
