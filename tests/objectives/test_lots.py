"""Draws of a term: by seed and number, saved with the training."""

import torch

from retkd.objectives.lots import Lots


def drawn(lots: Lots) -> list[float]:
    with lots():
        return [round(number, 6) for number in torch.rand(4).tolist()]


def test_a_training_that_is_taken_up_again_goes_on_with_the_next_draw() -> None:
    whole, first, second = Lots(13), Lots(13), Lots(13)
    expected = [drawn(whole) for _ in range(3)]
    assert len({tuple(each) for each in expected}) == 3
    assert drawn(first) == expected[0]
    second.load_state_dict(first.state_dict())
    assert drawn(second.eval()) == drawn(second) == expected[1]
    second.train()
    assert [drawn(second) for _ in range(2)] == expected[1:]


def test_nobody_else_notices_a_draw_and_it_notices_nobody() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    one = drawn(Lots(2))
    assert torch.equal(torch.rand(2), expected)
    assert drawn(Lots(2)) == one != drawn(Lots(3))
