"""Heads of a student: linear maps behind its pooling."""

from typing import Any


def head(dim: int, output: str | None = None) -> Any:
    """A linear map of the pooled vector that begins as the identity; it gives its own under ``output``, default: in its place."""
    import torch
    from sentence_transformers.base.modules import Dense as Linear

    return Linear(
        dim,
        dim,
        activation_function=torch.nn.Identity(),
        init_weight=torch.eye(dim),
        init_bias=torch.zeros(dim),
        module_output_name=output,
    )
