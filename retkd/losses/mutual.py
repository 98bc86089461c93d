"""Losses of two models that are trained at the same time on the same lists."""

from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax


def mutual_kl(
    one: Float[Tensor, "query cand"],
    other: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    temperatures: tuple[float, float],
    detach: bool = True,
) -> tuple[Float[Tensor, "query"], Float[Tensor, "query"]]:
    """(KL(other || one), KL(one || other)) of each query's softmax over its valid candidates, in nats.

    The first teaches ``one``, the second ``other``; ``temperatures`` are theirs in this order. With ``detach`` each target is
    a constant, so that neither model is moved towards what it teaches; without, the gradient flows into both. Deep mutual
    learning, Zhang et al. 2018, eq. 2-4; CTCD detaches, LEAD's shipped code does not.
    """
    log_one, log_other = (masked_log_softmax(s / t, mask) for s, t in zip((one, other), temperatures, strict=True))
    of_one, of_other = (log.detach() if detach else log for log in (log_one, log_other))
    return divergences(of_other, log_one, mask), divergences(of_one, log_other, mask)
