"""How many tokens make the best batch here: retkd's own scoring and encoding over a range of budgets."""

from functools import partial
from typing import Any

from benchmarks.limit import Work
from benchmarks.measure import Contender, Subject, interleaved, timed
from benchmarks.scoring import MAX_LENGTH, QUERY_MAX_LENGTH, fresh_cross_encoder
from benchmarks.setting import Setting

BUDGETS = (512, 1024, 2048, 4096, 8192, 16384)
DEFAULT = 4096
TOLERANCE = 1e-3


def measure(setting: Setting) -> dict[str, Any]:
    """The same pairs at each budget; 4,096 padded tokens, the default of ``runtime.tokens_per_batch``, is 'ours'."""
    from retkd.matchers.cross_encoder import PairScorer

    lists = setting.candidate_lists(setting.sizes.queries)
    pairs = [(each.query, document) for each in lists for document in each.documents]
    folder = fresh_cross_encoder(setting.model, setting.work / "cross-encoder", setting.seed)
    scorer = PairScorer.load(folder, "cpu", MAX_LENGTH, QUERY_MAX_LENGTH)
    contenders = [
        Contender(f"{budget:,} tokens", timed(partial(scorer.score, pairs, budget)), ours=budget == DEFAULT)
        for budget in BUDGETS
    ]
    lengths = [len(row) for row in scorer.tokenize(pairs)[0]["input_ids"]]
    gflop = Work.of(scorer.model, head=True).forward(lengths)
    facts = {"real_tokens": sum(lengths)}
    subject = Subject("budget", "pairs", len(pairs), gflop, TOLERANCE, facts, as_called_goal=False)
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)
