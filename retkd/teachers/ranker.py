"""Teachers that order a query's candidates by asking a language model about several of them at a time.

An order is found by a generator (:data:`Ordering`): it yields questions, is sent their answers, and returns the order. So
the same ordering runs with any model, and the questions of all queries go out together, round by round. Answers are kept
(retkd/answers.py): whatever ends a run, the next one asks only what nobody has asked.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from retkd.errors import ModelError
from retkd.llms import AnyLLM
from retkd.parts import DataFile, Scale
from retkd.prompt import Template, is_cut, shortened
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, Teacher, pair_texts

if TYPE_CHECKING:
    from retkd.llms.base import Session

Question = tuple[int, ...]
"""Places of candidates in the miner's order, as they are shown to the model."""
Ordering = Generator[list[Question], list[str], list[int]]
"""Yields questions, is sent the answers, returns the places of the ranked candidates, best first."""


@dataclass
class Mends:
    """What was wrong with answers and how it was mended. ``records`` go into the artifact; ``counts`` into its metrics."""

    num_answers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, answer: str, found: dict[str, int], shown: int) -> None:
        """Count an answer. ``found`` says what is wrong with it, and how often; empty when nothing is."""
        self.num_answers += 1
        if found:
            self.counts.update(found)
            self.records.append({"documents": shown, **found, "answer": answer[:500]})


@dataclass(frozen=True)
class CandidateList:
    """One query's candidates by the miner's rank. ``rows`` are positions among the chosen rows of the split."""

    split: str
    query_id: str
    rows: list[int]
    doc_ids: list[str]


class Ranker(Teacher):
    """Ranks the first ``depth`` candidates of each query. Scale ``rank``: depth - rank + 1, so higher is better."""

    llm: AnyLLM
    prompt: DataFile
    depth: int = Field(
        default=100, ge=2, description="candidates of a query, by the miner's rank; the others stay unranked"
    )
    keep_positives: bool = Field(
        default=False, description="judged positives below depth are ranked too, in the place of the last candidates"
    )
    query_max_characters: int = Field(default=500, ge=8)
    document_max_characters: int = Field(default=1200, ge=16, description="a longer text is cut at a blank")
    max_tokens: int = Field(ge=1, description="of one answer")
    max_unusable: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="share of answers that name no candidate at all, checked after each round",
    )

    @abstractmethod
    def ordering(self, num_documents: int, mends: Mends) -> Ordering:
        """How the order of that many candidates is found."""

    @abstractmethod
    def label(self, place: int) -> str:
        """How the candidate at a place of a question is named to the model: ``[1]``."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """An order."""
        return ("rank",)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Ranks as scores; rows that are not ranked are marked."""
        texts, lists = pair_texts(splits, inputs), self._lists(splits)
        template = Template.read(Path(self.prompt), self._fields, varies="documents")
        mends = [Mends() for _ in lists]
        with self.llm.opened(inputs) as session:
            asking = _Asking(self, name, template, texts, lists, session)
            orders = asking.answered(
                [self.ordering(len(each.rows), m) for each, m in zip(lists, mends, strict=True)], mends
            )
            timings = {"new_answers": session.num_new, "tokens": session.tokens}
        scores = {rows.split: np.zeros(len(rows.chosen), dtype=np.float32) for rows in splits}
        unscored = {rows.split: np.ones(len(rows.chosen), dtype=bool) for rows in splits}
        for each, order in zip(lists, orders, strict=True):
            for rank, place in enumerate(order, 1):
                scores[each.split][each.rows[place]] = self.depth - rank + 1
                unscored[each.split][each.rows[place]] = False
        shown = [texts.documents[doc_id] for each in lists for doc_id in each.doc_ids]
        cut = sum(is_cut(text, self.document_max_characters) for text in shown)
        return Judgement(
            scores,
            "rank",
            session.num_new,
            cut / max(len(shown), 1),
            unscored=unscored,
            told=_counts(mends),
            timings=timings,
            log=_log(lists, mends),
        )

    @property
    def _fields(self) -> tuple[str, ...]:
        return ("query", "documents")

    def _lists(self, splits: list[Rows]) -> list[CandidateList]:
        found = []
        for rows in splits:
            columns = (rows.table[c].to_numpy(zero_copy_only=False) for c in ("query_id", "doc_id", "rank"))
            ids, doc_ids, ranks = (column[rows.chosen] for column in columns)
            positive = rows.table["relevance"].fill_null(0).to_numpy(zero_copy_only=False)[rows.chosen] > 0
            by_query: dict[str, list[int]] = {}
            for row in np.argsort(ranks, kind="stable"):
                by_query.setdefault(str(ids[row]), []).append(int(row))
            for query_id, of_query in sorted(by_query.items()):
                mine = np.array(of_query)
                first = self._first(mine, positive)
                found.append(CandidateList(rows.split, query_id, first, [str(doc_ids[row]) for row in first]))
        return found

    def _first(self, rows: np.ndarray, positive: np.ndarray) -> list[int]:
        first, below = rows[: self.depth], rows[self.depth :]
        late = below[positive[below]][: self.depth] if self.keep_positives else below[:0]
        replaceable = [i for i in reversed(range(len(first))) if not positive[first[i]]][: len(late)]
        kept = [row for i, row in enumerate(first) if i not in replaceable]
        return [int(row) for row in [*kept, *late[: len(replaceable)]]]


