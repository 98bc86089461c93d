"""The sparse student (SPLADE): a weight for each term of the vocabulary, most of them 0."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.collections.base import Collection
from retkd.encoders import first_module, told_of
from retkd.parts import SparseBase
from retkd.students.base import OneTransformer

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder

PAST_ZERO = 20.0
"""Added to a hidden state, after which GELU and its like are the identity."""


class Sparse(OneTransformer):
    """Formal et al. 2021 (arXiv 2109.10086): log(1 + relu) of the masked language model's logits, the greatest over the
    tokens. Scores are inner products. Train it with `flops` or `l1`, without which texts keep thousands of terms.

    A base without such a head (most sentence encoders) gets one tied to its word embeddings: a token's own word has its
    greatest logit from the start, and ``head_bias`` keeps the other words out. A base that has a head keeps it.
    With ``query: inference_free`` a query is a bag of its word pieces, each of which has one learned weight.
    """

    GIVES: ClassVar[str] = "sparse_encoder"
    REPRESENTS: ClassVar[str] = "sparse_encoder"
    TEMPERATURE: ClassVar[float] = 1.0

    kind: Literal["sparse"] = "sparse"
    base: SparseBase
    pooling: Literal["max", "sum"] = "max"
    query: Literal["encoded", "inference_free"] = "encoded"
    head_bias: float = Field(default=-4.0, le=0.0, description="of every word, in a head that is made for the base")
    max_active: int | None = Field(default=None, ge=1, description="terms of a text that are kept when it is encoded")

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``."""
        from sentence_transformers import SparseEncoder as Loaded
        from sentence_transformers.base.modules import Router
        from sentence_transformers.sparse_encoder.modules import SpladePooling

        from retkd.encoders.sparse_encoder import SparseEncoder

        transformer = self._transformer(folder)
        self.shape(transformer, folder)
        size = transformer.auto_model.get_output_embeddings().weight.shape[0]
        modules: list[Any] = [transformer, SpladePooling(self.pooling, embedding_dimension=size)]
        if self.query == "inference_free":
            modules = [Router.for_query_document([term_weights(transformer.tokenizer, size)], modules)]
        prompts: Any = self.prompts if self.prompts is not None else told_of(folder).get("prompts")
        model = Loaded(modules=modules, prompts=prompts, device=device, max_active_dims=self.max_active)
        return SparseEncoder(model)

    def _transformer(self, folder: Path) -> Any:
        """The masked language model of a folder, with a head made for it where it has none."""
        from sentence_transformers.base.modules import Transformer
        from transformers import AutoModelForMaskedLM

        place = first_module(folder)
        try:
            _, told = AutoModelForMaskedLM.from_pretrained(place, output_loading_info=True)
        except ValueError as error:
            raise _no_masked_lm(folder, error) from error
        settings = Transformer.load_config(str(place))
        kept = {name: settings[name] for name in ("max_seq_length", "do_lower_case") if settings.get(name) is not None}
        transformer = Transformer(str(place), transformer_task="fill-mask", **kept)
        _make_head(transformer.auto_model, set(told["missing_keys"]), self.head_bias)
        return transformer


def _make_head(model: Any, missing: set[str], bias: float) -> None:
    """Set what the checkpoint did not have, in place, so that the logits are h . e of the word embeddings, plus ``bias``.

    Square layers become the identity beyond the reach of the activation; the norm behind them takes the shift out again.
    """
    import torch

    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if f"{name}.weight" not in missing or weight is None or weight.dim() != 2 or len(set(weight.shape)) != 1:
            continue
        with torch.no_grad():
            torch.nn.init.eye_(weight)
            if module.bias is not None:
                module.bias.fill_(PAST_ZERO)
    output = model.get_output_embeddings()
    output.weight = model.get_input_embeddings().weight
    if output.bias is not None and any(name.endswith("bias") and _is(model, name, output.bias) for name in missing):
        torch.nn.init.constant_(output.bias, bias)


def _is(model: Any, name: str, parameter: Any) -> bool:
    """Whether a dotted name leads to this very parameter."""
    return any(found is parameter for key, found in model.named_parameters(remove_duplicate=False) if key == name)


def term_weights(tokenizer: Any, size: int) -> Any:
    """The module that reads a text as a bag of word pieces with one learned weight each, 1 to begin with."""
    import torch
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    return SparseStaticEmbedding(tokenizer, torch.ones(size))


def _no_masked_lm(folder: Path, error: Exception) -> Exception:
    from retkd.errors import ModelError

    return ModelError(
        "a sparse student needs a base that can be a masked language model",
        where=folder,
        seen=str(error).splitlines()[0][:200],
        allowed="BERT, DistilBERT, RoBERTa, ModernBERT and the like, with or without their head",
        next_step="choose another base for the student",
    )
