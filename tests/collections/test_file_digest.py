"""Digests that are remembered while a file looks the same."""

import gzip
import os
import time
from hashlib import sha256

from retkd.collections import file_digest
from retkd.collections.file_digest import file_digests


def test_digests_are_of_the_text(tmp_path, cache):
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    assert file_digests([tmp_path / "a", tmp_path / "a.gz"], cache) == [sha256(b"text").hexdigest()] * 2


def test_a_settled_file_is_read_once_and_again_when_it_changes(tmp_path, cache, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    monkeypatch.setattr(file_digest, "SETTLED_NS", 0)
    time.sleep(0.01)
    first = file_digests([file], cache)
    reads = []
    real = file_digest._content_digest
    monkeypatch.setattr(file_digest, "_content_digest", lambda path: reads.append(path) or real(path))
    assert file_digests([file], cache) == first
    assert reads == []
    times = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file_digests([file], cache) == [sha256(b"two").hexdigest()]
    assert reads == [file]


def test_a_file_written_just_now_is_read_again(tmp_path, cache):
    file = tmp_path / "a"
    for text in (b"one", b"two"):
        file.write_bytes(text)
        os.utime(file, ns=(0, time.time_ns()))
        assert file_digests([file], cache) == [sha256(text).hexdigest()]
