import os
from hashlib import sha256
from pathlib import Path

import pytest

from retkd.digests import FileDigests, canonical_json, differences, digest_file, digest_of, flattened
from tests.tiny import tiny_encoder


def test_canonical_json_is_one_text_for_equal_data() -> None:
    assert canonical_json({"b": [1, 2.5, "ü"], "a": None}) == canonical_json({"a": None, "b": [1, 2.5, "ü"]})
    assert digest_of({"a": 1}) == sha256(b'{"a":1}').hexdigest()
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_a_number_that_is_none_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": float("nan")})


def test_a_file_is_hashed_again_only_when_its_size_or_time_changed(tmp_path: Path) -> None:
    file, memory = tmp_path / "file", tmp_path / "digests.json"
    file.write_bytes(b"one")
    digests = FileDigests(memory)
    assert digests.file(file) == digest_file(file) == sha256(b"one").hexdigest()
    digests.save()
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=times)
    assert FileDigests(memory).file(file) == sha256(b"one").hexdigest()
    os.utime(file, ns=(times[0], times[1] + 1))
    assert FileDigests(memory).file(file) == sha256(b"two").hexdigest()
    os.utime(file, ns=times)
    file.write_bytes(b"three")
    os.utime(file, ns=times)
    assert FileDigests(memory).file(file) == sha256(b"three").hexdigest()


def test_nothing_learned_is_nothing_written(tmp_path: Path) -> None:
    FileDigests(tmp_path / "digests.json").save()
    assert not (tmp_path / "digests.json").exists()


def test_a_models_digest_is_its_content_not_its_place_or_its_leaflet(tmp_path: Path) -> None:
    one, two = tiny_encoder(tmp_path / "one"), tiny_encoder(tmp_path / "two")
    (two / "README.md").write_text("a model card")
    (two / "onnx").mkdir()
    (two / "onnx" / "config.json").write_text("{}")
    digests = FileDigests(tmp_path / "digests.json")
    assert digests.model(one) == digests.model(two)
    assert digests.model(tiny_encoder(tmp_path / "other", seed=1)) != digests.model(one)
    (two / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert digests.model(two) != digests.model(one)


def test_flattened_keeps_empty_containers_as_leaves() -> None:
    assert flattened({"a": {"b": [1, {"c": 2}]}, "d": [], "e": {}}) == {"a.b[0]": 1, "a.b[1].c": 2, "d": [], "e": {}}


def test_differences_are_told_field_by_field() -> None:
    old = {"params": {"temperature": 1.0, "objective": [{"kind": "kl"}]}, "seed": 13, "same": 5}
    new = {"params": {"temperature": 2.0, "objective": [{"kind": "kl"}, {"kind": "infonce"}]}, "same": 5}
    assert differences(old, new) == [
        "params.temperature 1.0 -> 2.0",
        "seed 13 -> absent",
        "params.objective[1].kind absent -> infonce",
    ]
    assert differences(old, old) == []


def test_digests_are_shortened_where_they_are_told() -> None:
    assert differences(
        {"model": "model:" + "a" * 64, "c": "b" * 64}, {"model": "model:" + "c" * 64, "c": "d" * 64}
    ) == [
        "model model:aaaaaaaaaaaa -> model:cccccccccccc",
        "c bbbbbbbbbbbb -> dddddddddddd",
    ]
