"""A language model as teacher, one passage at a time: how likely is a given answer as its next token?"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.errors import ModelError
from retkd.llms import AnyLLM
from retkd.pair_scores import PairScores, pair_key, teacher_address
from retkd.parts import DataFile, Part, Scale, one_of
from retkd.progress import say
from retkd.prompt import Prompt, Template, is_cut, shipped_prompt, shortened
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, Teacher, by_split, pair_texts

if TYPE_CHECKING:
    from retkd.llms.base import NextToken


class YesNo(Part):
    """Log-odds of ``yes`` against ``no`` (Nogueira et al. 2020, monoT5, as a difference of logits)."""

    kind: Literal["yes_no"] = "yes_no"
    yes: str = "yes"
    no: str = "no"
    prompt: DataFile = shipped_prompt("pointwise")

    @property
    def words(self) -> list[str]:
        """The answers."""
        return [self.yes, self.no]

    def score(self, log_probabilities: np.ndarray) -> np.ndarray:
        """``[pair]`` from ``[pair, answer]``.

        >>> YesNo().score(np.array([[-1.0, -3.0]])).tolist()
        [2.0]
        """
        return np.asarray(log_probabilities[:, 0] - log_probabilities[:, 1])

    @property
    def scale(self) -> Scale:
        """A logit."""
        return "logit"


class Graded(Part):
    """Expected grade: each grade times its probability among the grades (Zhuang et al. 2024, fine-grained relevance).

    Its scale is ``unbounded``: differences mean something, but it is neither a probability nor a logit.
    """

    kind: Literal["graded"] = "graded"
    grades: dict[str, float] = Field(
        default={"0": 0.0, "1": 1.0, "2": 2.0, "3": 3.0}, min_length=2, description="answer -> its worth"
    )
    prompt: DataFile = shipped_prompt("graded")

    @property
    def words(self) -> list[str]:
        """The answers."""
        return list(self.grades)

    def score(self, log_probabilities: np.ndarray) -> np.ndarray:
        """``[pair]`` from ``[pair, answer]``.

        >>> Graded(grades={"a": 0.0, "b": 2.0}).score(np.log(np.array([[0.1, 0.3]]))).round(6).tolist()
        [1.5]
        """
        highest = log_probabilities.max(axis=1, keepdims=True)
        shares = np.exp(log_probabilities - highest)
        return np.asarray(shares @ np.array(list(self.grades.values())) / shares.sum(axis=1))

    @property
    def scale(self) -> Scale:
        """A mean of grades."""
        return "unbounded"


AnyAnswer: Any = one_of({"yes_no": YesNo, "graded": Graded})


class LLMPointwise(Teacher):
    """Scores from the probabilities of answer tokens; each pair once, pairs of one query one after the other."""

    kind: Literal["llm_pointwise"] = "llm_pointwise"
    llm: AnyLLM
    answer: AnyAnswer = YesNo()
    query_max_characters: int = Field(default=500, ge=8)
    document_max_characters: int = Field(default=2000, ge=16, description="a longer text is cut at a blank")
    max_unusable: float = Field(
        default=0.05, ge=0.0, le=1.0, description="share of pairs for which the model tells none of the answers"
    )
    pairs_per_shard: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _answers_differ(self) -> "LLMPointwise":
        if len(set(self.answer.words)) < len(self.answer.words):
            raise ValueError("the answers must differ from each other")
        return self

    @property
    def scales(self) -> tuple[Scale, ...]:
        """That of the answer."""
        return (self.answer.scale,)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw scores through the pair-score store; null where the model told the probability of none of the answers."""
        texts = pair_texts(splits, inputs)
        path = Path(self.answer.prompt)
        template = Template.read(path, ("query", "document"), varies="document")
        order = {query_id: number for number, query_id in enumerate(sorted(texts.queries))}
        with self.llm.opened(inputs) as session:
            store = PairScores(inputs.store / "scores" / teacher_address("llm", self._settings(session.identity, path)))
            found = store.get(
                [pair_key(texts.queries[q], texts.documents[d]) for q, d in texts.pairs],
                lambda positions: -np.array([order[texts.pairs[p][0]] for p in positions]),
                lambda positions: self._scores(name, session, template, texts, positions),
                plan_file=work / f"{name}-plan.npz",
                pairs_per_shard=self.pairs_per_shard,
                label=f"score {name}: {len(texts.pairs):,} pairs (shards)",
            )
            timings = {"new_answers": session.num_new, "tokens": session.tokens}
        unscored = np.isnan(found.values)
        self._require_usable(name, unscored)
        rate = float(found.truncated.mean()) if len(found.truncated) else 0.0
        return Judgement(
            by_split(splits, found.values),
            self.answer.scale,
            found.num_new,
            rate,
            unscored=by_split(splits, unscored),
            told={"unusable": int(unscored.sum())},
            timings=timings,
        )

    def _settings(self, identity: dict[str, Any], prompt: Path) -> dict[str, object]:
        return {
            "kind": self.kind,
            "llm": identity,
            "answer": {
                **self.answer.model_dump(mode="json"),
                "prompt": prompt.expanduser().read_text(encoding="utf-8"),
            },
            "characters": [self.query_max_characters, self.document_max_characters],
        }

    def _scores(
        self, name: str, session: Any, template: Template, texts: PairTexts, positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(texts.queries[q], texts.documents[d]) for q, d in (texts.pairs[p] for p in positions)]
        prompts = [self._prompt(template, query, document) for query, document in pairs]
        told = session.next_token(prompts, self.answer.words)
        cut = [is_cut(q, self.query_max_characters) or is_cut(d, self.document_max_characters) for q, d in pairs]
        return self.answer.score(_filled(told, name)).astype(np.float32), np.array(cut, dtype=bool)

    def _prompt(self, template: Template, query: str, document: str) -> Prompt:
        return template.filled(
            {
                "query": shortened(query, self.query_max_characters),
                "document": shortened(document, self.document_max_characters),
            }
        )

    def _require_usable(self, name: str, unscored: np.ndarray) -> None:
        share = float(unscored.mean()) if len(unscored) else 0.0
        if share > self.max_unusable:
            raise ModelError(
                f"the language model does not answer as the teacher {name} asks it to",
                seen=f"for {unscored.sum():,} of {len(unscored):,} pairs none of {', '.join(self.answer.words)} "
                "is among its most likely tokens",
                allowed=f"a share of {self.max_unusable:g} (max_unusable)",
                next_step="name the answers in the prompt, or choose answer words that the model uses",
            )


def _filled(told: "NextToken", name: str) -> np.ndarray:
    """Log-probabilities in which an answer that was not told has the floor; all NaN where none was told."""
    untold = np.isnan(told.values)
    some = untold.any(axis=1) & ~untold.all(axis=1)
    if some.any():
        say(
            f"{name}: {some.sum():,} of {len(some):,} pairs have an answer below what the API tells; it gets that bound"
        )
    values = np.where(untold, told.floors[:, None], told.values)
    values[untold.all(axis=1)] = math.nan
    return values
