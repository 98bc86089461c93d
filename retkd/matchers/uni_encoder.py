"""A uni-encoder: the candidates of a query are read in one pass, and the query once for all of them.

    [CLS] query [SEP] candidate 1 [SEP] candidate 2 [SEP] ...

Every candidate's positions begin where the query ends, its token type is 1, and it sees the query and itself. Two masks
differ in what the query sees:

* ``blocked``: itself alone. Then a score depends on its own pair alone, and the query's keys and values can be computed
  once and lent to batches of candidates: no pass holds more than one candidate per row, no [token, token] mask is built.
* ``arrow``: the whole pass. From the second layer on a score depends on the other candidates of its pass.

Song et al. 2023, "Uni-Encoder", section 3. Here the head is that of :mod:`retkd.matchers.segment_head`, on the means of the
texts' own tokens; theirs is a linear map of the candidate's mean, markers included. Their masked-language-model loss is left out.
The folder holds the encoder, ``uni_head.safetensors`` and ``uni_encoder.json`` (the mask; candidates per pass).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.batch import Features
from retkd.errors import ModelError
from retkd.matchers.segment_head import SegmentHead, mean_of

UniMask = Literal["blocked", "arrow"]
SETTINGS_FILE = "uni_encoder.json"
ARCHITECTURES = ("bert",)
PADDING, CONTEXT = -1, 0
"""Owners of a token; the candidates of a pass are 1, 2, ..."""


class UniEncoder(SegmentHead):
    """A BERT encoder that scores lists. ``candidates_per_pass`` matters to the arrow mask alone."""

    HEAD_FILE: ClassVar[str] = "uni_head.safetensors"

    def __init__(self, encoder: Any, mask: UniMask = "blocked", candidates_per_pass: int = 8) -> None:
        if encoder.config.model_type not in ARCHITECTURES:
            raise ModelError(
                "a uni-encoder places tokens and masks by hand, which this architecture was not tried with",
                seen=encoder.config.model_type,
                allowed=", ".join(ARCHITECTURES),
                next_step="choose a BERT base such as MiniLM, or another head",
            )
        super().__init__(encoder)
        self.mask: UniMask = mask
        self.candidates_per_pass = candidates_per_pass

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32, **loading: Any) -> Self:
        """A uni-encoder's folder with its head, mask and pass; any other encoder's with new ones."""
        model = super().load(folder, dtype, **loading)
        if (folder / SETTINGS_FILE).is_file():
            told = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            model.mask, model.candidates_per_pass = told["mask"], told["candidates_per_pass"]
        return model

    def save_pretrained(self, folder: str) -> None:
        """Write the encoder, the head and the settings."""
        super().save_pretrained(folder)
        told = {"mask": self.mask, "candidates_per_pass": self.candidates_per_pass}
        (Path(folder) / SETTINGS_FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")

    def forward(self, inputs: Sequence[Features]) -> Float[Tensor, "cand"]:
        """Scores in the order of the inputs: whole passes for ``arrow``; for ``blocked`` the contexts, then candidates."""
        if self.mask == "arrow":
            return torch.cat([self.passes(each)[each["valid"]] for each in inputs])
        contexts = self.contexts(inputs[0])
        return torch.cat([self.candidates(contexts, each) for each in inputs[1:]])

    def passes(self, features: Features) -> Float[Tensor, "pass cand"]:
        """Scores of whole passes under this model's mask. ``owner`` and ``text`` (no marker) are ``[pass, token]``."""
        owner, text, valid = (features[name] for name in ("owner", "text", "valid"))
        states = self.base_model(
            input_ids=features["input_ids"],
            token_type_ids=self._token_types(owner > CONTEXT),
            position_ids=features["position_ids"],
            attention_mask=self._additive(allowed(owner, self.mask)).unsqueeze(1),
        ).last_hidden_state
        query = mean_of(states, text & (owner == CONTEXT))
        owners = torch.arange(1, valid.shape[1] + 1, device=owner.device)
        weights = ((owner.unsqueeze(1) == owners.view(1, -1, 1)) & text.unsqueeze(1)).to(states.dtype)
        means = weights @ states / weights.sum(dim=2, keepdim=True).clamp(min=1)
        scores = self.compare(query.unsqueeze(1).expand_as(means).flatten(0, 1), means.flatten(0, 1))
        return scores.view(valid.shape)

    def contexts(self, features: Features) -> "Contexts":
        """Queries on their own, as the blocked mask lets them be read."""
        real = features["attention_mask"].bool()
        kept = _Recorded()
        states = self.base_model(
            input_ids=features["input_ids"],
            token_type_ids=self._token_types(torch.zeros_like(real)),
            position_ids=features["position_ids"],
            attention_mask=self._additive(real)[:, None, None, :],
            past_key_values=kept,
        ).last_hidden_state
        return Contexts(kept.layers, real, mean_of(states, features["text"]))

    def candidates(self, contexts: "Contexts", features: Features) -> Float[Tensor, "cand"]:
        """Scores of candidates ``[cand, token]`` that see the context named by ``query`` ``[cand]`` and themselves.

        Equal to the blocked mask's, at the cost of a pass over the candidates alone.
        """
        query, real = features["query"], features["attention_mask"].bool()
        seen = torch.cat([contexts.mask[query], real], dim=1)
        states = self.base_model(
            input_ids=features["input_ids"],
            token_type_ids=self._token_types(torch.ones_like(real)),
            position_ids=features["position_ids"],
            attention_mask=self._additive(seen)[:, None, None, :],
            past_key_values=_Lent(contexts.layers, query),
        ).last_hidden_state
        return self.compare(contexts.means[query], mean_of(states, features["text"]))

    def _token_types(self, candidate: Bool[Tensor, "text token"]) -> Tensor:
        return candidate.long() if self.config.type_vocab_size > 1 else torch.zeros_like(candidate, dtype=torch.long)

    def _additive(self, seen: Bool[Tensor, "..."]) -> Tensor:
        """0 where a token may look, the least number elsewhere: what every attention implementation takes."""
        zeros = torch.zeros(seen.shape, dtype=self.base_model.dtype, device=seen.device)
        return zeros.masked_fill(~seen, torch.finfo(zeros.dtype).min)


def allowed(owner: Tensor, mask: UniMask) -> Bool[Tensor, "pass token token"]:
    """Who may look at whom in a pass, from the ``owner`` ``[pass, token]`` of each token; nobody at padding."""
    seen = (owner == CONTEXT).unsqueeze(1) | (owner.unsqueeze(2) == owner.unsqueeze(1))
    if mask == "arrow":
        seen = seen | (owner == CONTEXT).unsqueeze(2)
    return seen & (owner != PADDING).unsqueeze(1)


class Contexts:
    """Queries that were read: keys and values ``[query, head, token, width]`` of each layer, mask and mean vectors."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]], mask: Tensor, means: Tensor) -> None:
        self.layers = layers
        self.mask = mask
        self.means = means


class _Recorded:
    """In the place of a cache: remembers each layer's keys and values and changes nothing."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    def get_seq_length(self) -> int:
        return 0

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        assert layer == len(self.layers)
        self.layers.append((keys, values))
        return keys, values


class _Lent:
    """In the place of a cache: puts the contexts' keys and values before the candidates' own."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]], rows: Tensor) -> None:
        self.layers = layers
        self.rows = rows

    def get_seq_length(self) -> int:
        return int(self.layers[0][0].shape[2])

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        lent_keys, lent_values = self.layers[layer]
        return torch.cat([lent_keys[self.rows], keys], dim=2), torch.cat([lent_values[self.rows], values], dim=2)
