"""The stage `report` over a made-up run."""

import pytest

from retkd.stages import STAGES, report
from tests.reporting import made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return made.whole_run(tmp_path_factory.mktemp("run"))


def config(inputs, **settings):
    return report.Config(evaluation="evaluate", reads=list(inputs.manifests), **settings)


def test_it_writes_the_page_and_the_card(inputs, tmp_path):
    (tmp_path / "report.html").write_text("<html>cut short")
    metrics = report.run(config(inputs), inputs, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert (
        (tmp_path / "model_card.md")
        .read_text(encoding="utf-8")
        .startswith("---\nlibrary_name: sentence-transformers\n")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model_card.md", "report.html"]
    assert metrics.values == {"stages_shown": 13, "splits": ["test", "dev"]}


def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        report.run(config(inputs, license="mit"), inputs, tmp_path / name)
    for name in ("report.html", "model_card.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_only_the_page_may_hold_clock_measurements(inputs, tmp_path):
    report.run(config(inputs), inputs, tmp_path)
    card = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert report.VOLATILE == ("report.html",)
    assert "611" not in card
    assert "2026-11-24" not in card


def test_it_can_show_every_kind_of_stage():
    marker = report.AnyStageName.__metadata__[0]
    given = {output for name, stage in STAGES.items() if name != "report" for output in stage.OUTPUTS}
    assert given <= set(marker.outputs)


def test_stages_that_are_not_read_are_not_shown(inputs, tmp_path):
    metrics = report.run(report.Config(evaluation="evaluate"), inputs, tmp_path)
    assert metrics.values["stages_shown"] == 1
