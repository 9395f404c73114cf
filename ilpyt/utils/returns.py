"""Returns and advantages of a rollout: pure functions.

All arguments are time-major, float32 or bool [T, N]. `terminated` marks transitions into a terminal state, whose value
is 0. `dones` marks those and the ones that were cut off (a time limit): after them another episode begins, so nothing
is carried over them, but a cut-off episode would have gone on, so it is worth what its final state is worth.
"""

import torch
from torch import Tensor


def n_step_returns(rewards: Tensor, next_values: Tensor, dones: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """Discounted rewards up to the episode's or the rollout's end, then the value there (Mnih et al. 2016, alg. S3).

    Args:
        rewards: float32 [T, N].
        next_values: V(s_{t+1}) of the true successors, float32 [T, N].
        dones: bool [T, N].
        terminated: bool [T, N].
        gamma: discount per env step.

    Returns:
        float32 [T, N].
    """
    cut = dones.clone()
    cut[-1] = True
    ends_in_value = cut & ~terminated
    return _accumulate(rewards + gamma * next_values * ends_in_value, gamma * ~dones)


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    dones: Tensor,
    terminated: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """GAE(lambda) (Schulman et al. 2016, eq. 16): discounted sums of the TD residuals of an episode.

    With `gae_lambda` 1 it is `n_step_returns(...) - values`, with 0 the one-step TD residual.

    Args:
        rewards: float32 [T, N].
        values: V(s_t), float32 [T, N].
        next_values: V(s_{t+1}) of the true successors, float32 [T, N].
        dones: bool [T, N].
        terminated: bool [T, N].
        gamma: discount per env step.
        gae_lambda: weight of longer sums, 0..1: less bias, more variance.

    Returns:
        advantages, float32 [T, N].
    """
    residuals = rewards + gamma * next_values * ~terminated - values
    return _accumulate(residuals, gamma * gae_lambda * ~dones)


def _accumulate(terms: Tensor, decay: Tensor) -> Tensor:
    """y_t = terms_t + decay_t * y_{t+1}, with y_T = 0."""
    sums = torch.empty_like(terms)
    total = torch.zeros_like(terms[0])
    rows = zip(sums.unbind(), terms.unbind(), decay.unbind(), strict=True)
    for row, term, factor in reversed(list(rows)):
        total = torch.addcmul(term, factor, total, out=row)
    return sums