@dataclass
class _Asking:
    """Runs orderings side by side, one round of questions at a time."""

    teacher: Ranker
    name: str
    template: Template
    texts: PairTexts
    lists: list[CandidateList]
    session: "Session"

    def answered(self, orderings: Sequence[Ordering], mends: list[Mends]) -> list[list[int]]:
        """The order that each ordering returns."""
        orders: dict[int, list[int]] = {}
        waiting: dict[int, list[Question]] = {}
        for i, ordering in enumerate(orderings):
            self._advance(i, ordering, None, waiting, orders)
        number = 0
        while waiting:
            number += 1
            asked = [(i, question) for i, questions in waiting.items() for question in questions]
            label = f"score {self.name}: round {number}, {len(asked):,} questions"
            prompts = [self._prompt(i, question) for i, question in asked]
            answers = iter(self.session.complete(prompts, self.teacher.max_tokens, label))
            for i, questions in [*waiting.items()]:
                del waiting[i]
                self._advance(i, orderings[i], [next(answers) for _ in questions], waiting, orders)
            self._require_usable(mends)
        return [orders[i] for i in range(len(orderings))]

    def _advance(
        self,
        i: int,
        ordering: Ordering,
        answers: list[str] | None,
        waiting: dict[int, list[Question]],
        orders: dict[int, list[int]],
    ) -> None:
        try:
            waiting[i] = next(ordering) if answers is None else ordering.send(answers)
        except StopIteration as end:
            orders[i] = end.value

    def _prompt(self, i: int, question: Question) -> Any:
        each, limit = self.lists[i], self.teacher.document_max_characters
        shown = [shortened(self.texts.documents[each.doc_ids[place]], limit) for place in question]
        lines = [f"{self.teacher.label(n)} {text}" for n, text in enumerate(shown)]
        query = self.texts.queries[f"{each.split}/{each.query_id}"]
        values = {
            "query": shortened(query, self.teacher.query_max_characters),
            "documents": "\n".join(lines),
            "num": str(len(question)),
        }
        return self.template.filled(values)

    def _require_usable(self, mends: list[Mends]) -> None:
        unusable, num_answers = sum(m.counts["unusable"] for m in mends), sum(m.num_answers for m in mends)
        if unusable > self.teacher.max_unusable * num_answers:
            example = next(r["answer"] for m in mends for r in m.records if "unusable" in r)
            raise ModelError(
                f"the language model does not answer as the teacher {self.name} asks it to",
                where=f"{unusable:,} of {num_answers:,} answers name no candidate",
                seen=repr(example[:200]),
                allowed=f"a share of {self.teacher.max_unusable:g} (max_unusable)",
                next_step="change the prompt, take another model, or raise max_tokens if answers are cut short",
            )


def _counts(mends: list[Mends]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for each in mends:
        total.update(each.counts)
    return {"answers": sum(each.num_answers for each in mends), **dict(sorted(total.items()))}


def _log(lists: list[CandidateList], mends: list[Mends]) -> list[dict[str, Any]]:
    return [
        {"split": each.split, "query_id": each.query_id, **record}
        for each, mended in zip(lists, mends, strict=True)
        for record in mended.records
    ]
