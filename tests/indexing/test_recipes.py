"""Index recipes: by name, by path, inline, and what is said about a wrong one."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from retkd.indexing import recipes
from retkd.shipped import folder
from retkd.stages.index import Config


def config(recipe):
    return Config.model_validate({"model": "student", "recipe": recipe})


def test_every_packaged_recipe_is_valid_and_opens_with_its_purpose():
    names = recipes.names()
    assert {"flat", "exact", "hnsw", "ivf", "ivfpq", "sq8"} <= set(names)
    for name in names:
        text = (folder("indexes") / f"{name}.yaml").read_text()
        assert text.startswith("# "), name
        assert all(word in text for word in ("Memory:", "Use it", "Recall@10:")), name
        assert config(name).recipe.kind in ("faiss", "torch", "inverted", "maxsim")


def test_a_name_a_path_and_the_same_content_are_the_same_configuration(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: faiss\nfactory: Flat\n")
    inline = config({"kind": "faiss", "factory": "Flat"})
    assert config("flat") == config(str(path)) == inline
    assert config("flat").model_dump()["recipe"]["factory"] == "Flat"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("flatt", "there is no index recipe named 'flatt': did you mean 'flat'?"),
        ("nowhere/x.yaml", "there is no index recipe at nowhere/x.yaml: give a file that exists, or a name (exact,"),
        ({"kind": "faiss", "factory": "Flatt,"}, "FAISS cannot read the factory string 'Flatt,'"),
        ({"kind": "faiss", "factory": "IVF{lists},Flat"}, "unknown placeholder {lists}"),
        (
            {"kind": "faiss", "factory": "Flat", "ef_construction": 9},
            "ef_construction is a setting of factory strings that begin with HNSW, which 'Flat'",
        ),
        (
            {"kind": "faiss", "factory": "Flat", "search": {"nprob": 3}},
            "an index Flat has no search parameter 'nprob'; FAISS knows nprobe, efSearch",
        ),
    ],
)
def test_a_wrong_recipe_is_told(recipe, told):
    with pytest.raises(ValidationError) as error:
        config(recipe)
    assert told in str(error.value)


def test_a_wrong_file_is_told_with_its_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: faiss\nfactory: Flat\ntrain: 3\n")
    with pytest.raises(ValidationError) as error:
        config(str(path))
    assert f"the index recipe {path} is not valid: faiss.train: Extra inputs are not permitted" in str(error.value)


def test_naming_kinds_loads_no_heavy_package():
    script = (
        "import sys, retkd.indexing, retkd.exporters; print(*sorted({'torch', 'faiss', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"
