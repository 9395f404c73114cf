"""Reinforcement learning with DQN, A2C or PPO, then 100 test episodes.

python examples/example_rl.py                                     # PPO on LunarLander-v2
python examples/example_rl.py --algo DQN --env MountainCarContinuous-v0
python examples/example_rl.py --algo A2C --all                    # all five environments of the paper
"""

from pathlib import Path

from common import learn, parser, run


def reinforce(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns."""
    return learn(args.algo, env_id, args, save_path, load_path)


if __name__ == "__main__":
    flags = parser(__doc__, "LunarLander-v2", "logs/rl")
    flags.add_argument("--algo", default="PPO", choices=["DQN", "A2C", "PPO"], help="the algorithm")
    args = flags.parse_args()
    run(args, args.algo, reinforce)
