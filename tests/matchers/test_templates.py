"""What stands around a query and a document, and the prompts that sentence-transformers saves."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from retkd.matchers.templates import NOTHING_AROUND, PairTemplate, own_template
from tests.tiny import tiny_cross_encoder


def test_a_text_is_put_into_its_gap_and_braces_in_it_mean_nothing() -> None:
    template = PairTemplate(query="{instruction}\nQuery: {query}", document="<{document}>", instruction="Judge {x}.")
    assert template.around_query() == ("Judge {x}.\nQuery: ", "")
    assert template.around_document() == ("<", ">")
    assert (NOTHING_AROUND.around_query(), NOTHING_AROUND.around_document()) == (("", ""), ("", ""))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"query": "Query:"}, "template.query must hold {query} once, such as 'Query: {query}'"),
        ({"document": "{document} {document}"}, "template.document must hold {document} once"),
        ({"query": "{instruction} {query}"}, "template.instruction is given exactly where {instruction} stands"),
        ({"instruction": "Judge."}, "template.instruction is given exactly where {instruction} stands"),
    ],
)
def test_a_template_that_would_lose_a_text(fields: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        PairTemplate(**fields)
    assert told in str(error.value)


def test_the_prompt_that_sentence_transformers_saved_and_would_use_is_the_default(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    plain = tiny_cross_encoder(tmp_path / "plain")
    prompts = {"ask": "baco: ", "other": "gale: "}
    for name, default in (("default", "ask"), ("none", None)):
        model = CrossEncoder(str(plain), device="cpu", prompts=prompts, default_prompt_name=default)
        model.save_pretrained(str(tmp_path / name), create_model_card=False)
    assert own_template(tmp_path / "default").around_query() == ("baco: ", "")
    assert own_template(tmp_path / "default").around_document() == ("", "")
    assert own_template(tmp_path / "none") == own_template(plain) == NOTHING_AROUND
