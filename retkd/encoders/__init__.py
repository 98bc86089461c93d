"""Encoders by their kind: dense vectors, term weights, token vectors; and what they make of texts, compared."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from retkd.encoders.encoder import Encoder

WHAT = {
    "encoder": "one dense vector for a text",
    "sparse_encoder": "weights of terms",
    "late_interaction_encoder": "one vector for a token",
}
"""A kind of encoder -> what it makes of a text."""
FITTING = {
    "encoder": ("encoder", "asymmetric_encoder"),
    "sparse_encoder": ("sparse_encoder", "asymmetric_sparse_encoder"),
    "late_interaction_encoder": ("late_interaction_encoder",),
}
"""A kind of encoder -> what a stage may give to be read as one."""
CLASSES = {
    "SentenceTransformer": "encoder",
    "SparseEncoder": "sparse_encoder",
    "MultiVectorEncoder": "late_interaction_encoder",
}
"""sentence-transformers' own name of a kind of model, as its folders tell it -> the kind of encoder."""


def load_encoder(kind: str, path: Path, device: str = "cpu") -> "Encoder":
    """The model in ``path``, which is of this kind, a key of ``WHAT``."""
    if kind == "sparse_encoder":
        from retkd.encoders.sparse_encoder import SparseEncoder

        return SparseEncoder.load(path, device)
    if kind == "late_interaction_encoder":
        from retkd.encoders.late_interaction_encoder import LateInteractionEncoder

        return LateInteractionEncoder.load(path, device)
    assert kind == "encoder", kind
    from retkd.encoders.encoder import Encoder

    return Encoder.load(path, device)


def told_of(folder: Path) -> dict[str, Any]:
    """What a sentence-transformers folder tells of its kind and prompts; empty for a bare transformers folder."""
    path = folder / "config_sentence_transformers.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return told


def first_module(folder: Path) -> Path:
    """Where the transformer of a sentence-transformers or transformers folder lies; of two towers that of documents."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return folder
    first = folder / str(json.loads(listed.read_text(encoding="utf-8"))[0]["path"])
    routed = first / "router_config.json"
    if not routed.is_file():
        return first
    return first / str(json.loads(routed.read_text(encoding="utf-8"))["structure"]["document"][0])


def kind_in(path: Path) -> str:
    """The kind of encoder in a folder: a key of ``WHAT``. A bare transformers folder is a dense encoder."""
    return CLASSES.get(told_of(path).get("model_type", ""), "encoder")


def judges_pairs(folder: Path) -> bool:
    """Whether a folder holds a classifier of texts or pairs, such as a cross-encoder, and nothing that makes vectors of it."""
    config = folder / "config.json"
    if (folder / "modules.json").is_file() or not config.is_file():
        return False
    classes = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
    return any(str(name).endswith("ForSequenceClassification") for name in classes)


def all_scores(queries: Any, documents: Any) -> "np.ndarray":
    """Scores ``[query, document]`` of what an encoder made of them: a few of each, not a corpus."""
    import numpy as np

    from retkd.encoders.late_interaction_encoder import TokenRows

    if isinstance(queries, TokenRows):
        found = [[(q @ d.T).max(axis=1).sum() for d in documents] for q in queries]
        return np.array(found, dtype=np.float32).reshape(len(queries), len(documents))
    scores = queries @ documents.T
    return np.asarray(scores if isinstance(scores, np.ndarray) else scores.toarray())


def written_out(found: Any) -> "np.ndarray":
    """The vectors ``[row, dim]`` of what an encoder made of texts, zeros and all; a row is a text, or a token."""
    import numpy as np

    from retkd.encoders.late_interaction_encoder import TokenRows

    if isinstance(found, TokenRows):
        return found.vectors
    return found if isinstance(found, np.ndarray) else np.asarray(found.toarray())
