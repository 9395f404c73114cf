"""Apprenticeship learning from the bundled demonstrations, then 100 test episodes beside the expert's.

python examples/example_apprentice.py                           # LunarLander-v2
python examples/example_apprentice.py --env MountainCar-v0
python examples/example_apprentice.py --all                     # all five environments of the paper
"""

from pathlib import Path

from common import DEMOS, learn, parser, run


def imitate(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns, and the expert's on the same episodes."""
    return learn("AppL", env_id, args, save_path, load_path, expert_demos=DEMOS / env_id / "demos.pkl")


if __name__ == "__main__":
    args = parser(__doc__, "LunarLander-v2", "logs/apprentice").parse_args()
    run(args, "AppL", imitate)
