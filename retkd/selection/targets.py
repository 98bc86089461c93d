"""Sparse targets: a teacher's distribution over a long list, kept as the weights of a few documents.

A list of a thousand scored candidates is a distribution p = softmax(scores / temperature); training on it would encode a
thousand documents for each query. Draws keep it on average, the top k do not.
"""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from retkd.parts import Part, Scale, one_of, registry


class Target(Part):
    """Weights of the documents of one list, most of them 0."""

    SCALES: ClassVar[tuple[Scale, ...]] = ("logit", "log_probability", "cosine", "unbounded", "standardised")
    RULE: ClassVar[str] = (
        "a softmax needs differences that mean something: take the logit of a probability; a rank has none"
    )

    teacher: str
    temperature: float = Field(
        default=1.0, gt=0.0, description="of the teacher's softmax; p is kept at this temperature"
    )

    def weights(self, scores: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Float64 weights in the order of ``scores``."""
        raise NotImplementedError


class Sampled(Target):
    """``num_draws`` independent draws from p with replacement; a document's weight is its count over ``num_draws``.

    Unbiased: the mean over draws is p, and so is the mean gradient of a cross-entropy whose softmax sees the whole list.
    With ``proposal_temperature`` the draws come from softmax(scores / proposal_temperature) and each count is multiplied
    by p over that: still unbiased, and wider than p where it is above ``temperature``; the weights then sum to 1 only on average.
    Random-sampling knowledge distillation (RS-KD, "Sparse Logit Sampling"), from tokens of a vocabulary to documents.
    """

    kind: Literal["sampled"] = "sampled"
    num_draws: int = Field(default=12, ge=1)
    proposal_temperature: float | None = Field(default=None, gt=0.0, description="default: draw from p itself")

    def weights(self, scores: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """count / num_draws, times p / q where there is a proposal q."""
        p = softmax(scores / self.temperature)
        if self.proposal_temperature is None:
            return np.asarray(generator.multinomial(self.num_draws, p) / self.num_draws)
        q = softmax(scores / self.proposal_temperature)
        counts = generator.multinomial(self.num_draws, q)
        return np.asarray(np.divide(counts * p, q * self.num_draws, out=np.zeros_like(p), where=counts > 0))


class TopK(Target):
    """The ``k`` likeliest documents, p renormalised over them; ties by the miner's rank.

    Biased: all that the tail of p holds is given to the head, so the student learns to be surer than its teacher.
    """

    kind: Literal["top_k"] = "top_k"
    k: int = Field(default=12, ge=1)

    def weights(self, scores: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """p over the k best, 0 elsewhere."""
        kept = np.argsort(-scores, kind="stable")[: self.k]
        weights = np.zeros(len(scores))
        weights[kept] = softmax(scores[kept] / self.temperature)
        return weights


def softmax(scores: np.ndarray) -> np.ndarray:
    """A distribution in float64."""
    weights = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(weights / weights.sum())


TARGETS = registry("targets", Sampled, TopK)

AnyTarget: Any = one_of(TARGETS)
