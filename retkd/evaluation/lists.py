"""R_n@k: how many of a list's true answers are among its first k, where every list of n candidates is given."""

from collections.abc import Mapping, Sequence

import numpy as np

from retkd.errors import DataError
from retkd.trec import Run


def recalls_in_lists(
    system: str, run: Run, qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str], num: int, cutoff: int
) -> np.ndarray:
    """``[query]``: relevant documents among the first ``cutoff``, as a share of those in the list of ``num``.

    As R_10@1 and the like are used for response selection (Lowe et al. 2015; several true answers as in Wu et al. 2017).
    Raises :class:`DataError` for a ranking of another length, and for one without a relevant document.
    """
    values = []
    for query_id in query_ids:
        relevant = [qrels[query_id].get(doc_id, 0) > 0 for doc_id, _ in run.get(query_id, [])]
        if len(relevant) != num or not any(relevant):
            raise _no_list(system, query_id, relevant, num, cutoff)
        values.append(sum(relevant[:cutoff]) / sum(relevant))
    return np.array(values, dtype=np.float64)


def _no_list(system: str, query_id: str, relevant: Sequence[bool], num: int, cutoff: int) -> DataError:
    return DataError(
        f"R{num}@{cutoff} is over lists of {num} candidates of which one is relevant at least, and this is none",
        where=f"system {system!r}, query_id {query_id!r}",
        seen=f"{len(relevant)} candidates, {sum(relevant)} of them relevant",
        allowed="systems of kind rerank or candidates whose table holds the lists as they are given",
        next_step=f"mine the lists (miner: {{kind: responses, depth: {num}}}, or a run_file of them), score them, and give the "
        "evaluate stage these systems alone",
    )
