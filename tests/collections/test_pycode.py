"""Code search over the standard library: what is promised of it, on the library of this Python."""

import ast
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from retkd.collections.code_pairs import SPLITS, code_pairs, split_of
from retkd.collections.first_sentence import num_plain_words, words
from retkd.collections.near_duplicates import kept_first
from retkd.collections.pycode import PyCode
from retkd.collections.standard_library import library_files, library_root, module_name
from tests.collections.conftest import written


@pytest.fixture(scope="module")
def pycode(pycode_cache):
    return PyCode().open(pycode_cache)


def test_splits_have_about_their_share(pycode):
    counts = {split: len(pycode.queries(split)) for split in SPLITS}
    total = sum(counts.values())
    assert total == pycode.num_documents > 4000
    assert 0.6 < counts["train"] / total < 0.85
    assert counts["dev"] > 150
    assert counts["test"] > 300


def test_no_module_is_in_two_splits(pycode):
    splits = defaultdict(set)
    for split in SPLITS:
        for query in pycode.queries(split):
            splits[query.query_id.split(":")[0]].add(split)
    assert len(splits) > 200
    assert all(len(each) == 1 for each in splits.values())


def test_documents_are_functions_without_docstring_and_without_the_query(pycode):
    queries = {q.query_id: q.text for split in SPLITS for q in pycode.queries(split)}
    for document in pycode.documents():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (function,) = ast.parse(document.text).body
        name = document.doc_id.split(":")[1].split("#")[0].rpartition(".")[2]
        assert function.name == name
        assert " ".join(words(queries[document.doc_id])) not in " ".join(words(document.text))
        assert num_plain_words(queries[document.doc_id]) >= 3


def test_nothing_stands_twice(pycode):
    texts = [d.text for d in pycode.documents()]
    queries = [" ".join(words(q.text)) for split in SPLITS for q in pycode.queries(split)]
    assert len(set(queries)) == len(queries)
    assert all(kept_first(texts, Fraction(7, 10)))


def test_each_query_has_its_own_function(pycode):
    qrels = pycode.qrels("test")
    assert all(row == {query_id: 1} for query_id, row in qrels.items())
    (query,) = [
        q
        for q in pycode.queries("train") + pycode.queries("dev") + pycode.queries("test")
        if q.query_id == "bisect:insort_right"
    ]
    assert query.text == "Insert item x in list a, and keep it sorted assuming a is sorted."


def test_counts_say_what_was_left_out(pycode):
    dropped = pycode.describe()["functions left out"]
    expected = {"trivial body", "repeated query", "near-duplicate function", "docstring that repeats the name"}
    assert expected <= set(dropped)
    assert all(dropped[reason] > 0 for reason in expected)


def test_another_process_with_another_hash_seed_and_locale_makes_the_same_bytes(pycode, tmp_path):
    code = (
        "import sys, pathlib\nfrom retkd.collections.pycode import PyCode\n"
        "c = PyCode().open(pathlib.Path(sys.argv[1])); print(c.digest, c.folder)\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4711", "LC_ALL": "C", "PYTHONUTF8": "0"}
    output = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], env=environment, text=True)
    digest, folder = output.split()
    assert digest == pycode.digest
    names = sorted(path.relative_to(pycode.folder) for path in pycode.folder.rglob("*") if path.is_file())
    assert len(names) == 6
    assert all((pycode.folder / name).read_bytes() == (tmp_path / folder / name).read_bytes() for name in names)


def test_the_second_opening_extracts_nothing(pycode, pycode_cache, monkeypatch):
    monkeypatch.setattr("retkd.collections.pycode.code_pairs", None)
    again = PyCode().open(pycode_cache)
    assert again.digest == pycode.digest
    assert again.queries("dev") == pycode.queries("dev")


FUNCTION = 'def {name}(a, b):\n    """{doc}"""\n    total = {body}\n    return total\n'


def test_leaks_over_splits_are_removed_and_test_stays(tmp_path):
    names = {split: next(f"m{n}" for n in range(999) if split_of(f"m{n}") == split) for split in SPLITS}
    same = FUNCTION.format(name="f", doc="Add the two given numbers.", body="a + b + a * b - a / b - 17")
    copied = same.replace("Add the two given", "Sum up both of the")
    alike = FUNCTION.format(name="g", doc="Add the two given numbers", body="[divmod(x, b) for x in range(a)]")
    own = FUNCTION.format(name="h", doc="Read a whole number.", body="int(input(a)) if b else 0")
    folder = written(
        tmp_path / "lib",
        {f"{names['train']}.py": copied + own, f"{names['dev']}.py": alike, f"{names['test']}.py": same},
    )
    pairs, dropped = code_pairs(folder, library_files(folder))
    assert {p.doc_id: p.split for p in pairs} == {f"{names['test']}:f": "test", f"{names['train']}:h": "train"}
    assert dropped == {"near-duplicate function": 1, "repeated query": 1}


def test_repeated_names_are_numbered_and_unparsable_files_counted(tmp_path):
    first = FUNCTION.format(name="f", doc="Add the two numbers.", body="a + b")
    second = FUNCTION.format(name="f", doc="Multiply both of them.", body="[x * y for x in a for y in b if x is not y]")
    folder = written(tmp_path / "lib", {"p/__init__.py": first + second, "p/old.py": "print 'two'"})
    pairs, dropped = code_pairs(folder, library_files(folder))
    assert [p.doc_id for p in pairs] == ["p:f", "p:f#2"]
    assert dropped["file that this Python cannot parse"] == 1


def test_files_of_tests_and_packages_are_left_out(tmp_path):
    wanted = ["a.py", "json/__init__.py", "json/decoder.py"]
    other = [
        "test/a.py",
        "json/tests/b.py",
        "site-packages/c.py",
        "idlelib/idle_test/d.py",
        "_sysconfigdata_x.py",
        "a.txt",
    ]
    folder = written(tmp_path / "lib", dict.fromkeys(wanted + other, ""))
    assert library_files(folder) == wanted
    assert [module_name(path) for path in wanted] == ["a", "json", "json.decoder"]


def test_a_share_of_the_modules_is_a_part_of_the_whole(tmp_path: Path) -> None:
    tenth, fifth = PyCode(share=0.05), PyCode(share=0.1)
    assert set(tenth._files(library_root())) < set(fifth._files(library_root())) < set(library_files(library_root()))
    digests = {part.open(tmp_path).digest for part in (tenth, fifth, PyCode())}
    assert len(digests) == 3
    found = tenth.open(tmp_path)
    modules = {module_name(path) for path in tenth._files(library_root())}
    assert found.num_documents > 0
    assert {document.doc_id.split(":")[0] for document in found.documents()} <= modules
