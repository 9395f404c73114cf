"""DAgger: imitation of a scripted expert that is asked while the learner acts, then 100 test episodes of both.

python examples/example_dagger.py                         # LunarLander-v2
python examples/example_dagger.py --env MountainCar-v0
python examples/example_dagger.py --all                   # all five environments of the paper
"""

from pathlib import Path

from common import learn, parser, run

from ilpyt.presets import PAPER_ENVS


def imitate(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns, and the expert's on the same episodes."""
    return learn("DAgger", env_id, args, save_path, load_path, expert=PAPER_ENVS[env_id].expert())


if __name__ == "__main__":
    args = parser(__doc__, "LunarLander-v2", "logs/dagger").parse_args()
    run(args, "DAgger", imitate)
