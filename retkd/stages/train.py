"""Train the student on the selected candidates."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd import processes
from retkd.document_languages import DocumentLanguages
from retkd.objectives import Objectives
from retkd.objectives.base import leaves
from retkd.optimisation import Optimisation
from retkd.partners import AnyPartner
from retkd.parts import Candidates
from retkd.query_order import AnyBatches, Shuffled
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import AnyStudent
from retkd.trace import dev_values, losses

if TYPE_CHECKING:
    from retkd.objectives.base import Training

NAME = "train"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("encoder", "partner")
SPEED_LISTS = 64
"""Candidate lists whose texts time the exits of a student."""


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
    co_train: AnyPartner | None = Field(
        default=None,
        description="a model that is trained beside the student in the same steps; a stage of kind partner publishes it",
    )

    document_languages: DocumentLanguages | None = Field(
        default=None,
        description="languages that the documents of the lists are read in; default: the collection's first",
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

    @property
    def folders(self) -> dict[str, str]:
        """Models beside the one under the stage's own name: ``STAGE:NAME`` -> folder in the artifact."""
        return dict(getattr(self.student, "folders", {}))

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        exits = getattr(self.student, "exits", None)
        if exits and self.co_train is not None:
            raise ValueError("`co_train` teaches a student with one exit: use a student of another kind")
        adaptation = getattr(self.student, "adaptation", None)
        if adaptation is not None and (exits or self.co_train is not None):
            raise ValueError(f"the adaptation {adaptation.kind} goes with a dense student that is trained alone")
        for term in self.objective:
            if term.reads_layers and adaptation is not None:
                raise ValueError(
                    f"the objective {term.kind} reads layers, which the adaptation {adaptation.kind} changes"
                )
            if term.needs_exits and not exits:
                raise ValueError(
                    f"the objective {term.kind} learns from a student's last exit: use a student of kind multi_exit"
                )
            if term.reads_layers and exits:
                raise ValueError(
                    f"the objective {term.kind} reads layers, which a student with exits does not give: use `dense`"
                )
        return self

    @model_validator(mode="after")
    def _languages_fit(self) -> "Config":
        told = self.document_languages
        for term in [*self.objective, *leaves(self.objective)]:
            if term.needs_variants and (told is None or told.mix != "all" or len(told.languages) < 2):
                raise ValueError(
                    f"{term.kind} compares languages: give `document_languages: {{mix: all, languages: [...]}}` with two or more"
                )
            if told is not None and term.encoders:
                raise ValueError(
                    f"{term.kind} reads vectors of an encoder, which has read each document in one language: it does not go "
                    "with `document_languages`; take a term that reads a teacher's scores"
                )
        if self.batches.kind == "by_language" and (told is None or told.mix != "lists"):
            raise ValueError("batches by_language need `document_languages: {mix: lists, languages: [...]}`")
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a sentence-transformers folder), ``trace.jsonl``, ``student.json``; with `co_train`, ``partner/``."""
    import torch

    from retkd import candidates as table
    from retkd.collator import Collator
    from retkd.dense_teacher import dense_teachers
    from retkd.examples import CandidateLists, Repeated, require_objective, teachers_of
    from retkd.resources import device
    from retkd.trainer import train, write_trace
    from retkd.translated_lists import TranslatedLists

    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    base = inputs.models[config.student.base]
    encoder = config.student.build(base.path, where, inputs.collection)
    artifact = inputs.artifacts[config.candidates]
    rows = table.read(artifact / "train")
    written = [*config.objective, *(config.co_train.objective if config.co_train else [])]
    require_objective(leaves(written), rows, config.steps)
    lists = CandidateLists(rows, inputs.collection, "train", teachers_of(leaves(written)))
    told = config.document_languages
    examples = lists if told is None else TranslatedLists(lists, told, inputs.seed)
    whole = dense_teachers(leaves(written if config.steps else []), "train", inputs, where, out / "work")
    companion = getattr(config.student, "companion", lambda _: None)(encoder) if config.steps else None
    student, training = _module(
        config, companion, inputs, encoder, {ref: each.dim for ref, each in whole.items()}, where
    )
    read = [term for term in leaves(config.objective) if term.reads_vectors]
    collator: Any = Collator(encoder, whole, frozenset(ref for term in read for ref in term.encoders))
    model, partner, optimizer = student, _partner(config, inputs, rows, training, whole, where), None
    if partner is not None:
        model, collator, optimizer = partner.beside(student, collator, config)
    query_ids = examples.query_ids
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
        topics=config.batches.topics(query_ids, config.candidates, inputs.artifacts, examples.languages),
    )
    if not processes.is_first():
        return Metrics()
    encoder.model.eval()
    if companion is not None:
        companion.finish(encoder, out)
    save_model(encoder.model, out / "model")
    timings = _exits(config, inputs, encoder, examples, out) if config.folders else {}
    if partner is not None:
        partner.save(out / "partner", save_model)
    for name, write in (
        ("trace.jsonl", partial(write_trace, trace)),
        ("student.json", partial(_describe, config, encoder)),
    ):
        with atomic(out / name) as temporary:
            write(temporary)
    metrics = _metrics(config, lists, trace, student, timings)
    if partner is not None:
        metrics.values["partner"] = {"kind": partner.told.kind, "parameters": partner.num_parameters}
    return metrics


def _module(
    config: Config, companion: Any, inputs: Inputs, encoder: Any, teacher_dims: dict[str, int], where: str
) -> tuple[Any, "Training"]:
    """The student under its objective, with the encoders whose layers teach it, and what its terms know."""
    from retkd.distillation import DistilledEncoder
    from retkd.exit_distillation import DistilledExits
    from retkd.layer_teachers import layer_teachers, stack_of
    from retkd.objectives.base import Training
    from retkd.passes import passes

    objective = config.objective if config.steps else []
    teachers = layer_teachers(objective, inputs, encoder, where)
    training = Training(
        encoder.dim,
        teacher_dims,
        config.steps,
        inputs.seed,
        stack_of(encoder, "the student") if teachers else None,
        {ref: stack_of(teacher, ref) for ref, teacher in teachers.items()},
    )
    adaptation = getattr(config.student, "adaptation", None)
    deeper = ["a student with exits"] if config.folders else []
    deeper += [f"the adaptation {adaptation.kind!r}"] if adaptation is not None and adaptation.READS_PASSES else []
    through = passes(inputs.runtime, leaves(objective), deeper)
    if config.folders:
        return DistilledExits(encoder, objective, config.student.weights, training), training
    return DistilledEncoder(encoder, objective, training, teachers, through, companion), training


def _partner(config: Config, inputs: Inputs, rows: Any, training: Any, teachers: dict[str, Any], where: str) -> Any:
    """What is trained beside the student, loaded; None without `co_train`."""
    from retkd.examples import require_lists

    if config.co_train is None:
        return None
    from retkd.co_training import load_partner

    if config.steps:
        require_lists(rows, "`co_train`")
    return load_partner(config.co_train, inputs.models, where, training, teachers, inputs.collection)


def _exits(config: Config, inputs: Inputs, encoder: Any, examples: Any, out: Path) -> dict[str, float]:
    """Publish the model of each exit; how fast each encodes queries and documents."""
    from retkd.encoder import Encoder
    from retkd.exporters.speed import document_speed, query_speed
    from retkd.students.multi_exit import exit_model

    texts = [examples[position] for position in range(min(len(examples), SPEED_LISTS))]
    documents = list(dict.fromkeys(text for example in texts for text in example.documents))
    told: dict[str, float] = {}
    for exit, (name, folder) in zip(encoder.exits, config.folders.items(), strict=True):
        if folder != "model":
            save_model(exit_model(encoder, exit).model, out / folder)
        alone = Encoder.load(out / folder, str(encoder.model.device))
        budget = inputs.runtime.tokens_per_batch
        speed = query_speed(alone, [e.query for e in texts], budget) | document_speed(alone, documents, budget)
        told |= {f"{name}.{what}": value for what, value in speed.items()}
    return told


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


def _metrics(
    config: Config, examples: Any, trace: list[dict[str, Any]], student: Any, timings: dict[str, float]
) -> Metrics:
    values = {
        "queries": len(examples),
        "parameters": sum(p.numel() for p in student.encoder.parameters()),
        **losses(trace),
        **dev_values(trace, config.primary),
        **{name: float(value) for name, value in student.objective.told().items()},
    }
    return Metrics(rows_in=len(examples.doc_ids), rows_out=len(examples.doc_ids), values=values, timings=timings)
