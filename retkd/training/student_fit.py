"""What of a train stage goes together: the student, its terms, what is trained beside it, the languages it reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retkd.encoders import WHAT
from retkd.heads import HEADS
from retkd.objectives.base import leaves
from retkd.objectives.head import head_of
from retkd.students import STUDENTS

if TYPE_CHECKING:
    from retkd.stages.train import Config


def misfits(config: "Config") -> Iterator[str]:
    """What does not go together and what to do about it, one sentence each."""
    student, partner = config.student, config.co_train
    several = bool(student.folders) or student.kind == "two_heads"
    adaptation = getattr(student, "adaptation", None)
    if not config.objective and not (partner and partner.to_student):
        yield "the student would learn nothing: give it an `objective`, or `co_train` with `to_student` above 0"
    if partner is not None and (several or student.REPRESENTS != "encoder"):
        yield "`co_train` teaches a dense student with one exit and no heads of its own: use a student of another kind"
    if adaptation is not None and (several or partner is not None):
        yield f"the adaptation {adaptation.kind} goes with a dense student that is trained alone"
    for term in [*config.objective, *leaves(config.objective)]:
        yield from _of_student(config, term)
    yield from _of_layers(config)
    if student.kind == "two_heads":
        yield from _of_heads(config)
    both = [*config.objective, *(partner.objective if partner is not None else ())]
    for term in [*both, *leaves(both)]:
        yield from _of_languages(config, term)
    told = config.document_languages
    if told is not None and student.stored_documents is not None:
        yield "`document_languages` reads each document in several languages, and the frozen tower's vectors are of one"
    if config.batches.kind == "by_language" and (told is None or told.mix != "lists"):
        yield "batches by_language need `document_languages: {mix: lists, languages: [...]}`"


def _of_student(config: "Config", term: Any) -> Iterator[str]:
    student, given = config.student, config.student.REPRESENTS
    adaptation = getattr(student, "adaptation", None)
    if given not in term.students:
        able = " or ".join(kind for kind, cls in STUDENTS.items() if cls.REPRESENTS in term.students)
        yield (
            f"the objective {term.kind} reads {' or '.join(WHAT[each] for each in term.students)}, and a student "
            f"of kind {student.kind} gives {WHAT[given]}: leave it out, or take a student of kind {able}"
        )
    if student.stored_documents is not None:
        yield from _of_stored_documents(config, term)
    if term.needs_heads and student.kind != "two_heads":
        yield f"the objective {term.kind} names a head: use a student of kind two_heads, or put its terms in its place"
    if term.needs_exits and not student.folders:
        yield f"the objective {term.kind} learns from a student's last exit: use a student of kind multi_exit"
    if term.reads_layers and student.kind != "dense":
        yield f"the objective {term.kind} reads layers, which a student of kind {student.kind} does not give: use `dense`"
    if term.masks_words and student.kind != "dense":
        yield f"the objective {term.kind} masks words, which a student of kind {student.kind} cannot guess: use `dense`"
    if term.masks_words and getattr(adaptation, "kind", None) == "prune":
        yield f"the objective {term.kind} reads texts a second time, and the adaptation prune keeps what its layers read"
    if term.reads_layers and adaptation is not None:
        yield f"the objective {term.kind} reads layers, which the adaptation {adaptation.kind} changes"
    if term.kind == "matryoshka" and getattr(adaptation, "width", False):
        yield "matryoshka trains the first coordinates, of which `width` of the adaptation prune takes some out: leave one out"


def _of_layers(config: "Config") -> Iterator[str]:
    """Of terms that read the layers of the partner."""
    kinds = [term.kind for term in config.objective if term.reads_partner]
    if not kinds:
        return
    if config.co_train is None or config.co_train.kind != "encoder":
        what = "has no `co_train`" if config.co_train is None else "trains a cross-encoder, which reads pairs"
        yield (
            f"the objective {kinds[0]} reads layers of the partner, and this stage {what}: set `co_train: {{kind: encoder, "
            "...}`, or name another model (a stage that is called partner needs another name)"
        )
        return
    own, other = config.student.max_length, config.co_train.encoder.max_length
    if own is not None and other is not None and own != other:
        yield (
            f"the objective {kinds[0]} compares layers of the student and of the partner, which cut texts at {own} and "
            f"{other} tokens: give both the same `max_length`"
        )


def _of_stored_documents(config: "Config", term: Any) -> Iterator[str]:
    """Of a term beside a frozen document tower."""
    tower = config.student.stored_documents
    if term.REGULARISES and getattr(term, "side", None) == "document":
        yield (
            f"the objective {term.kind} with `side: document` restrains documents, and those of a frozen tower stay as "
            "they are: leave it out, or set `document.frozen: false`"
        )
    if config.student.REPRESENTS == "sparse_encoder" and tower in term.encoders:
        yield (
            f"the objective {term.kind} reads dense vectors of {tower}, which is the student's sparse document tower: "
            "name a dense encoder, or a teacher whose scores the lists hold"
        )


def _of_heads(config: "Config") -> Iterator[str]:
    """Of a student with two heads: each term reads one, each head learns from some."""
    heads = {}
    for term in config.objective:
        heads[head_of(term)] = term
        if any(inner.kind == "matryoshka" for inner in _nested(term)):
            yield "matryoshka trains vectors to be cut, and of two heads' vector a cut would leave the second one out"
    if None in heads:
        kind = heads[None].kind
        yield (
            f"the terms inside {kind} read labels and a teacher, and so both heads: write a {kind} for each, or name one, "
            f"{{kind: head, head: labels, terms: [{{kind: {kind}, ...}}]}}"
        )
    for name in HEADS:
        if config.steps and name not in heads:
            yield (
                f"no term reads the head {name!r}, which would learn nothing: add one that reads "
                f"{'labels' if name == 'labels' else 'a teacher'}, or use a student of kind dense"
            )


def _nested(term: Any) -> Iterator[Any]:
    """The term, and those inside it."""
    yield term
    for inner in getattr(term, "terms", ()):
        yield from _nested(inner)


def _of_languages(config: "Config", term: Any) -> Iterator[str]:
    """Of a term of the student or of its partner: both read the same lists."""
    told = config.document_languages
    if term.needs_variants and (told is None or told.mix != "all" or len(told.languages) < 2):
        yield f"{term.kind} compares languages: give `document_languages: {{mix: all, languages: [...]}}` with two or more"
    if told is not None and term.encoders:
        why = (
            "reads layers of an encoder, and was made for texts in one language"
            if term.reads_layers and not term.reads_vectors
            else "reads vectors of an encoder, which has read each document in one language"
        )
        yield f"{term.kind} {why}: it does not go with `document_languages`; take a term that reads a teacher's scores"
