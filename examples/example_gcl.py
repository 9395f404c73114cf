"""Guided cost learning from the bundled demonstrations, then 100 test episodes beside the expert's.

python examples/example_gcl.py                           # CartPole-v0
python examples/example_gcl.py --env MountainCar-v0
python examples/example_gcl.py --all                     # all five environments of the paper
"""

from pathlib import Path

from common import DEMOS, learn, parser, run


def imitate(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns, and the expert's on the same episodes."""
    return learn("GCL", env_id, args, save_path, load_path, expert_demos=DEMOS / env_id / "demos.pkl")


if __name__ == "__main__":
    args = parser(__doc__, "CartPole-v0", "logs/gcl").parse_args()
    run(args, "GCL", imitate)
