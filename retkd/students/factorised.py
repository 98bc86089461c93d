"""Narrower word embeddings and a projection behind them, begun from the base's by a singular value decomposition."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.errors import ModelError
from retkd.students.inheritance import Inheritance, Texts, reloaded

if TYPE_CHECKING:
    from torch import Tensor

POSITIONS_BEGIN = {"bert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1, "camembert": 1}
"""Architecture -> where its first position stands after the padding token's id; ELECTRA's stands at 0."""

SAME = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "type_vocab_size", "initializer_range", "layer_norm_eps"),
    *("pad_token_id", "bos_token_id", "eos_token_id"),
)


class Factorised(Inheritance):
    """Embeddings of ``rank`` numbers (XtremeDistil: Mukherjee & Awadallah 2020).

    The student becomes an ELECTRA model, which has BERT's layers, embeddings of their own size and a projection behind
    their LayerNorm: transformers and sentence-transformers load it as they are. Positions and token types, which ELECTRA
    adds to the narrow vectors, are projected with the words; with directions to spare the model computes what it did.
    """

    kind: Literal["factorised"] = "factorised"
    rank: int = Field(ge=2)

    def inherit(self, transformer: Any, texts: Texts, where: str) -> Any:
        """The module with an ELECTRA model."""
        transformer.model = factorised(transformer.model, self.rank, where)
        return reloaded(transformer)


def factorised(model: Any, rank: int, where: str) -> Any:
    """An ``ElectraModel`` with embeddings of width ``rank`` and the layers of ``model``."""
    import torch
    from transformers import ElectraModel

    _require_factorable(model, rank, where)
    config, tables = _config(model.config, rank), _tables(model)
    words, positions, types = tables.values()
    base = directions(words, positions, types, rank - 1)
    narrow = _without_mean(rank).T @ base.T * (rank / model.config.hidden_size) ** 0.5
    electra: Any = ElectraModel(config)
    electra.eval()
    norm = model.embeddings.LayerNorm
    with torch.no_grad():
        for name, table in tables.items():
            getattr(electra.embeddings, name).weight.copy_(table @ narrow.T)
        electra.embeddings.LayerNorm.weight.fill_(1.0)
        electra.embeddings.LayerNorm.bias.zero_()
        wide = base @ _without_mean(rank) * (model.config.hidden_size / rank) ** 0.5
        electra.embeddings_project.weight.copy_(norm.weight.double()[:, None] * wide)
        electra.embeddings_project.bias.copy_(norm.bias)
    electra.encoder.load_state_dict(model.encoder.state_dict())
    return electra


def directions(words: "Tensor", positions: "Tensor", types: "Tensor", count: int) -> "Tensor":
    """``[dim, count]``: the orthonormal directions that hold most of what the embeddings' LayerNorm reads.

    That is the sum of a word's, a position's and the first type's vector, less its mean over the dimensions, which the
    norm takes off; all words and positions count alike. The directions of a smaller ``count`` are among those of a
    larger one, so that the error of the projection never grows with ``count`` (Eckart and Young).
    """
    import torch

    words, positions, first = (_centred(table.double()) for table in (words, positions, types[:1]))
    mean = words.mean(dim=0) + positions.mean(dim=0) + first[0]
    spread = [(table - table.mean(dim=0)) / len(table) ** 0.5 for table in (words, positions)]
    stacked = torch.cat([*spread, mean[None]])
    vectors: Tensor = torch.linalg.eigh(stacked.T @ stacked).eigenvectors
    return vectors.flip(1)[:, :count]


def _centred(table: "Tensor") -> "Tensor":
    return table - table.mean(dim=1, keepdim=True)


def _without_mean(rank: int) -> "Tensor":
    """``[rank - 1, rank]``: orthonormal rows whose sum is 0, so that a LayerNorm takes no mean off what they carry."""
    import torch
    from scipy.linalg import helmert

    return torch.from_numpy(helmert(rank))


def _tables(model: Any) -> "dict[str, Tensor]":
    """Words, positions, token types; the means over dimensions, which the LayerNorm ignores, are taken off."""
    held = model.embeddings
    begin = POSITIONS_BEGIN[model.config.model_type] and held.padding_idx + 1
    names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    tables = {name: _centred(getattr(held, name).weight.detach().double()) for name in names}
    return {**tables, "position_embeddings": tables["position_embeddings"][begin:]}


def _config(config: Any, rank: int) -> Any:
    from transformers import ElectraConfig

    begin = POSITIONS_BEGIN[config.model_type] and config.pad_token_id + 1
    same = {name: getattr(config, name) for name in SAME}
    return ElectraConfig(**same, embedding_size=rank, max_position_embeddings=config.max_position_embeddings - begin)


def _require_factorable(model: Any, rank: int, where: str) -> None:
    config = model.config
    if (
        config.model_type not in POSITIONS_BEGIN
        or getattr(config, "embedding_size", config.hidden_size) != config.hidden_size
    ):
        raise ModelError(
            "the embeddings of this architecture cannot be factorised",
            where=where,
            seen=config.model_type if config.model_type not in POSITIONS_BEGIN else "embeddings that are factorised",
            allowed=", ".join(POSITIONS_BEGIN) + ", with embeddings as wide as the layers",
            next_step="choose another base, or leave the step `factorised` out",
        )
    if rank >= config.hidden_size:
        raise ModelError(
            "factorised embeddings must be narrower than the layers",
            where=f"student.initialisation of {where}",
            seen=f"rank {rank}",
            allowed=f"2 to {config.hidden_size - 1}",
        )
