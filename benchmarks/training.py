"""A training step: retkd's trainer against ``SentenceTransformerTrainer`` with ``DistillKLDivLoss``.

Both run their own whole loop: collator, forward, backward, clipping, AdamW, schedule, a log line per step. The clock
ticks at the end of every optimiser step, so the time of a step holds all of that, and neither start nor checkpoint.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.limit import Work
from benchmarks.measure import Contender, Outcome, Subject, interleaved
from benchmarks.setting import SPLIT, Setting
from retkd.batch import Example
from retkd.encoders.encoder import Encoder
from retkd.training.optimisation import Optimisation

if TYPE_CHECKING:
    from retkd.objectives.base import Objective
    from retkd.training.passes import Passes

TEMPERATURE = 0.05
TOLERANCE = 1e-4
TEACHER = "teacher"


@dataclass(frozen=True)
class Loss:
    """A loss of sentence-transformers and retkd's term of the same value. ``unit``: what one of the loss' own units is of it."""

    name: str
    term: Callable[[], "Objective"]
    peer: Callable[[Any], Any]
    unit: float = 1.0


def _kl_term() -> "Objective":
    from retkd.objectives import KL

    return KL(teacher=TEACHER, student_temperature=TEMPERATURE, teacher_temperature=TEMPERATURE, weight=TEMPERATURE**2)


def _kl_peer(model: Any) -> Any:
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss

    return DistillKLDivLoss(model, temperature=TEMPERATURE)


KL_DIVERGENCE = Loss("DistillKLDivLoss", _kl_term, _kl_peer, TEMPERATURE**2)


@dataclass(frozen=True)
class Lesson:
    """The same start, the same lists in the same order, the same optimiser, for both."""

    setting: Setting
    examples: list[Example]
    optimisation: Optimisation

    @property
    def in_order(self) -> list[Example]:
        """The examples of every step in the order in which retkd's trainer goes through them."""
        from retkd.training.trainer import Examples

        rows = self.optimisation.steps * self.setting.sizes.batch_queries
        ordered = Examples(self.examples, rows, self.setting.seed)
        return [ordered[row] for row in range(rows)]


def measure(setting: Setting) -> dict[str, Any]:
    """Seconds per optimiser step, on lists of a positive and BM25 negatives, from the same student."""
    lesson = prepared(setting)
    own, peer = (student_of(setting) for _ in range(2))
    contenders = [
        Contender("retkd train", lambda: _from_the_start(own, run_retkd, lesson), ours=True),
        Contender("SentenceTransformerTrainer", lambda: _from_the_start(peer, run_peer, lesson), as_called=True),
        Contender(
            "SentenceTransformerTrainer, a pass per column",
            lambda: _from_the_start(peer, run_peer, lesson, merged=False),
        ),
    ]
    lengths, facts = real_tokens(lesson, own)
    gflop = Work.of(own.model[0].auto_model).training(lengths) / setting.sizes.steps
    subject = Subject("training", "steps", 1, gflop, TOLERANCE, facts)
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)


def prepared(setting: Setting) -> Lesson:
    """Lists of real text with a positive, scored by the whole encoder as teacher."""
    sizes = setting.sizes
    optimisation = Optimisation(steps=sizes.steps + 1, warmup_steps=2, save_every=10_000)
    lists = setting.candidate_lists(optimisation.steps * sizes.batch_queries, judged=True)
    qrels = setting.collection.qrels(SPLIT)
    examples = []
    for each in lists:
        positives = frozenset(doc_id for doc_id, grade in qrels[each.query_id].items() if grade > 0)
        order = sorted(range(len(each.doc_ids)), key=lambda i: each.doc_ids[i] not in positives)
        chosen = order[: sizes.documents_per_query]
        doc_ids = tuple(each.doc_ids[i] for i in chosen)
        examples.append(
            Example(
                query_id=each.query_id,
                query=each.query,
                doc_ids=doc_ids,
                documents=tuple(each.documents[i] for i in chosen),
                relevance=tuple(int(doc_id in positives) for doc_id in doc_ids),
                teachers={},
                all_positives=positives,
            )
        )
    return Lesson(setting, _taught(examples, Encoder.load(setting.model)), optimisation)


def run_retkd(lesson: Lesson, student: Encoder, loss: Loss = KL_DIVERGENCE, passes: "Passes | None" = None) -> Outcome:
    """Train with retkd's trainer; the loss of each step in its own unit."""
    from retkd.training.collator import Collator
    from retkd.training.distillation import DistilledEncoder
    from retkd.training.trainer import train

    setting, work = lesson.setting, lesson.setting.work / "retkd"
    shutil.rmtree(work, ignore_errors=True)
    with _step_clock() as ends:
        trace = train(
            DistilledEncoder(student, [loss.term()], passes=passes),
            lesson.examples,
            Collator(student),
            lesson.optimisation,
            batch_queries=setting.sizes.batch_queries,
            seed=setting.seed,
            work=work,
            device="cpu",
            label="retkd",
        )
    return _outcome([row["loss"] for row in trace], ends, loss.unit)


