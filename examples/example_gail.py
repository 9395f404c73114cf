"""GAIL (generative adversarial imitation learning) from the bundled demonstrations, then 100 test episodes.

python examples/example_gail.py                           # LunarLander-v2
python examples/example_gail.py --env MountainCar-v0
python examples/example_gail.py --all                     # all five environments of the paper
"""

from pathlib import Path

from common import DEMOS, learn, parser, run


def imitate(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns, and the expert's on the same episodes."""
    return learn("GAIL", env_id, args, save_path, load_path, expert_demos=DEMOS / env_id / "demos.pkl")


if __name__ == "__main__":
    args = parser(__doc__, "LunarLander-v2", "logs/gail").parse_args()
    run(args, "GAIL", imitate)
