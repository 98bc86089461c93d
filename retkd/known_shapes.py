"""Depth, width and positions of a recipe's models, as far as files here tell: of folders, and of students to be trained."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.models import local
from retkd.references import named_stage
from retkd.students.base import OneTransformer
from retkd.students.dense import Dense
from retkd.students.initialisation import kept

SAME_WIDTH = ("Transformer", "Normalize", "Dropout", "LayerNorm")
"""Modules of sentence-transformers that leave vectors as wide as they are."""


def known_stack(stages: Mapping[str, Any], reference: str) -> StackShape | None:
    """The layers of a model; None where they are not told here, or where a training may change them."""
    stage = named_stage(stages, reference)
    if stage is None:
        folder = local(reference)
        return None if folder is None else _stack_in(folder)
    student = _trained(stages, stage)
    return None if student is None or stage != reference else student_stack(stages, student)


def student_stack(stages: Mapping[str, Any], student: OneTransformer) -> StackShape | None:
    """The layers of a student as its training begins."""
    base = known_stack(stages, student.base)
    if base is None or getattr(student, "initialisation", None):
        return None
    try:
        return StackShape(len(kept(student.layers, base.layers, student.base)), base.width)
    except ModelError:
        return None


def known_positions(stages: Mapping[str, Any], reference: str) -> int | None:
    """How many tokens a model has positions for; None where that is not told here, or where a training may change it."""
    stage = named_stage(stages, reference)
    if stage is None:
        folder = local(reference)
        positions = None if folder is None else _read(folder / "config.json").get("max_position_embeddings")
        return positions if isinstance(positions, int) else None
    student = _trained(stages, stage)
    if student is None or getattr(student, "initialisation", None):
        return None
    return known_positions(stages, student.base)


def vector_width(stages: Mapping[str, Any], reference: str) -> int | None:
    """How many coordinates the vectors of a dense encoder have."""
    stage = named_stage(stages, reference)
    if stage is None:
        folder = local(reference)
        return None if folder is None else _width_in(folder)
    student = _trained(stages, stage)
    return student_width(stages, student) if isinstance(student, Dense) else None


def student_width(stages: Mapping[str, Any], student: Dense) -> int | None:
    """How many coordinates a dense student's vectors have: hidden states of its base, if one pooling makes them."""
    stack = known_stack(stages, student.base)
    pooled = student.pooling is not None or _pooled_once(stages, student.base)
    return stack.width if stack is not None and pooled and not student.initialisation else None


def _trained(stages: Mapping[str, Any], stage: str) -> OneTransformer | None:
    """The student of a train stage, where its training leaves the shape as it is."""
    student = stages[stage].student if stages[stage].kind == "train" else None
    plain = isinstance(student, OneTransformer) and getattr(student, "adaptation", None) is None
    return student if plain else None


def _pooled_once(stages: Mapping[str, Any], reference: str) -> bool:
    """Whether one vector of a model comes of one pooling, and not of several put together."""
    stage = named_stage(stages, reference)
    if stage is None:
        folder = local(reference)
        return folder is not None and _num_poolings(folder / "1_Pooling") == 1
    student = _trained(stages, stage)
    return isinstance(student, Dense) and (student.pooling is not None or _pooled_once(stages, student.base))


def _stack_in(folder: Path) -> StackShape | None:
    told = _read(folder / "config.json")
    layers, width = told.get("num_hidden_layers", told.get("n_layers")), told.get("hidden_size", told.get("dim"))
    return StackShape(layers, width) if isinstance(layers, int) and isinstance(width, int) else None


def _width_in(folder: Path) -> int | None:
    stack = _stack_in(folder)
    width = None if stack is None else stack.width
    for module in _modules(folder):
        kind, inside = str(module.get("type")).rpartition(".")[2], folder / str(module.get("path", ""))
        if width is not None and kind == "Pooling":
            width *= _num_poolings(inside)
        elif kind == "Dense":
            width = _read(inside / "config.json").get("out_features")
        elif kind not in SAME_WIDTH:
            return None
    return width


def _num_poolings(folder: Path) -> int:
    """Of a sentence-transformers pooling; 1 where none is told: a bare transformers folder gets mean pooling."""
    told = _read(folder / "config.json")
    modes = told.get("pooling_mode", [key for key, on in told.items() if key.startswith("pooling_mode_") and on])
    return 1 if isinstance(modes, str) else max(len(modes), 1)


def _modules(folder: Path) -> list[dict[str, Any]]:
    told = _json(folder / "modules.json")
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def _read(path: Path) -> dict[str, Any]:
    told = _json(path)
    return told if isinstance(told, dict) else {}


def _json(path: Path) -> Any:
    """None where there is none: what is wrong with the model is told when it is loaded."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