def run_peer(lesson: Lesson, student: Encoder, loss: Loss = KL_DIVERGENCE, merged: bool = True) -> Outcome:
    """Train with sentence-transformers' trainer; ``merged``: its default, all document columns in one padded pass."""
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.base.losses.merged_forward import column_merging_disabled
    from transformers.trainer_callback import PrinterCallback

    with ExitStack() as stack:
        if not merged:
            stack.enter_context(column_merging_disabled())
        ends = stack.enter_context(_step_clock())
        trainer = SentenceTransformerTrainer(
            model=student.model,
            args=_arguments(lesson),
            train_dataset=_columns(lesson.in_order),
            loss=loss.peer(student.model),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return _outcome([row["loss"] for row in trainer.state.log_history if "loss" in row], ends, loss.unit)


def _arguments(lesson: Lesson) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler

    return SentenceTransformerTrainingArguments(
        output_dir=str(lesson.setting.work / "peer"),
        max_steps=lesson.optimisation.steps,
        per_device_train_batch_size=lesson.setting.sizes.batch_queries,
        learning_rate=lesson.optimisation.learning_rate,
        warmup_steps=lesson.optimisation.warmup_steps,
        lr_scheduler_type=lesson.optimisation.schedule,
        weight_decay=lesson.optimisation.weight_decay,
        max_grad_norm=lesson.optimisation.max_grad_norm,
        batch_sampler=lambda dataset, **options: DefaultBatchSampler(SequentialSampler(dataset), **options),
        seed=lesson.setting.seed,
        use_cpu=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        dataloader_pin_memory=False,
    )


def _columns(examples: list[Example]) -> Any:
    from datasets import Dataset

    width = len(examples[0].documents)
    documents = {f"document{position}": [e.documents[position] for e in examples] for position in range(width)}
    labels = [list(e.teachers[TEACHER]) for e in examples]
    return Dataset.from_dict({"query": [e.query for e in examples], **documents, "label": labels})


def _taught(examples: list[Example], teacher: Encoder) -> list[Example]:
    texts = {doc_id: text for e in examples for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
    rows = dict(zip(texts, teacher.encode(list(texts.values()), "document"), strict=True))
    queries = teacher.encode([e.query for e in examples], "query")
    scores = [[float(query @ rows[doc_id]) for doc_id in e.doc_ids] for e, query in zip(examples, queries, strict=True)]
    told = zip(examples, scores, strict=True)
    return [Example(**{**vars(example), "teachers": {TEACHER: tuple(own)}}) for example, own in told]


def student_of(setting: Setting, dropout: float = 0.0) -> Encoder:
    """Some layers of the model, the same in every run."""
    from retkd.students.dense import Dense

    layers = list(setting.sizes.student_layers)
    return Dense(base=str(setting.model), layers=layers, dropout=dropout).build(setting.model, "cpu")


def real_tokens(lesson: Lesson, student: Encoder) -> tuple[list[int], dict[str, Any]]:
    """Lengths of every text of the timed steps, each once per batch, and what is told of them."""
    size, lengths, places = lesson.setting.sizes.batch_queries, [], 0
    for start in range(size, len(lesson.examples), size):
        batch = lesson.in_order[start : start + size]
        texts = {doc_id: text for e in batch for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
        places += sum(len(e.doc_ids) for e in batch)
        for side, own in (("query", [e.query for e in batch]), ("document", list(texts.values()))):
            lengths += [len(row) for row in student.tokenize(own, side)["input_ids"]]
    queries = len(lesson.examples) - size
    steps = lesson.setting.sizes.steps
    facts = {
        "real_tokens_per_step": sum(lengths) / steps,
        "documents_per_step": places / steps,
        "shared_documents": places - (len(lengths) - queries),
        "student_layers": list(lesson.setting.sizes.student_layers),
        "timed_steps": steps,
    }
    return lengths, facts


def _from_the_start(student: Encoder, run: Callable[..., Outcome], lesson: Lesson, **options: Any) -> Outcome:
    """The run, and then the student as it was before."""
    before = deepcopy(student.model.state_dict())
    outcome = run(lesson, student, **options)
    student.model.load_state_dict(before)
    return outcome


@contextmanager
def _step_clock() -> Iterator[list[float]]:
    """The time at the end of each optimiser step, of whatever optimiser."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    ends: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: ends.append(time.perf_counter()))
    yield ends
    hook.remove()


def _outcome(losses: list[float], ends: list[float], unit: float) -> Outcome:
    """Losses in their own unit; seconds per step after the first, which warms up."""
    return Outcome(np.array(losses) / unit, (ends[-1] - ends[0]) / (len(ends) - 1))
