"""Teacher scoring: retkd's PairScorer against ``CrossEncoder.predict``."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limit import Work, linear_maps
from benchmarks.measure import Contender, Subject, interleaved, timed
from benchmarks.setting import Setting
from retkd.batching import default_tokens_per_batch, token_batches

MAX_LENGTH, QUERY_MAX_LENGTH = 256, 64
TOLERANCE = 1e-3
BATCH_SIZES = (8, 16, 32, 64)
OF_ALL_QUERIES = (8, 32)
"""Its best and its default: all 9,780 pairs take minutes for each."""
SHARE_OF_LIMIT = 0.75


def measure(setting: Setting) -> dict[str, Any]:
    """Raw logits of each query's BM25 candidates."""
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    from retkd.matchers.cross_encoder import PairScorer

    lists = setting.candidate_lists(setting.sizes.queries)
    per_query = [[(each.query, document) for document in each.documents] for each in lists]
    pairs = [pair for own in per_query for pair in own]
    folder = fresh_cross_encoder(setting.model, setting.work / "cross-encoder", setting.seed)
    scorer = PairScorer.load(folder, "cpu", MAX_LENGTH, QUERY_MAX_LENGTH)
    peer = CrossEncoder(str(folder), max_length=scorer.max_length, device="cpu")

    def predict(some: list[tuple[str, str]], batch_size: int = 32) -> np.ndarray:
        return peer.predict(some, batch_size=batch_size, activation_fn=Identity(), show_progress_bar=False)

    whole = setting.sizes.queries is None
    contenders = [
        Contender("retkd PairScorer.score", timed(lambda: scorer.score(pairs)), ours=True),
        Contender(
            "CrossEncoder.predict, once per query",
            timed(lambda: np.concatenate([predict(own) for own in per_query])),
            as_called=True,
        ),
        *(
            Contender(f"CrossEncoder.predict, all pairs, batch {size}", timed(partial(predict, pairs, size)))
            for size in (OF_ALL_QUERIES if whole else BATCH_SIZES)
        ),
    ]
    columns, cut = scorer.tokenize(pairs)
    lengths = [len(row) for row in columns["input_ids"]]
    facts = {
        "queries": len(lists),
        "real_tokens": sum(lengths),
        "share_of_real_tokens": real_share(lengths),
        "pairs_cut": int(cut.sum()),
        "standard_deviation_of_scores": float(np.std(scorer.score(pairs))),
    }
    gflop = Work.of(scorer.model, head=True).forward(lengths)
    subject = Subject(
        "scoring", "pairs", len(pairs), gflop, TOLERANCE, facts, share_goal=SHARE_OF_LIMIT, warm_up=not whole
    )
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)


def real_share(lengths: list[int]) -> float:
    """Real tokens over padded tokens in the batches that are scored: what packing without padding could save."""
    batches = list(token_batches(lengths, default_tokens_per_batch("cpu")))
    return sum(lengths) / sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)


def fresh_cross_encoder(encoder: Path, folder: Path, seed: int) -> Path:
    """Save the encoder with a new one-label head drawn by the seed. Its scores mean nothing; its speed does.

    The head's weights have a standard deviation of 1, so that the scores differ by far more than the tolerance.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if not folder.exists():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AutoModelForSequenceClassification.from_pretrained(str(encoder), num_labels=1)
            torch.nn.init.normal_(linear_maps(model)[-1].weight)
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(str(encoder)).save_pretrained(folder)
    return folder
