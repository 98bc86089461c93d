"""The pair-score store: each pair scored once, resumed from its plan, read back in any order."""

from pathlib import Path

import numpy as np
import pytest

from retkd.errors import ModelError
from retkd.pair_scores import PairScores, Scores, pair_key, teacher_address

NAMES = [f"pair {i}" for i in range(50)]


class Scorer:
    """Scores a pair by its number, remembers what it was asked, and fails at one call where told to."""

    def __init__(self, names: list[str], fails_at: int | None = None) -> None:
        self.names = names
        self.fails_at = fails_at
        self.asked: list[list[str]] = []

    def value(self, name: str) -> float:
        return np.float32(int(name.split()[1]) * 0.37)

    def length(self, name: str) -> int:
        return 5 + (7 * int(name.split()[1])) % 11

    def lengths(self, positions: np.ndarray) -> np.ndarray:
        return np.array([self.length(self.names[p]) for p in positions])

    def score(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append([self.names[p] for p in positions])
        if len(self.asked) == self.fails_at:
            raise KeyboardInterrupt
        values = np.array([self.value(self.names[p]) for p in positions], np.float32)
        return values, np.array([self.length(self.names[p]) > 13 for p in positions])


def get(
    folder: Path, names: list[str], plan: Path, scorer: Scorer | None = None, size: int = 8
) -> tuple[Scores, Scorer]:
    scorer = scorer or Scorer(names)
    keys = [pair_key("query", name) for name in names]
    found = PairScores(folder).get(
        keys, scorer.lengths, scorer.score, plan_file=plan, pairs_per_shard=size, label="score"
    )
    return found, scorer


def assert_right(found: Scores, names: list[str]) -> None:
    scorer = Scorer(names)
    assert found.values.tolist() == [scorer.value(name) for name in names]
    assert found.truncated.tolist() == [scorer.length(name) > 13 for name in names]
    assert found.values.dtype == np.float32


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_scores_come_in_the_order_asked_and_are_made_longest_first(tmp_path: Path) -> None:
    found, scorer = get(tmp_path / "store", NAMES, tmp_path / "plan.npz")
    assert_right(found, NAMES)
    assert found.num_new == 50
    assert [len(shard) for shard in scorer.asked] == [8] * 6 + [2]
    lengths = [scorer.length(name) for shard in scorer.asked for name in shard]
    assert lengths == sorted(lengths, reverse=True)


def test_more_pairs_cost_only_the_new_ones(tmp_path: Path) -> None:
    get(tmp_path / "store", NAMES[10:30], tmp_path / "first.npz")
    found, scorer = get(tmp_path / "store", NAMES, tmp_path / "second.npz")
    assert_right(found, NAMES)
    assert sorted(name for shard in scorer.asked for name in shard) == sorted(NAMES[:10] + NAMES[30:])
    assert found.num_new == 30
    again, nothing = get(tmp_path / "store", NAMES[::-1], tmp_path / "third.npz")
    assert_right(again, NAMES[::-1])
    assert (again.num_new, nothing.asked) == (0, [])


def test_a_pair_asked_for_twice_is_scored_once(tmp_path: Path) -> None:
    names = [*NAMES[:6], *NAMES[3:9], NAMES[0]]
    found, scorer = get(tmp_path / "store", names, tmp_path / "plan.npz")
    assert_right(found, names)
    assert found.num_new == 9
    assert sorted(name for shard in scorer.asked for name in shard) == sorted(NAMES[:9])


@pytest.mark.parametrize("more", [-1, 1])
def test_another_number_of_scores_is_refused_and_not_stored(tmp_path: Path, more: int) -> None:
    """Two shards, one too short and one too long, would put scores beside the texts of other pairs."""
    keys = [pair_key("query", name) for name in NAMES]
    for values in (np.zeros(25 + more, np.float32), np.zeros((25, 1), np.float32)):
        with pytest.raises(ModelError) as error:
            PairScores(tmp_path / "store").get(
                keys,
                lambda positions: positions,
                lambda positions, values=values: (values, np.zeros(25, bool)),  # type: ignore[misc]
                plan_file=tmp_path / "plan.npz",
                pairs_per_shard=25,
                label="score",
            )
        assert error.value.what == "the teacher does not give one score for each pair"
        assert (error.value.seen, error.value.allowed) == (f"values of shape {values.shape}", "(25,)")
        assert not (tmp_path / "store").exists() or not list((tmp_path / "store").iterdir())


def test_nothing_asked_is_nothing_scored(tmp_path: Path) -> None:
    found, scorer = get(tmp_path / "store", [], tmp_path / "plan.npz")
    assert (len(found.values), found.num_new, scorer.asked) == (0, 0, [])


@pytest.mark.parametrize("call", [1, 4, 7])
def test_stopped_between_shards_it_goes_on_by_its_plan_to_the_same_bytes(tmp_path: Path, call: int) -> None:
    get(tmp_path / "undisturbed", NAMES, tmp_path / "other plan.npz")
    plan = tmp_path / "plan.npz"
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "store", NAMES, plan, Scorer(NAMES, fails_at=call))
    assert len(list((tmp_path / "store").glob("*"))) == call - 1
    found, scorer = get(tmp_path / "store", NAMES, plan)
    assert_right(found, NAMES)
    assert len(scorer.asked) == 7 - (call - 1)
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")


