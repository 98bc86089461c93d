"""A small training: a one-layer student with dropout, twelve lists, InfoNCE and KL."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from retkd.batch import Example
from retkd.encoders.encoder import Encoder
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.students.dense import Dense
from retkd.training import trainer
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.optimisation import Optimisation
from retkd.training.passes import Passes
from tests.tiny import WORDS

OBJECTIVE = [KL(teacher="ce"), InfoNCE(weight=0.5)]


def examples(num_queries: int = 12, seed: int = 0) -> list[Example]:
    """Ragged lists of two to five documents, some of them shared; the first is relevant."""
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> list[int]:
        return torch.randint(0, 40, (count,), generator=generator).tolist()

    made = []
    for number in range(num_queries):
        ids = list(dict.fromkeys(draw(5)))[: 2 + number % 4]
        made.append(
            Example(
                query_id=f"q{number}",
                query=" ".join(WORDS[i] for i in draw(3)),
                doc_ids=tuple(f"d{i}" for i in ids),
                documents=tuple(" ".join(WORDS[i : i + 2 + i % 9]) for i in ids),
                relevance=tuple(int(i == 0) for i in range(len(ids))),
                teachers={"ce": tuple(float(s) for s in torch.randn(len(ids), generator=generator))},
                all_positives=frozenset([f"d{ids[0]}"]),
            )
        )
    return made


def student(base: Path, dropout: float | None = None) -> Encoder:
    """One layer of the base; its dropout is 0.1 unless told otherwise."""
    torch.manual_seed(0)
    return Dense(base="base", layers=[1], dropout=dropout).build(base, "cpu")


def trained(
    base: Path,
    work: Path,
    lists: Sequence[Example] | None = None,
    dev: Callable[[Encoder], dict[str, float]] | None = None,
    batch_queries: int = 4,
    seed: int = 3,
    objective: Sequence[Any] = OBJECTIVE,
    dropout: float | None = None,
    passes: Passes | None = None,
    **optimisation: Any,
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The trace and the weights after a training, begun or continued in ``work``."""
    encoder = student(base, dropout)
    told = Optimisation(**{"steps": 10, "learning_rate": 1e-3, "warmup_steps": 2, "save_every": 4, **optimisation})
    trace = trainer.train(
        DistilledEncoder(encoder, objective, passes=passes),
        examples() if lists is None else lists,
        Collator(encoder),
        told,
        batch_queries=batch_queries,
        seed=seed,
        work=work,
        device="cpu",
        label="train",
        dev=None if dev is None else lambda: dev(encoder),
    )
    return trace, {name: value.clone() for name, value in encoder.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
