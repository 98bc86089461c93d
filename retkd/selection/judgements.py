"""What a select stage's audit is to look at."""

from pydantic import Field

from retkd.parts import Part


class Audited(Part):
    """How many negatives a person is shown, and the judgements that the filters are measured by."""

    num_negatives: int = Field(default=20, ge=0, description="sampled negatives that the report shows with their texts")
    judgements: str | None = Field(
        default=None,
        description="a split of the collection whose judgements measure the filters and serve nothing else; "
        "default: the training split's own, all but one positive of each query hidden",
    )
    relevant_from: int = Field(default=1, ge=1, description="the lowest grade of these judgements that means relevant")
