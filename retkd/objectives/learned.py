"""A temperature that is learned: written in a recipe as a mapping where a number could stand."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from retkd.parts import Part


class Learned(Part):
    """``{learned_from: 0.05}``: begins there, is trained with the student, and never becomes part of it.

    CLIP (Radford et al. 2021) trains the logarithm of 1 / temperature at the model's own rate, and clips it at 100. A short
    training at a small rate would hardly move it, so here its steps are ``rate`` times as long; and it nears its bounds
    slowly, so that it can come back from them.
    """

    learned_from: float = Field(gt=0.0)
    rate: float = Field(default=10.0, gt=0.0, description="length of its steps, in those of the learning rate")
    within: float = Field(
        default=5.0, gt=1.0, description="it stays below this many times learned_from, and above a part"
    )


def _written_as(value: Any) -> str:
    return "Learned" if isinstance(value, (dict, Learned)) else "float"


if TYPE_CHECKING:
    Temperature = float
else:
    Temperature = Annotated[
        Annotated[float, Field(gt=0.0), Tag("float")] | Annotated[Learned, Tag("Learned")],
        Discriminator(_written_as),
        Field(
            description="a number, or {learned_from: NUMBER} to train it, in steps `rate` times as long as the student's (10), "
            "to no more than `within` times where it began (5) and no less than that part of it"
        ),
    ]
    """A number, or one that is learned. ``loss`` only ever meets the number: see :meth:`Objective.bind`."""
