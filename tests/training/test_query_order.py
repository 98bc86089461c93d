"""The order of the training queries: whole shuffled passes, or batches of one topic."""

from pathlib import Path

import numpy as np
import pytest

from retkd.errors import DataError
from retkd.training.query_order import ByTopic, QueryOrder, Shuffled, write_topics

TOPICS = np.array([0] * 12 + [7] * 20 + [3] * 8)


def batches(order: QueryOrder, num_rows: int, size: int) -> list[list[int]]:
    rows = [order[row] for row in range(num_rows)]
    return [rows[start : start + size] for start in range(0, num_rows, size)]


def test_every_batch_is_of_one_topic() -> None:
    drawn = batches(QueryOrder(40, 400, 5, TOPICS, 4), 400, 4)
    assert {len({TOPICS[query] for query in batch}) for batch in drawn} == {1}
    assert {int(TOPICS[batch[0]]) for batch in drawn} == {0, 3, 7}
    assert all(len(set(batch)) == 4 for batch in drawn)


def test_one_topic_is_the_shuffled_order() -> None:
    plain = batches(QueryOrder(40, 90, 5), 90, 4)
    assert batches(QueryOrder(40, 90, 5, np.full(40, 9), 4), 90, 4) == plain
    assert sorted(np.concatenate(plain)[:40].tolist()) == list(range(40))


def test_every_query_is_as_likely_as_any_other() -> None:
    """1,000 batches of 4 among 40 queries: 100 each, a topic's count within four standard deviations of its share."""
    rows = np.concatenate(batches(QueryOrder(40, 4000, 5, TOPICS, 4), 4000, 4))
    for topic, size in ((0, 12), (7, 20), (3, 8)):
        share = size / 40
        assert abs((TOPICS[rows] == topic).sum() / 4 - 1000 * share) < 4 * np.sqrt(1000 * share * (1 - share))
        counts = np.bincount(rows, minlength=40)[topic == TOPICS]
        assert counts.max() - counts.min() <= 1


def test_a_row_depends_neither_on_the_number_of_rows_nor_on_what_was_asked_before() -> None:
    """So a training that goes on, or that stops early, sees what it would have seen."""
    whole = QueryOrder(40, 400, 5, TOPICS, 4)
    expected = [whole[row] for row in range(400)]
    assert [QueryOrder(40, 120, 5, TOPICS, 4)[row] for row in range(120)] == expected[:120]
    fresh = QueryOrder(40, 400, 5, TOPICS, 4)
    assert [fresh[row] for row in reversed(range(200, 400))] == expected[200:][::-1]
    assert [QueryOrder(40, 400, 6, TOPICS, 4)[row] for row in range(400)] != expected


def test_a_topic_with_fewer_queries_than_a_batch_repeats_them() -> None:
    topics = np.array([0, 0, 1, 1, 1, 1])
    for batch in batches(QueryOrder(6, 80, 1, topics, 4), 80, 4):
        assert set(batch) in ({0, 1}, {2, 3, 4, 5})


def test_topics_are_read_from_the_select_stage(tmp_path: Path) -> None:
    write_topics(["q1", "q2", "q3"], np.array([2, 0, 2]), tmp_path)
    artifacts = {"select": tmp_path, "score": tmp_path / "score"}
    assert ByTopic().topics(["q3", "q2"], "select", artifacts).tolist() == [2, 0]
    assert ByTopic(clusters="select").topics(["q1"], "score", artifacts).tolist() == [2]
    assert Shuffled().topics(["q1"], "score", artifacts) is None
    with pytest.raises(DataError) as error:
        ByTopic().topics(["q1"], "score", artifacts)
    assert str(error.value) == (
        "the stage 'score' has no clusters of queries\n"
        "  where: batches: {kind: by_topic}\n"
        "  allowed: a select stage with `clusters: {model: ..., num_clusters: ...}`\n"
        "  next step: add `clusters` to stages.score, or name the select stage that has them in batches.clusters"
    )
    with pytest.raises(DataError, match=r"training queries have no cluster\n.*\n  seen: 1, such as 'q9'"):
        ByTopic().topics(["q1", "q9"], "select", artifacts)
