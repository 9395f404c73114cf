"""What the examples share: their command line, and the table that they end with."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from ilpyt.runners import evaluate

DEMOS = Path(__file__).parents[1] / "demos"


def parser(doc: str, env_id: str, save_path: str) -> argparse.ArgumentParser:
    """The flags that all examples have; the defaults are the example's."""
    flags = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--env", default=env_id, choices=PAPER_ENVS, help="the environment")
    flags.add_argument("--all", action="store_true", help="all environments, each in <save-path>/<env_id>/")
    flags.add_argument("--seed", type=int, default=0, help="of the networks and of training")
    flags.add_argument("--save-path", type=Path, default=Path(save_path), help="folder for weights, logs, results")
    flags.add_argument("--resume", action="store_true", help="go on with the interrupted training in save-path")
    flags.add_argument("--load-path", default="", help="test the weights in this folder instead of training")
    return flags


def learn(
    algo_name: str, env_id: str, args: argparse.Namespace, save_path: Path, load_path: str, **learn_from: Any
) -> dict[str, list[float]]:
    """Train with the settings in `ilpyt.presets` (unless weights are loaded), and test.

    Args:
        algo_name: of the algorithm, in `SETTINGS`.
        args: of `parser`.
        learn_from: `expert_demos` or an `expert`, which `train` gets beside the settings; nothing: it learns from
            rewards.

    Returns:
        returns of the test episodes: the learner's, and if it imitates the scripted expert's on the same episodes.
    """
    algo = make_algorithm(algo_name, env_id, args.seed, save_path=save_path, load_path=load_path)
    with algo.env:
        if not load_path:
            algo.train(**SETTINGS[algo_name][env_id].train, **learn_from, resume=args.resume)
        returns = {"learner": algo.test(num_episodes=100)}
        if learn_from:
            returns["expert"] = evaluate(PAPER_ENVS[env_id].expert(), algo.env, num_episodes=100)
    return returns


def run(args: argparse.Namespace, algo: str, example: Callable[[str, Path, str], dict[str, list[float]]]) -> None:
    """Run an example in the environments that the command line asks for, and print how it did.

    Args:
        args: of `parser`.
        algo: its column in the paper's Table 1.
        example: from environment, `save_path` and `load_path` to the returns of the test episodes, by who played them;
            the first is the learner.
    """
    torch.set_num_threads(1)  # these networks are too small for more threads to help
    results = {}
    for env_id in PAPER_ENVS if args.all else [args.env]:
        save_path = args.save_path / env_id if args.all else args.save_path
        load_path = str(Path(args.load_path) / env_id) if args.all and args.load_path else args.load_path
        print(f"\n{env_id}", flush=True)
        results[env_id] = example(env_id, save_path, load_path)

    players = list(next(iter(results.values())))
    columns = "".join(f"{name:>18}" for name in players)
    print(f"\n{'100 test episodes':<26}{columns}{'threshold':>11}{f'paper {algo}':>12}")
    for env_id, returns in results.items():
        known = PAPER_ENVS[env_id]
        played = "".join(f"{f'{np.mean(r):.2f} +/- {np.std(r):.2f}':>18}" for r in returns.values())
        paper = f"{known.paper[algo][0]:.2f}" if algo in known.paper else "-"
        solved = "solved" if np.mean(returns[players[0]]) >= known.threshold else "not solved"
        print(f"{env_id:<26}{played}{known.threshold:>11.0f}{paper:>12}   {solved}")
    print(f"\nWeights, learning curves and test_results.npy are in {args.save_path}/.")
