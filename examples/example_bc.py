"""Behavioral cloning from the bundled demonstrations, then 100 test episodes beside the expert's.

python examples/example_bc.py                         # LunarLander-v2
python examples/example_bc.py --env MountainCar-v0
python examples/example_bc.py --all                   # all five environments of the paper
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import ilpyt
from ilpyt.agents.imitation_agent import ImitationAgent
from ilpyt.algos.bc import BC
from ilpyt.presets import PAPER_ENVS
from ilpyt.runners import evaluate
from ilpyt.utils.seed_utils import set_seed

DEMOS = Path(__file__).parents[1] / "demos"


def clone(env_id: str, seed: int, save_path: Path, load_path: str) -> tuple[float, float, float, float]:
    """Train (unless weights are loaded) and test; mean and std of the learner's returns, then of the expert's."""
    preset = PAPER_ENVS[env_id]
    set_seed(seed)
    env = ilpyt.envs.build_env(env_id=env_id, num_env=16)
    net = ilpyt.nets.choose_net(env, **preset.bc["net"])
    agent = ImitationAgent(net=net, **preset.bc["agent"])
    algo = BC(agent=agent, env=env, save_path=save_path, load_path=load_path)
    if not load_path:
        algo.train(expert_demos=DEMOS / env_id / "demos.pkl", **preset.bc["train"])
    learner = algo.test(num_episodes=100)
    expert = evaluate(preset.expert(), env, num_episodes=100)
    env.close()
    return float(np.mean(learner)), float(np.std(learner)), float(np.mean(expert)), float(np.std(expert))


def main() -> None:
    """Clone the experts that the command line asks for, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="LunarLander-v2", choices=PAPER_ENVS, help="the environment")
    parser.add_argument("--all", action="store_true", help="all environments, each in <save-path>/<env_id>/")
    parser.add_argument("--seed", type=int, default=0, help="of the networks and of training")
    parser.add_argument("--save-path", type=Path, default=Path("logs/bc"), help="folder for weights, logs, results")
    parser.add_argument("--load-path", default="", help="test the weights in this folder instead of training")
    args = parser.parse_args()
    torch.set_num_threads(1)  # these networks are too small for more threads to help

    rows = []
    for env_id in PAPER_ENVS if args.all else [args.env]:
        save_path = args.save_path / env_id if args.all else args.save_path
        load_path = str(Path(args.load_path) / env_id) if args.all and args.load_path else args.load_path
        print(f"\n{env_id}", flush=True)
        rows.append((env_id, *clone(env_id, args.seed, save_path, load_path)))

    print(f"\n{'100 test episodes':<26}{'learner':>18}{'expert':>18}{'threshold':>11}{'paper BC':>10}")
    for env_id, mean, std, expert_mean, expert_std in rows:
        known = PAPER_ENVS[env_id]
        solved = "solved" if mean >= known.threshold else "not solved"
        print(
            f"{env_id:<26}{f'{mean:.2f} +/- {std:.2f}':>18}{f'{expert_mean:.2f} +/- {expert_std:.2f}':>18}"
            f"{known.threshold:>11.0f}{known.paper['BC'][0]:>10.2f}   {solved}"
        )
    print(f"\nWeights, learning curves and test_results.npy are in {args.save_path}/.")


if __name__ == "__main__":
    main()
