"""What :class:`retkd.students.lora.Lora` does throughout a training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.training.companion import Companion

if TYPE_CHECKING:
    from retkd.students.lora import Lora


class Adapters(Companion):
    """Adapters inside the student's transformer, of which they are trained and checkpointed; all else there is frozen."""

    def __init__(self, part: "Lora", module: Any, base: str) -> None:
        super().__init__()
        self.keep_adapter = part.keep_adapter
        self.adapted = (adapted(module.auto_model, part, base),)

    def finish(self, encoder: Encoder, out: Path) -> None:
        """Add the adapters to the weights."""
        (model,) = self.adapted
        if self.keep_adapter:
            model.save_pretrained(str(out / "adapter"), save_embedding_layers=False)
            (out / "adapter" / "README.md").unlink(missing_ok=True)
        encoder.model[0].model = model.merge_and_unload()


def adapted(transformer: Any, part: "Lora", base: str) -> Any:
    """The ``PeftModel`` around the transformer, in which the adapters now are."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModelError(
            "the adaptation lora needs the package peft",
            where=f"student.adaptation of {base}",
            next_step="pip install 'retkd[lora]'",
        ) from error
    targets = part.targets if isinstance(part.targets, str) else list(part.targets)
    config = LoraConfig(r=part.rank, lora_alpha=part.alpha, lora_dropout=part.dropout, target_modules=targets)
    try:
        model = get_peft_model(transformer, config)
    except ValueError as error:
        linear = {n.rpartition(".")[2] for n, m in transformer.named_modules() if type(m).__name__ == "Linear"}
        raise ModelError(
            "the student has no such modules to adapt",
            where=f"student.adaptation of {base}",
            seen=part.targets,
            allowed=f"all-linear, or some of {', '.join(sorted(linear))}",
        ) from error
    model.peft_config["default"].base_model_name_or_path = base
    return model
