"""A cross-encoder's attention between the tokens of a query and those of a document, in the places of a student's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.batch import Features
from retkd.batching import default_tokens_per_batch, pad_values, padded, places, token_batches
from retkd.errors import ModelError
from retkd.losses.token_maps import attention_map

Row = dict[str, list[int]]


@dataclass(frozen=True)
class Around:
    """What a tokeniser writes before, between and after two texts, and the type of each token of a pair."""

    markers: tuple[list[int], list[int], list[int]]
    types: tuple[int, int, int, int, int]

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """As a fast tokeniser does it for a pair."""
        told = tokenizer("a", "a")
        texts, ids = told.sequence_ids(0), told["input_ids"]
        first, second = texts.index(0), texts.index(1)
        starts = (0, len(texts) - texts[::-1].index(0), len(texts) - texts[::-1].index(1))
        before, between, after = (ids[a:b] for a, b in zip(starts, (first, second, len(ids)), strict=True))
        types = [*told.get("token_type_ids", [0] * len(ids)), 0]
        return cls((before, between, after), tuple(types[at] for at in (0, first, starts[1], second, starts[2])))  # type: ignore[arg-type]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.markers))

    def row(self, query: list[int], document: list[int]) -> Row:
        """The columns of one pair."""
        before, between, after = self.markers
        parts = (before, query, between, document, after)
        types = [kind for part, kind in zip(parts, self.types, strict=True) for _ in part]
        return {"input_ids": [*chain(*parts)], "attention_mask": [1] * len(types), "token_type_ids": types}


@dataclass(frozen=True)
class AttentionMaps:
    """Of each layer asked for, query to document and document to query: log-probabilities over what is masked in.

    The masks hold the tokens of the texts that the cross-encoder has read: no marker, no padding, nothing that it cut.
    """

    query_mask: Bool[Tensor, "pair row"]
    document_mask: Bool[Tensor, "pair column"]
    forth: list[Float[Tensor, "pair row column"]]
    back: list[Float[Tensor, "pair column row"]]


class CrossAttention:
    """The transformer of a cross-encoder, which reads pairs of texts that a student has tokenised.

    A pair longer than it can read loses the end of its document, or of a query that alone is as long. Raises
    :class:`ModelError` where a query's tokens do not attend to the document.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.body = model.base_model
        self.body.set_attn_implementation("eager")
        self.tokenizer = tokenizer
        self.around = Around.of(tokenizer)
        self.reads = {"token_type_ids"} & set(tokenizer.model_input_names) | {"input_ids", "attention_mask"}
        positions = getattr(self.body.config, "max_position_embeddings", None) or tokenizer.model_max_length
        self.room = min(positions, tokenizer.model_max_length) - self.around.count
        self._require_attention()

    def content(self, features: Features) -> Bool[Tensor, "text token"]:
        """Which tokens are a text's own: no padding, no marker."""
        named = [getattr(self.tokenizer, f"{name}_token_id") for name in ("cls", "sep", "bos", "eos", "pad")]
        ids = features["input_ids"]
        markers = torch.tensor([marker for marker in named if marker is not None], device=ids.device)
        return features["attention_mask"].bool() & ~torch.isin(ids, markers)

    @torch.no_grad()
    def maps(self, queries: Features, documents: Features, layers: Sequence[int]) -> AttentionMaps:
        """Those of these layers, from 1. Row n of both is pair n; each text must have a token of its own."""
        query_mask, document_mask = self._read(queries, documents)
        lengths = query_mask.sum(dim=1, keepdim=True)
        before, between, _ = map(len, self.around.markers)
        query_place = (before + query_mask.cumsum(dim=1) - 1).clamp(min=0)
        document_place = before + lengths + between + document_mask.cumsum(dim=1) - 1
        texts = zip(_kept(queries, query_mask), _kept(documents, document_mask), strict=True)
        rows = [self.around.row(query, document) for query, document in texts]
        passes = list(
            token_batches([len(r["input_ids"]) for r in rows], default_tokens_per_batch(self.body.device.type))
        )
        forth, back = [], []
        for pairs in passes:
            attentions = self._attentions([rows[pair] for pair in pairs], layers)
            here = torch.from_numpy(pairs).to(query_mask.device)
            query, document = (query_place[here], query_mask[here]), (document_place[here], document_mask[here])
            forth.append([attention_map(each, query[0], *document) for each in attentions])
            back.append([attention_map(each, document[0], *query) for each in attentions])
        place = torch.from_numpy(places(np.concatenate(passes))).to(query_mask.device)
        told = [[torch.cat(each)[place] for each in zip(*way, strict=True)] for way in (forth, back)]
        return AttentionMaps(query_mask, document_mask, *told)

    def _read(self, queries: Features, documents: Features) -> tuple[Tensor, Tensor]:
        """Which tokens of each pair's texts fit into it."""
        query_mask, document_mask = self.content(queries), self.content(documents)
        query_mask = query_mask & (query_mask.cumsum(dim=1) < self.room)
        room = self.room - query_mask.sum(dim=1, keepdim=True)
        return query_mask, document_mask & (document_mask.cumsum(dim=1) <= room)

    @torch.no_grad()
    def _require_attention(self) -> None:
        ids = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        (found,) = self._attentions([self.around.row(ids, ids)], [1])
        first = len(self.around.markers[0])
        second = first + len(ids) + len(self.around.markers[1])
        if not found[0, :, first, second].any():
            raise ModelError(
                "a query's tokens do not see the document in this cross-encoder, so its attention says nothing of the pair",
                where=type(self.body).__name__,
                allowed="an encoder, in which every token attends to every other",
                next_step="choose such a cross-encoder, or learn from this one's scores",
            )

    def _attentions(self, rows: Sequence[Row], layers: Sequence[int]) -> list[Float[Tensor, "pair head token token"]]:
        columns = {name: [row[name] for row in rows] for name in self.reads}
        features = {n: t.to(self.body.device) for n, t in padded(columns, pad_values(self.tokenizer)).items()}
        found = self.body(**features, output_attentions=True).attentions
        return [found[layer - 1].float() for layer in layers]


def _kept(features: Features, mask: Tensor) -> list[list[int]]:
    return [ids[kept].tolist() for ids, kept in zip(features["input_ids"], mask, strict=True)]
