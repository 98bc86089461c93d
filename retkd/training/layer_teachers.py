"""Encoders that teach by their layers: loaded, and held to read the very tokens of the student."""

from collections.abc import Sequence
from typing import Any

from retkd.encoders.encoder import SIDES, Encoder
from retkd.errors import ModelError
from retkd.layers import StackShape, stack_shape
from retkd.stage import Inputs


def layer_teachers(objective: Sequence[Any], inputs: Inputs, student: Encoder, device: str) -> dict[str, Encoder]:
    """The encoders whose layers the terms read, each once. They run online, without gradient, on the student's token ids.

    Raises :class:`ModelError` where one would read other tokens than the student.
    """
    refs = sorted({term.model for term in objective if term.reads_layers and not term.reads_partner})
    found = {ref: Encoder.load(inputs.models[ref].path, device) for ref in refs}
    if found:
        stack_of(student, "the student")
    for ref, teacher in found.items():
        stack_of(teacher, ref)
        require_same_tokens(student, teacher, ref)
    return found


def require_same_passes(student: Encoder, partner: Encoder) -> None:
    """Raise :class:`ModelError` where student and partner, of which each reads its own batch, would read other tokens."""
    stack_of(student, "the student")
    stack_of(partner, "the partner")
    require_same_tokens(student, partner, "partner")
    for side in SIDES:
        own, other = student.max_length(side), partner.max_length(side)
        if own != other:
            raise ModelError(
                "student and partner cut texts at different lengths, so their layers cannot be compared pass by pass",
                where=f"a {side}",
                seen=f"student {own} tokens, partner {other}",
                next_step="give both the same `max_length`",
            )


def stack_of(encoder: Encoder, name: str) -> StackShape:
    """Depth and width of an encoder's transformer. Raises :class:`ModelError` where it has none, or one for each side."""
    first = encoder.model[0]
    if encoder.tower("document")[0] is not first or not encoder.reads_tokens("document"):
        raise ModelError(
            "terms that read layers need a transformer",
            where=name,
            seen=type(first).__name__,
            allowed="a sentence-transformers encoder whose first module is a transformer",
            next_step="name such an encoder as the term's `model`, or learn from this one's scores or vectors",
        )
    return stack_shape(encoder.model[0].auto_model)


def require_same_tokens(student: Encoder, teacher: Encoder, name: str) -> None:
    """Raise :class:`ModelError` where the student's token ids mean something else to the teacher."""
    own, other = student.model.tokenizer, teacher.model.tokenizer
    if own.get_vocab() != other.get_vocab():
        differ = len(set(own.get_vocab().items()) ^ set(other.get_vocab().items()))
        raise ModelError(
            "student and teacher read different tokens, so their layers cannot be compared token by token",
            where=f"the teacher {name}",
            seen=f"vocabularies of {len(own)} and {len(other)} tokens, {differ} of them not shared",
            allowed="a teacher with the student's tokeniser",
            next_step="begin the student from the same family as the teacher, or learn from its scores or vectors",
        )
    for side in ("query", "document"):
        if student.prompt(side) != teacher.prompt(side):
            raise ModelError(
                f"student and teacher put different prompts before a {side}, and the teacher reads the student's tokens",
                where=f"the teacher {name}",
                seen=f"student {student.prompt(side)!r}, teacher {teacher.prompt(side)!r}",
                next_step="give the student the teacher's `prompts`",
            )
    positions = getattr(teacher.model[0].auto_model.config, "max_position_embeddings", None)
    length = student.model.max_seq_length
    if positions is not None and (length is None or length > positions):
        raise ModelError(
            "the student reads longer texts than the teacher whose layers it learns from",
            where=f"the teacher {name}",
            seen=f"student.max_length {length}",
            allowed=f"at most {positions} tokens",
            next_step="lower student.max_length",
        )
