"""What a cell of Table 1 is held to."""

from ilpyt.algos import ALGORITHMS, RL
from ilpyt.presets import PAPER_ENVS


def is_rl(algo: str) -> bool:
    """Whether an algorithm learns from the environment's rewards."""
    return issubclass(ALGORITHMS[algo], RL)


def goal(algo: str, env_id: str, expert: float) -> float:
    """The threshold; with a number of the paper, RL also that, and imitation 3% under the lesser of it and the expert.

    Args:
        algo: a key of `SETTINGS`.
        env_id: a key of `PAPER_ENVS`.
        expert: its mean return on the same episodes.
    """
    known = PAPER_ENVS[env_id]
    if algo not in known.paper:
        return known.threshold
    lesser = min(known.paper[algo][0], expert)
    return max(known.threshold, known.paper[algo][0] if is_rl(algo) else lesser - 0.03 * abs(lesser))
