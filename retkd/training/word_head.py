"""The head of a masked language model on a student: what turns the state of a token into a logit for each word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retkd.encoders import first_module
from retkd.progress import say

ACTIVATIONS = ("classifier_activation", "hidden_act", "activation")
"""What configurations call the activation inside the head."""
OF_A_HEAD = (nn.Linear, nn.LayerNorm)
"""What a head of BERT's form has one of each, the decoder apart."""


class WordHead(nn.Module):
    """BERT's: a linear map, an activation, a LayerNorm, and a decoder with the word embeddings as its weights."""

    def __init__(
        self, dense: nn.Module, activation: Callable[[Tensor], Tensor], norm: nn.Module, decoder: nn.Linear
    ) -> None:
        super().__init__()
        self.dense, self.activation, self.norm, self.decoder = dense, activation, norm, decoder

    def forward(self, states: Float[Tensor, "word width"]) -> Float[Tensor, "word vocab"]:
        """A logit for each word of the vocabulary."""
        logits: Tensor = self.decoder(self.norm(self.activation(self.dense(states))))
        return logits


def word_head(transformer: Any, base: Path, name: str) -> WordHead:
    """The head that the checkpoint ``base`` has, where it fits the student's transformer; else a new one.

    A narrower student, or one with other words, gets a new one. ``name`` is the base's, for the line that says which.
    """
    found = own_head(transformer, base)
    say(f"mlm: {f'the head of {name}' if found else f'a new head, for {name} has none that fits the student'}")
    return (found or new_head(transformer)).to(transformer.device)


def new_head(transformer: Any) -> WordHead:
    """An untrained head, drawn as BERT's. Its decoder's weights are the word embeddings themselves."""
    from transformers.activations import ACT2FN

    table, config = transformer.get_input_embeddings(), transformer.config
    dense, norm = nn.Linear(config.hidden_size, table.embedding_dim), nn.LayerNorm(table.embedding_dim, eps=1e-12)
    decoder = nn.Linear(table.embedding_dim, table.num_embeddings)
    nn.init.normal_(dense.weight, std=getattr(config, "initializer_range", 0.02))
    for bias in (dense.bias, decoder.bias):
        nn.init.zeros_(bias)
    decoder.weight = table.weight
    return WordHead(dense, ACT2FN["gelu"], norm, decoder)


def own_head(transformer: Any, base: Path) -> WordHead | None:
    """The head that the checkpoint has; None where it has none of BERT's form, or it does not fit the transformer.

    Its decoder is tied to the student's word embeddings where the checkpoint ties it to its own.
    """
    from transformers import AutoModelForMaskedLM
    from transformers.activations import ACT2FN

    try:
        model, told = AutoModelForMaskedLM.from_pretrained(
            first_module(base), output_loading_info=True, dtype=torch.float32
        )
    except ValueError:
        return None
    decoder, table = model.get_output_embeddings(), transformer.get_input_embeddings()
    dense, norm = ([n for n, m in _outside(model) if type(m) is kind and m is not decoder] for kind in OF_A_HEAD)
    lacking = {key.rpartition(".")[0] for key in told["missing_keys"]}
    if len(dense) != 1 or len(norm) != 1 or lacking & {*dense, *norm}:
        return None
    into = model.get_submodule(dense[0])
    if into.in_features != transformer.config.hidden_size or decoder.weight.shape != table.weight.shape:
        return None
    if decoder.weight is model.get_input_embeddings().weight:
        decoder.weight = table.weight
    activation = next(getattr(model.config, name) for name in ACTIVATIONS if hasattr(model.config, name))
    return WordHead(into, ACT2FN[activation], model.get_submodule(norm[0]), decoder)


def _outside(model: Any) -> list[tuple[str, nn.Module]]:
    """The modules that do not belong to the encoder of a masked language model, by name."""
    return [(n, m) for n, m in model.named_modules() if n.partition(".")[0] != model.base_model_prefix]
