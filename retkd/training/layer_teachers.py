"""Encoders that teach by their layers: loaded, and held to read the very tokens of the student."""

from collections.abc import Sequence
from typing import Any

from retkd.encoders.encoder import SIDES, Encoder
from retkd.errors import ModelError
from retkd.layers import StackShape, stack_shape
from retkd.matchers.cross_attention import CrossAttention
from retkd.matchers.pair_models import load_model, load_tokenizer
from retkd.matchers.templates import NOTHING_AROUND, PairTemplate, own_template
from retkd.parts import PARTNER
from retkd.stage import Inputs


def layer_teachers(objective: Sequence[Any], inputs: Inputs, student: Encoder, device: str) -> dict[str, Encoder]:
    """The encoders whose layers the terms read, each once. They run online, without gradient, on the student's token ids.

    Raises :class:`ModelError` where one would read other tokens than the student.
    """
    refs = sorted({term.layer_model for term in objective} - {None, PARTNER})
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


def pair_teachers(objective: Sequence[Any], inputs: Inputs, student: Encoder, device: str) -> dict[str, CrossAttention]:
    """The cross-encoders whose attention the terms read, each once. They read the student's tokens, two texts at a time.

    Raises :class:`ModelError` where a pair of texts would be other tokens to the cross-encoder.
    """
    found = {}
    for ref in sorted({term.model for term in objective if term.reads_pairs}):
        stack_of(student, "the student")
        path = inputs.models[ref].path
        model = load_model(path, device)
        tokenizer = load_tokenizer(path, model)
        require_same_vocabulary(student.model.tokenizer, tokenizer, ref)
        _require_bare_texts(student, own_template(path), ref)
        found[ref] = CrossAttention(model.requires_grad_(False), tokenizer)
    return found


def _require_bare_texts(student: Encoder, template: PairTemplate, name: str) -> None:
    prompts = [prompt for side in SIDES if (prompt := student.prompt(side))]
    if prompts or template != NOTHING_AROUND:
        raise ModelError(
            "a term compares the tokens of query and document, and a prompt would be among them",
            where=f"the teacher {name}",
            seen=f"prompts of the student {prompts}"
            if prompts
            else f"the cross-encoder's prompt {template.instruction!r}",
            allowed="a student and a cross-encoder without prompts",
            next_step="learn from the cross-encoder's scores (kl), or set the student's `prompts: {}`",
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
    require_same_vocabulary(student.model.tokenizer, teacher.model.tokenizer, name)
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


def require_same_vocabulary(own: Any, other: Any, name: str) -> None:
    """Raise :class:`ModelError` where the tokens of two tokenisers have different ids."""
    if own.get_vocab() != other.get_vocab():
        differ = len(set(own.get_vocab().items()) ^ set(other.get_vocab().items()))
        raise ModelError(
            "student and teacher read different tokens, so their layers cannot be compared token by token",
            where=f"the teacher {name}",
            seen=f"vocabularies of {len(own)} and {len(other)} tokens, {differ} of them not shared",
            allowed="a teacher with the student's tokeniser",
            next_step="begin the student from the same family as the teacher, or learn from its scores or vectors",
        )
