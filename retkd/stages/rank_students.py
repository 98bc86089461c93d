"""Rank students before any of them is trained: how alike they are to the teacher, and what they cost.

Writes ``students.json``: one object per student, the likeliest first, with its description as ``train`` takes it. They are
those of a list, those that an evolutionary search tried, or both.
"""

import gc
import json
from collections.abc import Mapping
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from retkd.collections.base import Collection
from retkd.parts import Encoder
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import AnyStudent
from retkd.students.space import Search

if TYPE_CHECKING:
    from retkd.students.search import Genome

NAME = "rank_students"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("student_ranking",)
NUM_TOLD = 10
"""Students that the manifest tells of, where a search adds to the table."""
SEARCHED = "layers-"
"""What the names of students that a search tried begin with."""


class Config(StageConfig):
    """The students, and the teacher that they are held against."""

    LATER: ClassVar[tuple[str, ...]] = ("search",)

    kind: Literal["rank_students"] = "rank_students"
    teacher: Encoder
    students: dict[str, AnyStudent] = Field(default={}, description="name -> student, as a train stage has it")
    search: Search | None = Field(default=None, description="try students of a space, besides those of the list")
    weights: Literal["inherited", "random"] = Field(
        default="inherited", description="which weights the ranking goes by; the table tells both"
    )
    draws: int = Field(default=3, ge=1, description="random initialisations, of which the mean counts")
    num_texts: int = Field(default=128, ge=2, description="documents: those with the smallest SHA-256 of their id")
    num_tokens: int = Field(default=64, ge=1, description="of the text whose floating-point operations are told")
    max_length: int | None = Field(default=None, ge=4, description="tokens that the teacher reads; default: its own")

    @field_validator("students")
    @classmethod
    def _one_dense_tower(cls, students: dict[str, Any]) -> dict[str, Any]:
        for name, student in students.items():
            if student.kind not in ("dense", "multi_exit"):
                raise ValueError(
                    f"the student {name} is of kind {student.kind}: dense ones can be held against a teacher"
                )
        return students

    @model_validator(mode="after")
    def _something_to_rank(self) -> "Config":
        if not self.students and self.search is None:
            raise ValueError("there is nothing to rank: give `students`, a `search`, or both")
        taken = [name for name in self.students if name.startswith(SEARCHED)]
        if taken and self.search is not None:
            raise ValueError(
                f"the student {taken[0]} has a name as the search gives them: none may begin with {SEARCHED}"
            )
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``students.json``."""
    from retkd.shards import atomic

    trial = Trial(config, inputs)
    for name, student in config.students.items():
        trial.row(name, student)
    told = {} if config.search is None else _search(config.search, trial)
    rows = sorted(trial.rows, key=lambda row: (-row["score"], row["parameters"], row["name"]))
    with atomic(out / "students.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    shown = rows if config.search is None else rows[:NUM_TOLD]
    values = {row["name"]: {key: row[key] for key in ("score", "parameters", "flops")} for row in shown}
    values = {"first": rows[0]["name"], "students": values} | told
    return Metrics(rows_in=len(trial.texts), rows_out=len(rows), values=values)


def _search(search: Search, trial: "Trial") -> dict[str, Any]:
    """Try students until the search ends; what the manifest tells of it."""
    from retkd.progress import say, track
    from retkd.students.search import evolve

    inputs = trial.inputs
    space = search.space(inputs.models, inputs.collection, trial.config.num_tokens)

    with track("rank", search.population * (1 + search.generations)) as step:

        def fitness(genome: "Genome") -> float:
            score: float = trial.row(named(genome), search.of(genome))["score"]
            step(1)
            return score

        found = evolve(space, fitness, search, inputs.seed)
    search.require_found(found, space)
    say(f"rank: {len(found.scores):,} students tried in {len(found.best)} generations, best score {found.best[-1]:.4f}")
    return {"search": {"tried": len(found.scores), "best_score_by_generation": [round(each, 6) for each in found.best]}}


def named(genome: "Genome") -> str:
    """The name of a student that a search tried.

    >>> from retkd.students.search import Genome
    >>> named(Genome((0, 5), None)), named(Genome((2,), 192))
    ('layers-0-5', 'layers-2-hidden-192')
    """
    layers = SEARCHED + "-".join(map(str, genome.layers))
    return layers if genome.width is None else f"{layers}-hidden-{genome.width}"


class Trial:
    """Students held against one teacher on the same texts; ``rows`` has what was found."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        from retkd.encoders.encoder import Encoder as LoadedEncoder
        from retkd.resources import device
        from retkd.students.similarity import activations

        self.config, self.inputs = config, inputs
        self.device = device(inputs.runtime.device, inputs.runtime.threads)
        self.texts = sampled_texts(inputs.collection, config.num_texts)
        teacher = LoadedEncoder.load(inputs.models[config.teacher].path, self.device, config.max_length)
        self.told = activations(teacher, self.texts)
        self.rows: list[dict[str, Any]] = []

    def row(self, name: str, student: Any) -> Mapping[str, Any]:
        """``score`` is minus the sum of both distances, at most 0, from the weights that the ranking goes by."""
        from retkd.students.similarity import costs, distances, randomise

        config, inputs = self.config, self.inputs
        encoder = student.made(inputs.models, self.device, inputs.collection)
        inherited = distances(encoder, self.told, self.texts, name)
        random = []
        for draw in range(config.draws):
            randomise(encoder, inputs.seed + draw)
            random.append(distances(encoder, self.told, self.texts, name))
        means = {key: sum(each[key] for each in random) / len(random) for key in inherited}
        by = inherited if config.weights == "inherited" else means
        found = {
            "name": name,
            "score": -sum(by.values()),
            "inherited": inherited,
            "random": means,
            **costs(encoder, config.num_tokens),
            "student": student.model_dump(mode="json"),
        }
        self.rows.append(found)
        del encoder
        gc.collect()  # a model is part of cycles: dozens of them would take up memory until Python collects by itself
        return found


def sampled_texts(collection: Collection, count: int) -> list[str]:
    """The texts of the documents with the smallest SHA-256 of their id, in that order."""
    chosen = nsmallest(count, ((sha256(d.doc_id.encode()).digest(), d.doc_id) for d in collection.documents()))
    return [document.full_text for document in collection.documents_by_id([doc_id for _, doc_id in chosen])]
