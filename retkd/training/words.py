"""A term bound to one training whose texts are read a second time, without some of their words, which the student guesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from retkd.batch import Features, ScoredBatch
from retkd.encoders.encoder import Encoder, Side
from retkd.errors import ModelError
from retkd.losses.words import KEPT, masked, word_nll
from retkd.training.distillation import looked_up, word_embeddings
from retkd.training.passes import Passes
from retkd.training.word_head import word_head

if TYPE_CHECKING:
    from retkd.objectives.base import Training
    from retkd.objectives.mlm import MLM


@dataclass(frozen=True)
class StudentWords:
    """The student whose words are masked, how texts go through it, and the checkpoint that it was taken from."""

    encoder: Encoder
    passes: Passes
    base: Path
    name: str


class MaskedWords(nn.Module):
    """The masked-language-model loss of each batch. Its head is trained and checkpointed with the student.

    What is masked depends on the seed, the step and the text alone, and not on the batch around it: so it is the same in
    a training that goes on, and in every process.
    """

    def __init__(self, term: "MLM", training: "Training") -> None:
        super().__init__()
        assert training.words is not None
        self.term, self.seed, self.steps, self.words = term, training.seed, training.steps, training.words
        tokenizer = self.words.encoder.model.tokenizer
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "the student's tokeniser has no token for a masked word",
                where=f"the objective {term.kind!r}",
                seen=type(tokenizer).__name__,
                allowed="a base that was trained on masked words, such as BERT, RoBERTa or ModernBERT",
                next_step="leave the term out, or choose such a base",
            )
        self.mask_id, self.special = int(tokenizer.mask_token_id), torch.tensor(sorted(tokenizer.all_special_ids))
        transformer = self.words.encoder.model[0].auto_model
        self.num_words = int(transformer.get_input_embeddings().num_embeddings)
        self.head = word_head(transformer, self.words.base, self.words.name)

    def forward(self, scored: ScoredBatch) -> Tensor:
        """Mean over the masked words of the batch, in nats; 0 where none was masked."""
        step = round(scored.progress * self.steps)
        chunks = [self.without_words(*each, step) for each in texts(scored, self.term.sides)]
        sums = torch.cat(self.words.passes.through(self.guessed, chunks))
        count = torch.stack([(chunk["wanted"] != KEPT).sum() for chunk in chunks]).sum()
        value: Tensor = sums.sum() / count.clamp(min=1)
        return value

    def without_words(self, side: Side, chunk: Features, step: int) -> Features:
        """The chunk as the student reads it, and under ``wanted`` the words to guess."""
        ids = chunk["input_ids"]
        special = torch.isin(ids, self.special.to(ids.device))
        draws, others = drawn(ids, chunk["attention_mask"], self.num_words, (self.seed, step))
        maskable = chunk["attention_mask"].bool() & ~special
        read, wanted = masked(ids, maskable, draws, others, mask_id=self.mask_id, share=self.term.share)
        return {**chunk, "input_ids": read, "wanted": wanted, "side": side}  # type: ignore[dict-item]

    def guessed(self, chunks: Sequence[Features]) -> list[Tensor]:
        """The summed loss of each text's masked words, ``[text, 1]``. All chunks go through the head at once."""
        encoder = self.words.encoder
        wanted = [chunk["wanted"] for chunk in chunks]
        told = [{name: value for name, value in chunk.items() if name not in ("wanted", "side")} for chunk in chunks]
        found = [encoder.model[0](each)["token_embeddings"] for each in looked_up(word_embeddings(encoder), told)]
        states = torch.cat([each[words != KEPT] for each, words in zip(found, wanted, strict=True)])
        sizes = [len(words) for words in wanted]
        counts = torch.cat([(words != KEPT).sum(dim=1) for words in wanted])
        text = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        with torch.autocast(states.device.type, enabled=False):
            logits = self.head(states.float())
            nll = word_nll(logits, torch.cat([words[words != KEPT] for words in wanted]), text, len(counts))
        return list(torch.split(nll[:, None], sizes))


def texts(scored: ScoredBatch, sides: str) -> list[tuple[Side, Features]]:
    """The chunks of a batch whose words may be masked, each with the side of its texts."""
    found: list[tuple[Side, Features]] = []
    if sides != "documents":
        found.append(("query", scored.batch.queries))
    if sides != "queries":
        found += [("document", chunk) for chunk in scored.batch.documents]
    return found


def drawn(
    ids: Int[Tensor, "text token"], attention: Int[Tensor, "text token"], num_words: int, seeds: tuple[int, int]
) -> tuple[Float[Tensor, "text token"], Int[Tensor, "text token"]]:
    """(a draw for each token, a word for each), which the seeds and a text's own tokens give, whatever is padded to it."""
    draws, others = torch.ones(ids.shape), torch.zeros(ids.shape, dtype=torch.int64)
    for row, (own, valid) in enumerate(zip(ids.cpu(), attention.cpu().bool(), strict=True)):
        text = own[valid].numpy().astype(np.int64)
        key = int.from_bytes(blake2b(text.tobytes(), digest_size=8).digest(), "big")
        rng: Any = np.random.default_rng([*seeds, key])
        draws[row, valid] = torch.from_numpy(rng.random(len(text), dtype=np.float32))
        others[row, valid] = torch.from_numpy(rng.integers(num_words, size=len(text)))
    return draws.to(ids.device), others.to(ids.device)
