"""What of a train stage goes together: the student, its terms, what is trained beside it, the languages it reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retkd.encoders import WHAT
from retkd.objectives.base import leaves
from retkd.students import STUDENTS

if TYPE_CHECKING:
    from retkd.stages.train import Config


def misfits(config: "Config") -> Iterator[str]:
    """What does not go together and what to do about it, one sentence each."""
    student, partner = config.student, config.co_train
    exits, adaptation = bool(student.folders), getattr(student, "adaptation", None)
    if not config.objective and not (partner and partner.to_student):
        yield "the student would learn nothing: give it an `objective`, or `co_train` with `to_student` above 0"
    if partner is not None and (exits or student.REPRESENTS != "encoder"):
        yield "`co_train` teaches a dense student with one exit: use a student of another kind"
    if adaptation is not None and (exits or partner is not None):
        yield f"the adaptation {adaptation.kind} goes with a dense student that is trained alone"
    for term in [*config.objective, *leaves(config.objective)]:
        yield from _of_student(config, term)
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
    if term.needs_exits and not student.folders:
        yield f"the objective {term.kind} learns from a student's last exit: use a student of kind multi_exit"
    if term.reads_layers and student.kind != "dense":
        yield f"the objective {term.kind} reads layers, which a student of kind {student.kind} does not give: use `dense`"
    if term.reads_layers and adaptation is not None:
        yield f"the objective {term.kind} reads layers, which the adaptation {adaptation.kind} changes"
    if term.kind == "matryoshka" and getattr(adaptation, "width", False):
        yield "matryoshka trains the first coordinates, of which `width` of the adaptation prune takes some out: leave one out"


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


def _of_languages(config: "Config", term: Any) -> Iterator[str]:
    """Of a term of the student or of its partner: both read the same lists."""
    told = config.document_languages
    if term.needs_variants and (told is None or told.mix != "all" or len(told.languages) < 2):
        yield f"{term.kind} compares languages: give `document_languages: {{mix: all, languages: [...]}}` with two or more"
    if told is not None and term.encoders:
        yield (
            f"{term.kind} reads vectors of an encoder, which has read each document in one language: it does not go "
            "with `document_languages`; take a term that reads a teacher's scores"
        )
