"""Train a teacher of pairs or lists, from any encoder checkpoint or another teacher: on labels, on another teacher, on both."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd import processes
from retkd.encoders import WHAT
from retkd.objectives import Objectives
from retkd.objectives.base import leaves
from retkd.objectives.contrastive import InfoNCE
from retkd.parts import AnyModel, Candidates
from retkd.selection import AnySampler
from retkd.selection.samplers import Random
from retkd.shards import atomic
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.training.optimisation import Optimisation
from retkd.training.trace import dev_values, losses

NAME = "teach"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("cross_encoder", "uni_encoder", "beca")


class Config(Optimisation, StageConfig):
    """The checkpoint to begin with, the lists, and how it is trained."""

    kind: Literal["teach"] = "teach"
    candidates: Candidates
    base: AnyModel
    sampler: AnySampler = Random(num_negatives=7)
    unlabelled: Literal["drop", "keep"] = Field(
        default="drop", description="train queries without a judged positive: another teacher's scores need none"
    )
    objective: Objectives = Field(
        default=[InfoNCE(temperature=1.0, in_batch=False)],
        min_length=1,
        description="weighted terms, as in train; default: each positive against its own list's negatives",
    )
    batch_queries: int = Field(default=8, ge=1, description="of all processes together, however many there are")
    max_length: int = Field(default=256, ge=8, description="tokens of query, document and special tokens together")
    query_max_length: int = Field(default=64, ge=2)
    head: Literal["classifier", "segments", "uni", "beca"] = Field(
        default="classifier",
        description="classifier: one label on [CLS]. segments: compares the two texts' mean vectors, so that a "
        "sentence encoder begins as a judge and not at random (retkd/matchers/segment_head.py). uni: the same over all "
        "candidates of a query in one pass (retkd/matchers/uni_encoder.py). beca: texts encoded apart, a matcher over "
        "their tokens (retkd/matchers/beca.py). A base with this head goes on with it; any other gets a new one",
    )
    mask: Literal["blocked", "arrow"] = Field(
        default="blocked",
        description="of head uni: what the query sees. blocked: itself, so a score is that of its pair. "
        "arrow: all candidates of the pass",
    )
    candidates_per_pass: int = Field(default=8, ge=1, description="of head uni with the mask arrow")
    head_learning_rate: float | None = Field(
        default=None, gt=0.0, description="of the new head; default: learning_rate"
    )
    frozen_layers: int | None = Field(
        default=None, ge=0, description="lowest layers that stay as they are, with the word embeddings; null: none"
    )
    dev_queries: int = Field(default=100, ge=1)
    primary: str = "nDCG@10"

    @property
    def gives(self) -> tuple[str, ...]:
        """The one kind of model that this head makes."""
        return {"uni": ("uni_encoder",), "beca": ("beca",)}.get(self.head, ("cross_encoder",))

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        if self.head != "uni" and self.model_fields_set & {"mask", "candidates_per_pass"}:
            raise ValueError(f"`mask` and `candidates_per_pass` are of `head: uni`; this head is {self.head}")
        terms: list[Any] = leaves(self.objective)
        reading = [term.kind for term in terms if term.reads_in_batch]
        if self.head != "beca" and reading:
            raise ValueError(
                f"the objective {reading[0]} reads scores of other queries' documents, and a model with head {self.head} "
                "scores a query's own candidates: set `in_batch: false`, or use `head: beca`"
            )
        vectors = [term.kind for term in [*self.objective, *terms] if term.needs_vectors]
        if vectors:
            raise ValueError(
                f"the objective {vectors[0]} reads the student's vectors, and what `teach` makes has none: use `train`"
            )
        unfit = [term.kind for term in terms if term.reads_inside]
        if unfit:
            raise ValueError(
                f"the objective {unfit[0]} reads layers, exits or words of a student: it is for stages of kind train"
            )
        reading = [term.kind for term in terms if not set(WHAT) <= set(term.students)]
        if reading:
            raise ValueError(f"the objective {reading[0]} reads a text's vectors, and what is taught here scores pairs")
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/`` (a folder that the teacher kind named by ``gives`` loads) and ``trace.jsonl``."""
    import torch

    from retkd import candidates as table
    from retkd.evaluation.dev_reranking import dev_look
    from retkd.objectives.base import Training
    from retkd.resources import device
    from retkd.selection.rules import select
    from retkd.training.dense_teacher import dense_teachers
    from retkd.training.examples import CandidateLists, require_objective, teachers_of
    from retkd.training.teaching import TaughtModel, collator, new_scorer, optimizer, require_own_lists, save_scorer
    from retkd.training.trace import write_trace
    from retkd.training.trainer import train

    require_own_lists(config.objective)
    torch.manual_seed(inputs.seed)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    scorer = new_scorer(inputs.models[config.base].path, where, config)
    artifact = inputs.artifacts[config.candidates]
    mined = table.read(artifact / "train")
    chosen = select(
        mined,
        inputs.collection,
        "train",
        filters=[],
        sampler=config.sampler,
        teacher=None,
        unlabelled=config.unlabelled,
        seed=inputs.seed,
    )
    terms = leaves(config.objective)
    examples = CandidateLists(chosen.rows, inputs.collection, "train", teachers_of(terms))
    require_objective(terms, chosen.rows, config.steps)
    whole = dense_teachers(terms if config.steps else [], "train", inputs, where, out / "work")
    training = Training(None, {ref: each.dim for ref, each in whole.items()}, config.steps, inputs.seed)
    model = TaughtModel(scorer, config.objective, training)
    budget = inputs.runtime.tokens_per_batch
    trace = train(
        model,
        examples,
        collator(scorer, whole),
        config,
        batch_queries=config.batch_queries,
        seed=inputs.seed,
        work=out / "work",
        device=where,
        label=f"teach {config.steps} steps",
        dev=dev_look(
            config, inputs, artifact, lambda lists: lists.mean(config.primary, scorer.score(lists.pairs(), budget))
        ),
        primary=config.primary,
        optimizer=optimizer(model, config),
    )
    if not processes.is_first():
        return Metrics()
    save_scorer(scorer, out / "model")
    with atomic(out / "trace.jsonl") as temporary:
        write_trace(trace, temporary)
    looks = dev_values(trace, config.primary)
    told = {name: float(value) for name, value in model.objective.told().items()}
    return Metrics(
        mined.num_rows,
        chosen.rows.num_rows,
        chosen.dropped,
        values={"queries": len(examples), **losses(trace), **looks, **told},
    )
