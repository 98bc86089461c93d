"""Vectors cut to their first coordinates, as a Matryoshka student is trained for, and a model that gives such vectors."""

from typing import Any

import numpy as np

from retkd.errors import ModelError


def shortened(vectors: np.ndarray, dim: int) -> np.ndarray:
    """``[row, dim]``: the first coordinates of each row, made a unit vector again; a row of zeros stays one."""
    cut = np.ascontiguousarray(vectors[:, :dim], dtype=np.float32)
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    found: np.ndarray = np.divide(cut, lengths, out=np.zeros_like(cut), where=lengths > 0)
    return found


def require_narrower(dim: int, full: int, where: str) -> None:
    """Raise :class:`ModelError` where vectors of ``full`` coordinates cannot be cut to ``dim``."""
    if dim > full:
        raise ModelError(
            "vectors cannot be cut to more coordinates than they have",
            where=where,
            seen=dim,
            allowed=f"1 to {full}",
            next_step="lower `dim`, or leave it out for whole vectors",
        )


def cut_model(model: Any, dim: int) -> Any:
    """A sentence-transformers model of the same modules that gives the first ``dim`` coordinates as unit vectors.

    Its last modules are a dense one, which is the identity cut to ``dim`` rows, and a normalisation: nothing that a search
    stack would have to know about.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Dense

    full = int(model.get_embedding_dimension())
    weight = torch.eye(dim, full)
    cut = Dense(full, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=weight)
    kept = [module for module in model if not isinstance(module, Normalize)]
    return SentenceTransformer(modules=[*kept, cut, Normalize()], prompts=dict(model.prompts or {}), device="cpu")
