"""Rank students before any of them is trained: how alike they are to the teacher, and what they cost.

Writes ``students.json``: one object per student, the likeliest first, with its description as ``train`` takes it.
"""

import json
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from retkd.collections.base import Collection
from retkd.parts import Encoder
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.students import AnyStudent

NAME = "rank_students"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("student_ranking",)


class Config(StageConfig):
    """The students, and the teacher that they are held against."""

    kind: Literal["rank_students"] = "rank_students"
    teacher: Encoder
    students: dict[str, AnyStudent] = Field(min_length=1, description="name -> student, as a train stage has it")
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


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``students.json``."""
    import retkd.encoders.encoder
    from retkd.resources import device
    from retkd.shards import atomic
    from retkd.students.similarity import activations

    where = device(inputs.runtime.device, inputs.runtime.threads)
    texts = sampled_texts(inputs.collection, config.num_texts)
    teacher = retkd.encoders.encoder.Encoder.load(inputs.models[config.teacher].path, where, config.max_length)
    told = activations(teacher, texts)
    rows = [_row(name, config, inputs, texts, told, where) for name in config.students]
    rows.sort(key=lambda row: (-row["score"], row["parameters"], row["name"]))
    with atomic(out / "students.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    values = {row["name"]: {key: row[key] for key in ("score", "parameters", "flops")} for row in rows}
    return Metrics(rows_in=len(texts), rows_out=len(rows), values={"first": rows[0]["name"], "students": values})


def sampled_texts(collection: Collection, count: int) -> list[str]:
    """The texts of the documents with the smallest SHA-256 of their id, in that order."""
    chosen = nsmallest(count, ((sha256(d.doc_id.encode()).digest(), d.doc_id) for d in collection.documents()))
    return [document.full_text for document in collection.documents_by_id([doc_id for _, doc_id in chosen])]


def _row(name: str, config: Config, inputs: Inputs, texts: list[str], teacher: Any, where: str) -> dict[str, Any]:
    """``score`` is minus the sum of both distances, at most 0, from the weights that the ranking goes by."""
    from retkd.students.similarity import costs, distances, randomise

    student = config.students[name]
    encoder = student.made(inputs.models, where, inputs.collection)
    inherited = distances(encoder, teacher, texts, name)
    random = []
    for draw in range(config.draws):
        randomise(encoder, inputs.seed + draw)
        random.append(distances(encoder, teacher, texts, name))
    means = {key: sum(each[key] for each in random) / len(random) for key in inherited}
    by = inherited if config.weights == "inherited" else means
    return {
        "name": name,
        "score": -sum(by.values()),
        "inherited": inherited,
        "random": means,
        **costs(encoder, config.num_tokens),
        "student": student.model_dump(mode="json"),
    }
