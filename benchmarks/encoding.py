"""Corpus encoding: retkd's Encoder against ``SentenceTransformer.encode``."""

from typing import Any

from benchmarks.limit import Work
from benchmarks.measure import Contender, Subject, interleaved, timed
from benchmarks.setting import Setting

TOLERANCE = 1e-4


def measure(setting: Setting) -> dict[str, Any]:
    """Vectors of passages from all over the corpus."""
    from retkd.encoder import Encoder

    texts = setting.passages()
    encoder = Encoder.load(setting.model)
    peer = Encoder.load(setting.model).model
    contenders = [
        Contender("retkd Encoder.encode", timed(lambda: encoder.encode(texts, "document")), ours=True),
        Contender(
            "SentenceTransformer.encode, batch 32",
            timed(lambda: peer.encode(texts, batch_size=32, show_progress_bar=False)),
            as_called=True,
        ),
        Contender(
            "SentenceTransformer.encode, batch 64",
            timed(lambda: peer.encode(texts, batch_size=64, show_progress_bar=False)),
        ),
    ]
    lengths = [len(row) for row in encoder.tokenize(texts, "document")["input_ids"]]
    gflop = Work.of(encoder.model[0].auto_model).forward(lengths)
    facts = {"real_tokens": sum(lengths)}
    subject = Subject("encoding", "passages", len(texts), gflop, TOLERANCE, facts, as_called_goal=False)
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)
