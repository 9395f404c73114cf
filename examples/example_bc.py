"""Behavioral cloning from the bundled demonstrations, then 100 test episodes beside the expert's.

python examples/example_bc.py                         # LunarLander-v2
python examples/example_bc.py --env MountainCar-v0
python examples/example_bc.py --all                   # all five environments of the paper
"""

from pathlib import Path

from common import DEMOS, parser, run

import ilpyt
from ilpyt.agents.imitation_agent import ImitationAgent
from ilpyt.algos.bc import BC
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.runners import evaluate
from ilpyt.utils.seed_utils import set_seed


def clone(env_id: str, save_path: Path, load_path: str) -> dict[str, list[float]]:
    """Train (unless weights are loaded) and test; the learner's returns, and the expert's on the same episodes."""
    settings = SETTINGS["BC"][env_id]
    set_seed(args.seed)
    env = ilpyt.envs.build_env(env_id=env_id, num_env=16)
    net = ilpyt.nets.choose_net(env, **settings.net)
    agent = ImitationAgent(net=net, **settings.agent)
    algo = BC(agent=agent, env=env, save_path=save_path, load_path=load_path)
    if not load_path:
        algo.train(expert_demos=DEMOS / env_id / "demos.pkl", **settings.train, resume=args.resume)
    returns = {
        "learner": algo.test(num_episodes=100),
        "expert": evaluate(PAPER_ENVS[env_id].expert(), env, num_episodes=100),
    }
    env.close()
    return returns


if __name__ == "__main__":
    args = parser(__doc__, "LunarLander-v2", "logs/bc").parse_args()
    run(args, "BC", clone)
