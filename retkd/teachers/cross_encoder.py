"""A Hugging Face cross-encoder as teacher: raw scores, batches by tokens, each pair once."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.errors import ModelError
from retkd.matchers.labels import Labels
from retkd.matchers.pair_models import Attention, Precision, load_model
from retkd.matchers.passages import Passages
from retkd.matchers.templates import NOTHING_AROUND, PairTemplate, own_template
from retkd.pair_scores import teacher_address
from retkd.parts import CrossEncoder as CrossEncoderField
from retkd.parts import Scale
from retkd.stage import Inputs, Model
from retkd.teachers.base import Judgement, Rows, Teacher, pair_texts
from retkd.teachers.stored import Stored, pair_lengths, pairs_of

ALWAYS_NAMED = ("kind", "max_length", "query_max_length", "precision")
CHANGES_NO_SCORE = ("model", "pairs_per_shard")
PASSAGE_FIELDS = ("passage_tokens", "passage_stride", "max_passages")


class CrossEncoderTeacher(Teacher):
    """A sequence-classification model; by default one with one label (its logit) or two (the difference of the logits)."""

    kind: Literal["cross_encoder"] = "cross_encoder"
    model: CrossEncoderField
    labels: Labels = Field(
        default="auto",
        description="auto, difference (second label minus first), expected_grade, or {positive: NAME, negative: NAME}",
    )
    template: PairTemplate | None = Field(
        default=None, description="what stands around query and document; default: the model's own saved prompt"
    )
    max_length: int = Field(default=256, ge=8, description="tokens of query, document and special tokens together")
    query_max_length: int = Field(default=64, ge=2, description="tokens of the query; a longer one is cut first")
    long_documents: Literal["first", "max_passages"] = Field(
        default="first", description="first: as much as fits. max_passages: the greatest score of its passages"
    )
    passage_tokens: int = Field(default=180, ge=1, description="a document of more tokens is cut into passages")
    passage_stride: int = Field(default=90, ge=1, description="tokens from the start of one passage to the next")
    max_passages: int = Field(default=16, ge=1, description="passages of one document that are scored")
    precision: Precision = "fp32"
    attention: Attention = Field(default="auto", description="auto: the model's own; flash: CUDA in half precision")
    backend: Literal["torch", "onnx", "openvino"] = Field(default="torch", description="onnx, openvino: on the CPU")
    quantise: Literal["none", "int8"] = Field(default="none", description="int8: backend onnx or openvino")
    pairs_per_shard: int = Field(default=2048, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "CrossEncoderTeacher":
        if self.passage_stride > self.passage_tokens:
            raise ValueError("passage_stride exceeds passage_tokens: tokens between two passages would never be read")
        if self.backend == "torch" and self.quantise != "none":
            raise ValueError("quantise: int8 needs backend: onnx or openvino")
        if self.backend != "torch" and (self.precision, self.attention) != ("fp32", "auto"):
            raise ValueError(f"backend: {self.backend} computes in fp32: leave precision and attention out")
        return self

    @property
    def scales(self) -> tuple[Scale, ...]:
        """A logit, or the expected grade of several labels."""
        return ("logit", "unbounded")

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw scores through the pair-score store."""
        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        scorer = self.scorer(model, inputs)
        return Stored(name, splits, inputs, work, texts, self.address(model), self.pairs_per_shard).judge(
            lambda positions: pair_lengths(scorer, texts, positions),
            lambda positions: scorer.score_with_cuts(pairs_of(texts, positions), inputs.runtime.tokens_per_batch),
            scorer.readout.scale,
        )

    def scorer(self, model: Model, inputs: Inputs) -> Any:
        """The :class:`PairScorer` of these fields."""
        from retkd.matchers.cross_encoder import PairScorer

        passages = Passages(self.passage_tokens, self.passage_stride, self.max_passages)
        return PairScorer.around(
            model.path,
            self._loaded(model, inputs),
            self.max_length,
            self.query_max_length,
            labels=self.labels,
            template=self.template,
            passages=passages if self.long_documents == "max_passages" else None,
        )

    def _loaded(self, model: Model, inputs: Inputs) -> Any:
        from retkd.resources import device

        runtime = inputs.runtime
        if self.backend != "torch":
            from retkd.matchers.pair_graph import load_graph

            if runtime.device not in ("auto", "cpu"):
                raise ModelError(
                    f"backend: {self.backend} runs on the CPU",
                    where="runtime.device",
                    seen=runtime.device,
                    allowed="auto, cpu",
                    next_step="set runtime.device: auto, or backend: torch",
                )
            device("cpu", runtime.threads)
            return load_graph(model, inputs.store, self.backend, self.quantise, runtime.threads)
        loaded = load_model(model.path, device(runtime.device, runtime.threads), self.precision, self.attention)
        if runtime.compile:
            loaded.compile(dynamic=True)
        return loaded

    def address(self, model: Model) -> str:
        """Where this teacher's scores lie. A field at its default adds nothing, so that a new field moves no old score."""
        named = {*ALWAYS_NAMED, *(PASSAGE_FIELDS if self.long_documents == "max_passages" else ())}
        unread = {*CHANGES_NO_SCORE, *PASSAGE_FIELDS, "template"}
        told, fields = self.model_dump(mode="json"), type(self).model_fields
        changed = {name for name, field in fields.items() if getattr(self, name) != field.default} - unread
        settings: dict[str, object] = {name: told[name] for name in fields if name in named | changed}
        template = self.template or own_template(model.path)
        if template != NOTHING_AROUND:
            settings["template"] = template.model_dump(mode="json")
        return teacher_address(model.digest, settings)
