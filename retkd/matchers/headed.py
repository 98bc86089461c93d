"""An encoder with a head of its own, in one folder."""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn


class HeadedEncoder(nn.Module):
    """``HEAD_FILE`` holds the parameters beside the encoder's in the model's folder, and so tells which model it is."""

    HEAD_FILE: ClassVar[str]

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.base_model = encoder

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32, **loading: Any) -> Self:
        """An encoder folder; with its head when it has one, else with a new one. ``loading``: for ``from_pretrained``."""
        from safetensors.torch import load_file
        from transformers import AutoModel

        model = cls(AutoModel.from_pretrained(str(folder), dtype=dtype, **loading))
        if (folder / cls.HEAD_FILE).is_file():
            missing, unexpected = model.load_state_dict(load_file(folder / cls.HEAD_FILE), strict=False)
            assert not unexpected
            assert all(name.startswith("base_model.") for name in missing)
        return model

    def save_pretrained(self, folder: str) -> None:
        """Write the encoder and the head."""
        from safetensors.torch import save_file

        self.base_model.save_pretrained(folder)
        head = {name: v for name, v in self.state_dict().items() if not name.startswith("base_model.")}
        save_file({name: v.detach().cpu().contiguous() for name, v in head.items()}, Path(folder) / self.HEAD_FILE)

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return self.base_model.config

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
