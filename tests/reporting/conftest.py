"""One made-up run for all tests of this folder."""

import pytest

from retkd.reporting.evidence import gathered
from retkd.reporting.html import render
from tests.reporting import made


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return made.whole_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def evidence(run):
    return gathered(run.recipe_name, "evaluate", list(run.manifests), run.artifacts, run.manifests, run.collection)


@pytest.fixture(scope="session")
def page(evidence):
    return render(evidence)
