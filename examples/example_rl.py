"""Reinforcement learning with DQN, A2C or PPO, then 100 test episodes.

python examples/example_rl.py                                     # PPO on LunarLander-v2
python examples/example_rl.py --algo DQN --env MountainCarContinuous-v0
python examples/example_rl.py --algo A2C --all                    # all five environments of the paper
"""

from pathlib import Path

from common import parser, run

import ilpyt
from ilpyt.algos import A2C, DQN, PPO
from ilpyt.presets import SETTINGS
from ilpyt.utils.seed_utils import set_seed

ALGORITHMS = {"DQN": DQN, "A2C": A2C, "PPO": PPO}


def learn(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns."""
    settings = SETTINGS[args.algo][env_id]
    set_seed(args.seed)
    env = ilpyt.envs.build_env(env_id=env_id, seed=args.seed, **settings.env)
    agent = ALGORITHMS[args.algo].make_agent(env, net=settings.net, **settings.agent)
    algo = ALGORITHMS[args.algo](agent=agent, env=env, save_path=save_path, load_path=load_path)
    if not load_path:
        algo.train(**settings.train)
    returns = {"learner": algo.test(num_episodes=100)}
    env.close()
    return returns


if __name__ == "__main__":
    flags = parser(__doc__, "LunarLander-v2", "logs/rl")
    flags.add_argument("--algo", default="PPO", choices=ALGORITHMS, help="the algorithm")
    args = flags.parse_args()
    run(args, args.algo, learn)
