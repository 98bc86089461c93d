"""Corpus encoding: retkd's Encoder against ``SentenceTransformer.encode``."""

from functools import partial
from typing import Any

from benchmarks.limit import Work
from benchmarks.measure import Contender, Subject, interleaved, timed
from benchmarks.setting import Setting

TOLERANCE = 1e-4
BATCH_SIZES, DEFAULT_BATCH_SIZE = (8, 16, 32, 64), 32


def measure(setting: Setting) -> dict[str, Any]:
    """Vectors of passages from all over the corpus."""
    from retkd.encoders.encoder import Encoder

    texts = setting.passages()
    encoder = Encoder.load(setting.model)
    peer = Encoder.load(setting.model).model
    contenders = [
        Contender("retkd Encoder.encode", timed(lambda: encoder.encode(texts, "document")), ours=True),
        *(
            Contender(
                f"SentenceTransformer.encode, batch {size}",
                timed(partial(peer.encode, texts, batch_size=size, show_progress_bar=False)),
                as_called=size == DEFAULT_BATCH_SIZE,
            )
            for size in BATCH_SIZES
        ),
    ]
    lengths = [len(row) for row in encoder.tokenize(texts, "document")["input_ids"]]
    gflop = Work.of(encoder.model[0].auto_model).forward(lengths)
    facts = {"real_tokens": sum(lengths)}
    subject = Subject("encoding", "passages", len(texts), gflop, TOLERANCE, facts, as_called_goal=False)
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)
