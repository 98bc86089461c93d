"""VIRT: the map between a query's and a document's tokens, learned from the teacher's map of the same pair."""

from typing import TYPE_CHECKING, Any, Literal

from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass


class VIRT(PairedLayers):
    """:func:`retkd.losses.token_maps.map_difference`, or ``map_kl``, mean over own candidates and pairs of layers.

    The map is the softmax over the document's tokens of the products of hidden states, which an encoder has for any pair
    though it read both apart; with ``both_ways`` also that over the query's tokens. Li et al. 2022 take the teacher's map
    from the attention of a cross-encoder, Wang et al. 2022 (DiDE) from a fusion encoder's, both ways, with a KL; here the
    teacher is an encoder too, which reads the tokens as the student does. The products are divided by the square root of
    the width, as in DiDE.

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

        (query_mask, queries), batch, start, found = parts[0], scored.batch, 0, []
        query_of, place = batch.mask.nonzero(as_tuple=True)
        row = batch.candidates[query_of, place]
        for document_mask, documents in parts[1:]:
            here = (row >= start) & (row < start + len(document_mask))
            of_query, of_document = query_of[here], row[here] - start
            masks = query_mask[of_query], document_mask[of_document]
            for (own_q, other_q), (own_d, other_d) in zip(queries, documents, strict=True):
                student, teacher = (own_q[of_query], own_d[of_document]), (other_q[of_query], other_d[of_document])
                found.append(self._compared(student, teacher, masks))
                if self.both_ways:
                    found.append(self._compared(student[::-1], teacher[::-1], masks[::-1]))
            start += len(document_mask)
        return torch.cat(found).sum() / (len(row) * len(queries))

    def _compared(self, student: "Any", teacher: "Any", masks: "Any") -> "Tensor":
        """One number per pair of query and document."""
        from retkd.losses.token_maps import map_difference, map_kl, token_map

        own, other = (token_map(rows, columns, masks[1]) for rows, columns in (student, teacher))
        return (map_difference if self.difference == "squared" else map_kl)(own, other, *masks)
