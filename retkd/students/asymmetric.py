"""The asymmetric student: a small tower for queries before a deeper one for documents, both into the same vectors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from retkd.collections.base import Collection
from retkd.parts import Encoder as EncoderField
from retkd.parts import Part, one_of, registry
from retkd.students.base import OneTransformer
from retkd.students.towers import Tower, TwoTowers

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.stage import Model


class StaticTower(Part):
    """A query is the mean of its word pieces' vectors: a table and no transformer, some 100 times as fast.

    ``start: document_tower`` begins with what the document tower makes of each piece alone, ``word_embeddings`` with the
    table of its transformer.
    """

    kind: Literal["static"] = "static"
    start: Literal["document_tower", "word_embeddings"] = "document_tower"

    def modules(self, models: "Mapping[str, Model]", document: Any) -> list[Any]:
        """Those up to the pooled vector, whose width may differ from the documents'."""
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from tokenizers import Tokenizer

        from retkd.encoders.encoder import Encoder

        words = document[0].auto_model.get_input_embeddings().weight.detach().numpy().copy()
        vectors = words if self.start == "word_embeddings" else _alone(Encoder(document.eval()), len(words))
        tokenizer = Tokenizer.from_str(document.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        return [StaticEmbedding(tokenizer, embedding_weights=vectors)]


class TransformerTower(OneTransformer):
    """Some layers of an encoder, and their pooling, as in a dense student."""

    kind: Literal["transformer"] = "transformer"
    pooling: Literal["mean", "cls", "lasttoken", "max"] | None = None

    def modules(self, models: "Mapping[str, Model]", document: Any) -> list[Any]:
        """Those up to the pooled vector, whose width may differ from the documents'."""
        from retkd.students.dense import Dense

        fields = {name: getattr(self, name) for name in OneTransformer.model_fields}
        built = Dense(**fields, pooling=self.pooling, normalize=False).made(models, "cpu")
        return list(built.model)


QUERY_TOWERS = registry("query_towers", StaticTower, TransformerTower)
AnyQueryTower: Any = one_of(QUERY_TOWERS)


class DocumentTower(Tower):
    """An encoder as it is: all its layers, its pooling, its length. Frozen, it is not even run in training: its vectors
    come from the store, and those of the corpus stay right whatever becomes of the queries' tower."""

    base: EncoderField


class Asymmetric(TwoTowers):
    """Two towers behind a sentence-transformers ``Router``. A vector of a query gets the documents' width by a linear
    layer where it has another, and length 1 where theirs have."""

    GIVES: ClassVar[str] = "asymmetric_encoder"

    kind: Literal["asymmetric"] = "asymmetric"
    query: AnyQueryTower = StaticTower()
    document: DocumentTower

    def made(self, models: "Mapping[str, Model]", device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize, Router

        from retkd.encoders.encoder import Encoder

        folder = models[self.document.base].path
        document: Any = SentenceTransformer(str(folder), device="cpu")
        _require_one_tower(document, folder)
        query = self.query.modules(models, document)
        modules = [*query, *_widened(query, document.get_embedding_dimension())]
        if any(isinstance(module, Normalize) for module in document):
            modules.append(Normalize())
        if self.document.frozen:
            document.requires_grad_(False)
        router = Router.for_query_document(modules, list(document))
        prompts: Any = self.prompts_over(document)
        return Encoder(SentenceTransformer(modules=[router], prompts=prompts, device=device))


def _widened(query: list[Any], width: int) -> list[Any]:
    """A linear layer to ``width`` where the query's vector has another, orthogonal to begin with."""
    import torch
    from sentence_transformers.base.modules import Dense

    own = next(dim for module in reversed(query) if (dim := module.get_embedding_dimension()) is not None)
    if own == width:
        return []
    dense = Dense(own, width, bias=False, activation_function=torch.nn.Identity())
    torch.nn.init.orthogonal_(dense.linear.weight)
    return [dense]


def _alone(encoder: "Encoder", num_pieces: int) -> Any:
    """``[piece, dim]``: what the encoder makes of each piece of its vocabulary between its markers."""
    import numpy as np
    import torch

    from retkd.batching import default_tokens_per_batch, token_batches

    tokenizer = encoder.tokenizer("document")
    bare, marked = (tokenizer("a", add_special_tokens=told)["input_ids"] for told in (False, True))
    start = next(i for i in range(len(marked)) if marked[i : i + len(bare)] == bare)
    before, behind = marked[:start], marked[start + len(bare) :]
    width = len(before) + 1 + len(behind)
    columns = {"attention_mask": [1] * width, "token_type_ids": [0] * width}
    read = [name for name in columns if name in tokenizer.model_input_names]
    found = np.empty((num_pieces, encoder.dim), dtype=np.float32)
    with torch.inference_mode():
        for batch in token_batches([width] * num_pieces, default_tokens_per_batch("cpu")):
            rows = {name: [columns[name]] * len(batch) for name in read}
            rows["input_ids"] = [[*before, piece, *behind] for piece in batch.tolist()]
            found[batch] = encoder.forward(rows, "document").numpy()
    return found


def _require_one_tower(document: Any, folder: object) -> None:
    from sentence_transformers.base.modules import Transformer

    from retkd.errors import ModelError

    if not isinstance(document[0], Transformer) or document.tokenizer is None:
        raise ModelError(
            "the document tower of an asymmetric student is to be a text encoder that begins with a transformer",
            where=folder,
            seen=type(document[0]).__name__,
            next_step="choose another base for student.document",
        )
