"""The sparse student of two towers (DiSCo): a query encoder is trained towards the term weights of another's documents."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.collections.base import Collection
from retkd.parts import Part, SparseBase, one_of, registry
from retkd.parts import SparseEncoder as SparseEncoderField
from retkd.students.base import OneTransformer
from retkd.students.sparse import Sparse, term_weights
from retkd.students.towers import Tower, TwoTowers

if TYPE_CHECKING:
    from retkd.encoders.sparse_encoder import SparseEncoder
    from retkd.stage import Model


class EncodedQueries(OneTransformer):
    """A masked language model of its own, as in a sparse student: its logits over the tokens of the query."""

    kind: Literal["encoded"] = "encoded"
    base: SparseBase
    pooling: Literal["max", "sum"] = "max"
    head_bias: float = Field(default=-4.0, le=0.0, description="of every word, in a head that is made for the base")

    def modules(self, models: "Mapping[str, Model]", document: "SparseEncoder") -> list[Any]:
        """Those that weigh the terms of a query."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        return list(Sparse(**fields).made(models, "cpu").model)


class BagOfQueryTerms(Part):
    """A query is a bag of its word pieces, each of which has one learned weight, 1 to begin with: no model reads it."""

    kind: Literal["inference_free"] = "inference_free"

    def modules(self, models: "Mapping[str, Model]", document: "SparseEncoder") -> list[Any]:
        """The one that looks the weights up."""
        return [term_weights(document.tokenizer("document"), document.dim)]


SPARSE_QUERY_TOWERS = registry("sparse_query_towers", EncodedQueries, BagOfQueryTerms)
AnySparseQueryTower: Any = one_of(SPARSE_QUERY_TOWERS)


class SparseDocumentTower(Tower):
    """A sparse encoder as it is, of one with two towers that for documents. Frozen, it is not even run in training: its
    weights come from the store, and its inverted index stays right whatever becomes of the queries' tower."""

    base: SparseEncoderField


class AsymmetricSparse(TwoTowers):
    """Lupart et al. 2025 (DiSCo, SIGIR): two sparse towers behind a sentence-transformers ``Router``, over one vocabulary.

    Scores are inner products. Where the documents are frozen, a query learns which of their terms to ask for. A text keeps
    as many terms as the document tower's base lets it, its ``max_active_dims``: of queries too.
    """

    GIVES: ClassVar[str] = "asymmetric_sparse_encoder"
    REPRESENTS: ClassVar[str] = "sparse_encoder"
    TEMPERATURE: ClassVar[float] = 1.0

    kind: Literal["asymmetric_sparse"] = "asymmetric_sparse"
    query: AnySparseQueryTower
    document: SparseDocumentTower

    def made(self, models: "Mapping[str, Model]", device: str, collection: Collection | None = None) -> "SparseEncoder":
        """The untrained student. Raises :class:`ModelError` where the towers weigh different vocabularies."""
        from sentence_transformers import SparseEncoder as Loaded
        from sentence_transformers.base.modules import Router

        from retkd.encoders.sparse_encoder import SparseEncoder

        base = SparseEncoder.load(models[self.document.base].path)
        query, document = self.query.modules(models, base), base.tower("document")
        if getattr(document[-1], "embedding_dimension", base.dim) is None:
            # Else its first pass would tell it, and a folder that is saved before would have other bytes.
            document[-1].embedding_dimension = base.dim
        _require_one_vocabulary(query, document, f"{self.document.base}")
        for module in document:
            module.requires_grad_(not self.document.frozen)
        router = Router.for_query_document(query, document)
        prompts: Any = self.prompts_over(base.model)
        most = base.model.max_active_dims
        return SparseEncoder(Loaded(modules=[router], prompts=prompts, device=device, max_active_dims=most))


def _require_one_vocabulary(query: list[Any], document: list[Any], base: str) -> None:
    """The same word pieces under the same numbers, and as many weights."""
    from retkd.errors import ModelError

    asked, held = (dict(modules[0].tokenizer.get_vocab()) for modules in (query, document))
    widths = [modules[-1].get_embedding_dimension() for modules in (query, document)]
    if asked == held and widths[0] == widths[1]:
        return
    apart = sorted(piece for piece in asked.keys() | held.keys() if asked.get(piece) != held.get(piece))
    first = f", {len(apart):,} word pieces stand elsewhere or on one side alone, such as {apart[0]!r}" if apart else ""
    raise ModelError(
        "the towers of an asymmetric_sparse student weigh the terms of two vocabularies",
        where=f"student.document.base: {base}",
        seen=f"{widths[0]:,} terms of queries, {widths[1]:,} of documents{first}",
        allowed="one vocabulary: a query and a document meet term by term",
        next_step="choose a query tower with the tokeniser of the document tower, such as its own base",
    )
