"""Queries mixed in an encoder's space of words, and brought back to words (AugPro)."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.generators.augmented import Augmented
from retkd.parts import AnyModel
from retkd.stage import Inputs

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_AT_ONCE = 64


class NearestTokens(Augmented):
    """Word embeddings of a query, mixed place by place with those of another, each replaced by the nearest token.

    So a teacher can read and label what was mixed. The weight is drawn for each place, with mean ``share``, which 1 makes 1
    everywhere: the query's own tokens. One weight for a whole query would do nothing in the space of a real model, whose
    tokens are far from each other: above a half every nearest token is the query's own. AugPro-Mix (Zhou et al. 2023, from
    its abstract; drawing by place is ours).
    """

    REVISION: ClassVar[int] = 2  # a weight for each place, where one weight made no variants

    kind: Literal["nearest_tokens"] = "nearest_tokens"
    model: AnyModel = Field(description="whose tokeniser and word embeddings")
    share: float = Field(default=0.6, gt=0.0, le=1.0, description="mean weight of the query itself")

    def variants(self, queries: Sequence[str], num: int, inputs: Inputs) -> list[list[str]]:
        """Mixed with ``num`` other queries drawn by the seed; what comes out as the query itself is left out."""
        from transformers import AutoModel, AutoTokenizer

        folder = str(inputs.models[self.model].path)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        table = AutoModel.from_pretrained(folder).get_input_embeddings().weight.detach()
        ids = [tokenizer(query, add_special_tokens=False)["input_ids"] for query in queries]
        same = {tokenizer.decode(own) for own in ids}
        made = []
        for own, query in zip(ids, queries, strict=True):
            lots = random.Random(f"{inputs.seed} {query}")
            others = lots.sample(range(len(ids)), min(num, len(ids)))
            texts = [str(tokenizer.decode(self._mixed(own, ids[other], table, tokenizer, lots))) for other in others]
            made.append([text for text in dict.fromkeys(texts) if text and text not in same])
        return made

    def _mixed(
        self, own: Sequence[int], other: Sequence[int], table: "Tensor", tokenizer: Any, lots: random.Random
    ) -> list[int]:
        # u ^ ((1 - share) / share) of a uniform u has the mean `share`.
        shares = [lots.random() ** (1 / self.share - 1) for _ in own]
        return mixed(own, other, table, shares, frozenset(tokenizer.all_special_ids))


def mixed(
    own: Sequence[int], other: Sequence[int], table: "Tensor", shares: Sequence[float], never: frozenset[int]
) -> list[int]:
    """Token ids nearest (by Euclidean distance) to share * own + (1 - share) * other, at each place of ``own``.

    Places that ``other`` does not reach stay. ``table`` is ``[vocab, dim]``; ids in ``never`` are not chosen.
    """
    import torch

    reach = min(len(own), len(other))
    if not reach:
        return list(own)
    share = torch.tensor(shares[:reach], dtype=table.dtype).unsqueeze(1)
    rows = share * table[list(own[:reach])] + (1 - share) * table[list(other[:reach])]
    found: list[int] = []
    for start in range(0, reach, TOKENS_AT_ONCE):
        distances = torch.cdist(rows[start : start + TOKENS_AT_ONCE], table)
        distances[:, sorted(never)] = torch.inf
        found += distances.argmin(dim=1).tolist()
    return [*found, *own[reach:]]
