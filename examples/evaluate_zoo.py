"""Test the agents of the model zoo again, and compare with their cards.

python examples/evaluate_zoo.py                                          # all
python examples/evaluate_zoo.py --algo GAIL PPO --env CartPole-v0        # some
python examples/evaluate_zoo.py --env LunarLander-v2 --package gym       # in gym's own environments (NumPy 1.26)

With the versions that are on a card, the returns are the same to the last digit; processors that round otherwise, other
versions and packages make other episodes, whose mean should be within three standard errors of the card's.
"""

import argparse

import numpy as np
import torch

import ilpyt
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.runners import evaluate


def replay(algo: str, env_id: str, package: str) -> list[float]:
    """Returns of an agent on the 100 test episodes, in the environment of a package."""
    agent = ilpyt.zoo.load(algo, env_id)
    with ilpyt.envs.build_env(f"{package}:{env_id}" if package else env_id, **SETTINGS[algo][env_id].env) as env:
        return evaluate(agent, env, num_episodes=100)


def compare(card: dict, returns: list[float]) -> str:
    """'exact', 'within noise' or 'DIFFERS'."""
    if returns == card["returns"]:
        return "exact"
    standard_error = np.hypot(np.std(returns), card["std"]) / np.sqrt(len(returns))
    return "within noise" if abs(np.mean(returns) - card["mean"]) <= 3 * standard_error else "DIFFERS"


if __name__ == "__main__":
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--algo", nargs="+", default=list(SETTINGS), choices=SETTINGS, help="algorithms")
    flags.add_argument("--env", nargs="+", default=list(PAPER_ENVS), choices=PAPER_ENVS, help="environments")
    flags.add_argument("--package", default="", choices=["gym", "gymnasium"], help="where the environments come from")
    flags.add_argument("--exact", action="store_true", help="fail unless all returns are the same to the last digit")
    args = flags.parse_args()
    torch.set_num_threads(1)
    verdicts = []
    print(f"{'':<35}{'card':>18}{'now':>18}")
    for env_id in args.env:
        for algo in args.algo:
            card = ilpyt.zoo.card(algo, env_id)
            returns = replay(algo, env_id, args.package)
            verdicts.append(compare(card, returns))
            scores = ((card["mean"], card["std"]), (np.mean(returns), np.std(returns)))
            columns = "".join(f"{f'{mean:.2f} +/- {std:.2f}':>18}" for mean, std in scores)
            print(f"{algo:<8}{env_id:<27}{columns}   {verdicts[-1]}", flush=True)
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("exact", "within noise", "DIFFERS"))
    print(f"\n{len(verdicts)} agents: {counts}.")
    if "DIFFERS" in verdicts or (args.exact and set(verdicts) != {"exact"}):
        raise SystemExit(1)
