"""VIRT: the map between a query's and a document's tokens, learned from the teacher's map of the same pair."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import Batch, ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass


class VIRT(PairedLayers):
    """:func:`retkd.losses.token_maps.map_difference`, or ``map_kl``, mean over own candidates and pairs of layers.

    The map is the softmax over the document's tokens of the products of hidden states, which an encoder has for any pair
    though it read both apart; with ``both_ways`` also that over the query's tokens. The teacher is an encoder too, which
    reads the tokens as the student does; `virt_cross` takes its map from the attention of a cross-encoder, as Li et al. 2022
    do. The products are divided by the square root of the width, as in DiDE (Wang et al. 2022).

    The states of the paired layers of one whole batch are held, of the teacher too.
    """

    kind: Literal["virt"] = "virt"
    difference: Literal["squared", "kl"] = "squared"
    both_ways: bool = False

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(mask, [(student's, teacher's)] states of each pair of layers)."""
        pairs = self.pairs(term.about)
        return seen.student.mask, [(seen.student.hidden[one], seen.teacher.hidden[other]) for one, other in pairs]

    def value(self, parts: list[Any], scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """Mean over own candidates and pairs of layers, summed over the directions."""
        import torch

        from retkd.losses.token_maps import token_map

        (query_mask, queries), found = parts[0], []
        pairs = pairs_of(scored.batch, [len(mask) for mask, _ in parts[1:]])
        for (of_query, of_document), (document_mask, documents) in zip(pairs, parts[1:], strict=True):
            masks = query_mask[of_query], document_mask[of_document]
            for (own_q, other_q), (own_d, other_d) in zip(queries, documents, strict=True):
                student, teacher = (own_q[of_query], own_d[of_document]), (other_q[of_query], other_d[of_document])
                own, other = (token_map(rows, columns, masks[1]) for rows, columns in (student, teacher))
                found.append(self._compared(own, other, masks))
                if self.both_ways:
                    own, other = (token_map(columns, rows, masks[0]) for rows, columns in (student, teacher))
                    found.append(self._compared(own, other, masks[::-1]))
        return torch.cat(found).sum() / (scored.batch.mask.sum() * len(queries))

    def _compared(self, own: "Tensor", other: "Tensor", masks: "Any") -> "Tensor":
        """One number per pair of query and document."""
        from retkd.losses.token_maps import map_difference, map_kl

        return (map_difference if self.difference == "squared" else map_kl)(own, other, *masks)


def pairs_of(batch: "Batch", sizes: "Sequence[int]") -> "Iterator[tuple[Tensor, Tensor]]":
    """(query, document) of each own candidate, chunk by chunk of documents of these sizes, counted within the chunk."""
    query_of, place = batch.mask.nonzero(as_tuple=True)
    row, start = batch.candidates[query_of, place], 0
    for size in sizes:
        here = (row >= start) & (row < start + size)
        yield query_of[here], row[here] - start
        start += size
