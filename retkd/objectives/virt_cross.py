"""VIRT from a cross-encoder: the map between a query's and a document's tokens, learned from attention across both."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from retkd.objectives.base import Training
from retkd.objectives.virt import VIRT, pairs_of
from retkd.parts import CrossEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import Features, ScoredBatch
    from retkd.matchers.cross_attention import AttentionMaps
    from retkd.training.layer_term import LayerTerm, Pass
    from retkd.training.states import Reads


class VIRTCross(VIRT):
    """As `virt`, of a cross-encoder of the student's tokeniser, which reads each pair of the batch's own lists online.

    Its map is :func:`retkd.losses.token_maps.attention_map`: the mean over the heads of a layer, from the query's tokens to
    the document's; ``both_ways`` adds the way back. Layers of the teacher count from 1. Markers count on neither side, and what
    the cross-encoder cuts off a pair does not count on the student's. Li et al. 2022 (VIRT), Wang et al. 2022 (DiDE: both
    ways, with a KL); after SimXNS's code, but for its softmax over the shares, which here are divided by their sum.

    A kind of its own, because it names another kind of model, which reads pairs and not a student's passes.
    """

    kind: Literal["virt_cross"] = "virt_cross"  # type: ignore[assignment]
    model: CrossEncoder

    @model_validator(mode="after")
    def _layers_attend(self) -> "VIRTCross":
        if not isinstance(self.layers, str) and not all(teacher for _, teacher in self.layers):
            raise ValueError("the embeddings' output, layer 0, has no attention: the teacher's layers count from 1")
        return self

    @property
    def reads_pairs(self) -> bool:
        """Always."""
        return True

    @property
    def layer_model(self) -> None:
        """None: a cross-encoder reads pairs, not the student's passes."""

    @property
    def reads_partner(self) -> bool:
        """Never: it runs without gradient."""
        return False

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """The student's states, and nothing of the passes of an encoder."""
        from retkd.training.states import Reads

        return super().reads(training, step, progress)[0], Reads()

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """The student's states of each pair of layers."""
        return [seen.student.hidden[one] for one, _ in self.pairs(term.about)]

    def value(self, parts: list[Any], scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """Mean over own candidates and pairs of layers, summed over the directions; a pair without tokens is left out."""
        import torch

        batch, teacher = scored.batch, term.about.pair_teachers[self.model]
        found, num_pairs = [parts[0][0].new_zeros(1)], 0
        sizes = [len(documents["input_ids"]) for documents in batch.documents]
        for documents, states, pairs in zip(batch.documents, parts[1:], pairs_of(batch, sizes), strict=True):
            kept = teacher.content(batch.queries).any(dim=1)[pairs[0]] & teacher.content(documents).any(dim=1)[pairs[1]]
            query, document = (each[kept] for each in pairs)
            num_pairs += len(query)
            if len(query):
                texts = of_rows(batch.queries, query), of_rows(documents, document)
                maps = teacher.maps(*texts, [other for _, other in self.pairs(term.about)])
                for number, (own_q, own_d) in enumerate(zip(parts[0], states, strict=True)):
                    found += self._both(own_q[query], own_d[document], maps, number)
        return torch.cat(found).sum() / (max(num_pairs, 1) * len(parts[0]))

    def _both(self, query: "Tensor", document: "Tensor", maps: "AttentionMaps", number: int) -> "list[Tensor]":
        """One number per pair of query and document, of each direction."""
        from retkd.losses.token_maps import token_map

        masks = maps.query_mask, maps.document_mask
        found = [self._compared(token_map(query, document, masks[1]), maps.forth[number], masks)]
        if self.both_ways:
            found.append(self._compared(token_map(document, query, masks[0]), maps.back[number], masks[::-1]))
        return found


def of_rows(features: "Features", rows: "Tensor") -> "Features":
    """The texts of these rows."""
    return {name: column[rows] for name, column in features.items()}