def test_without_its_plan_a_resumed_run_would_cut_other_shards(tmp_path: Path) -> None:
    """What the plan is for: the remaining pairs alone make shards of other pairs, so other batches and other bits."""
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "store", NAMES, tmp_path / "plan.npz", Scorer(NAMES, fails_at=4))
    (tmp_path / "plan.npz").unlink()
    found, _ = get(tmp_path / "store", NAMES, tmp_path / "plan.npz")
    assert_right(found, NAMES)
    get(tmp_path / "undisturbed", NAMES, tmp_path / "other plan.npz")
    assert contents(tmp_path / "store").keys() != contents(tmp_path / "undisturbed").keys()


def test_a_plan_that_no_longer_completes_what_is_known_is_made_anew(tmp_path: Path) -> None:
    """Half of the pairs were known when the run was planned; then someone emptied the store."""
    get(tmp_path / "store", NAMES[:25], tmp_path / "first.npz")
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "store", NAMES, tmp_path / "plan.npz", Scorer(NAMES, fails_at=2))
    for path in (tmp_path / "store").iterdir():
        path.unlink()
    found, _ = get(tmp_path / "store", NAMES, tmp_path / "plan.npz")
    assert_right(found, NAMES)
    assert found.num_new == 50


def test_two_runs_that_cut_the_same_pairs_into_other_shards_do_not_mix(tmp_path: Path) -> None:
    """18 pairs in shards of 10 and of 9 are two shards each; both plans are made before either run ends."""
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "store", NAMES[:18], tmp_path / "tens.npz", Scorer(NAMES[:18], fails_at=1), size=10)
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "store", NAMES[:18], tmp_path / "nines.npz", Scorer(NAMES[:18], fails_at=2), size=9)
    found, _ = get(tmp_path / "store", NAMES[:18], tmp_path / "tens.npz", size=10)
    assert_right(found, NAMES[:18])


def test_known_gives_each_key_once_sorted_with_the_first_shards_score(tmp_path: Path) -> None:
    keys = [np.array([pair_key("q", name) for name in names], "S16") for names in (["a", "b"], ["b", "c"])]
    for name, shard, scores in (("1.npz", keys[0], [1.0, 2.0]), ("2.npz", keys[1], [20.0, 3.0])):
        np.savez(tmp_path / name, keys=shard, scores=np.array(scores, np.float32), truncated=np.array([True, False]))
    found, scores, truncated = PairScores(tmp_path).known()
    assert found.tolist() == sorted({*keys[0].tolist(), *keys[1].tolist()})
    told = {key: (score, cut) for key, score, cut in zip(found.tolist(), scores, truncated, strict=True)}
    by_name = {name: told[np.array([pair_key("q", name)], "S16")[0]] for name in "abc"}
    assert by_name == {"a": (1.0, True), "b": (2.0, False), "c": (3.0, False)}
    assert [len(part) for part in PairScores(tmp_path / "nowhere").known()] == [0, 0, 0]


def test_a_key_names_two_texts_and_their_boundary() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a|b", "c"), ("a", "b|c"), ("ä", "bc")]
    keys = [pair_key(*pair) for pair in pairs]
    assert len(set(keys)) == len(pairs)
    assert {len(key) for key in keys} == {16}
    assert pair_key("a", "bc") == keys[0]


def test_keys_that_end_in_zero_bytes_are_not_confused(tmp_path: Path) -> None:
    """numpy drops trailing zero bytes where it shows such keys; the store must tell them apart all the same."""
    keys = [bytes([1] * 14 + [0, 0]), bytes([1] * 15 + [0]), bytes([1] * 16), bytes([0] * 16)]
    found = PairScores(tmp_path / "store").get(
        keys,
        lambda positions: np.ones(len(positions)),
        lambda positions: (positions.astype(np.float32), np.zeros(len(positions), bool)),
        plan_file=tmp_path / "plan.npz",
        pairs_per_shard=3,
        label="score",
    )
    assert found.values.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_an_address_is_weights_and_settings() -> None:
    one = teacher_address("w", {"max_length": 8, "kind": "x"})
    assert one == teacher_address("w", {"kind": "x", "max_length": 8})
    assert (
        len({one, teacher_address("v", {"max_length": 8, "kind": "x"}), teacher_address("w", {"max_length": 9})}) == 3
    )
