"""How alike a student and its teacher are before any training, and what the student costs.

DisWOT (Dong et al. 2023) ranks students by the likeness of relations among samples and of what the activations point at;
it does so for image classifiers with random weights. Here the relations are those of the texts' vectors, and the
activation of a token is how far its state points the way of its text's vector.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.layers import stack

TEXTS_AT_ONCE = 32


def relation_distance(one: Float[Tensor, "text one_dim"], other: Float[Tensor, "text other_dim"]) -> float:
    """Mean squared difference of the cosines of all pairs of texts: 0 for equal vectors and for rotated ones."""
    grams = [torch.nn.functional.normalize(each.double(), dim=1) for each in (one, other)]
    return float((grams[0] @ grams[0].T - grams[1] @ grams[1].T).square().mean())


def activation_distance(one: Sequence[Float[Tensor, " token"]], other: Sequence[Float[Tensor, " token"]]) -> float:
    """Mean squared distance of the texts' activations, each scaled to length 1."""
    pairs = zip(one, other, strict=True)
    units = [[torch.nn.functional.normalize(each.double(), dim=0) for each in pair] for pair in pairs]
    return float(torch.stack([(a - b).square().sum() for a, b in units]).mean())


def activations(encoder: Encoder, texts: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
    """Vectors ``[text, dim]`` of the texts as documents, and for each text the cosine of every token's state with its vector."""
    encoder.model.eval()
    vectors, maps = [], []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        columns = encoder.tokenize(texts[start : start + TEXTS_AT_ONCE], "document")
        with torch.no_grad():
            told = encoder.model(encoder.features(columns, "document"))
        pooled, states = told["sentence_embedding"].float(), told["token_embeddings"].float()
        if pooled.shape[1] != states.shape[2]:
            raise ModelError(
                "the activations of this encoder cannot be told: its vectors are no sums of its token states",
                seen=f"vectors of {pooled.shape[1]}, states of {states.shape[2]} dimensions",
                next_step="choose a teacher that pools its token states and has no projection behind them",
            )
        cosines = torch.nn.functional.cosine_similarity(states, pooled[:, None], dim=2)
        vectors.append(pooled.cpu())
        maps += [row[: len(ids)].cpu() for row, ids in zip(cosines, columns["input_ids"], strict=True)]
    return torch.cat(vectors), maps


def distances(
    student: Encoder, teacher: tuple[Tensor, list[Tensor]], texts: Sequence[str], name: str
) -> dict[str, float]:
    """``relation`` and ``activation`` from the teacher's :func:`activations`. Raises where tokens are not the same."""
    vectors, maps = activations(student, texts)
    for text, own, other in zip(texts, maps, teacher[1], strict=True):
        if len(own) != len(other):
            raise ModelError(
                "the student and the teacher do not read the same tokens, so that their activations cannot be compared",
                where=f"students.{name}",
                seen=f"{len(own)} and {len(other)} tokens in {text[:60]!r}",
                next_step="give both the same max_length, and bases with one tokeniser",
            )
    return {
        "relation": relation_distance(vectors, teacher[0]),
        "activation": activation_distance(maps, teacher[1]),
    }


def randomise(encoder: Encoder, seed: int) -> None:
    """Give the transformer new random weights, in place."""
    transformer = encoder.model[0].auto_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(transformer)(transformer.config)
    transformer.load_state_dict(fresh.state_dict())


def costs(encoder: Encoder, num_tokens: int) -> dict[str, int]:
    """Parameters, those of them in the layers, and floating-point operations of one text of so many tokens."""
    transformer: Any = encoder.model[0].auto_model
    layers, hidden = stack(transformer), transformer.config.hidden_size
    in_layers = sum(p.numel() for p in layers.parameters())
    return {
        "parameters": encoder.num_parameters,
        "in_layers": in_layers,
        "flops": operations(in_layers, len(layers), hidden, num_tokens),
    }


def operations(in_layers: int, num_layers: int, hidden: int, num_tokens: int) -> int:
    """Two per parameter of the layers and token, and four per layer, dimension and pair of tokens for attention.

    >>> operations(10_000, 2, 32, 10)
    225600
    """
    return 2 * in_layers * num_tokens + 4 * num_layers * hidden * num_tokens**2
