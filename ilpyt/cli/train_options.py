"""The options of `ilpyt train`: the keywords of an algorithm's constructor, its `train`, its agent and environments."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ilpyt.agents import PPOAgent
from ilpyt.algos import ALGORITHMS
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.monitor import Monitor
from ilpyt.cli.options import options_of
from ilpyt.envs import build_env
from ilpyt.nets import FeatureMap, Net1D, choose_net

GROUPS = ("env", "net", "agent")  # whose flags have their name before them
TAKEN = ("action_type", "action_size", "action_encoder")  # of networks, for agents to decide
ABOUT = {
    "expert": "'scripted', which recorded the bundled demonstrations; a run's folder; or one of the zoo, 'PPO/ENV'.",
    "expert_demos": "a demonstration file; 'minari:ID'; or 'bundled', those of the repository.",
}


def run(
    seed: int = 0,
    config: Path | None = None,
    trust: bool = False,
    test_episodes: int = 100,
    record_video: Path | None = None,
    wandb: str | None = None,
) -> None:
    """What a command line says beside an algorithm's keywords.

    Args:
        seed: of networks, training and environments.
        config: a run's config.json, or its folder: do the same again, but for what other flags say.
        trust: import the modules that it names.
        test_episodes: played when training is done; 0: none.
        record_video: an mp4 file, for the first three test episodes.
        wandb: a project of Weights & Biases, to log to as well.
    """


def environment(wrappers: list[str] = [], make_kwargs: dict[str, Any] = {}) -> None:  # noqa: B006
    """How a command line says what `build_env` takes as objects.

    Args:
        wrappers: put around each environment, the first innermost: DiscretizeAction, or 'module:Name(keyword=1)' such
            as 'gymnasium.wrappers:FrameStackObservation(stack_size=4)'.
        make_kwargs: keywords of the environment as JSON, '{"gravity": -5}'.
    """


def options_for(algo: str) -> Any:
    """The dataclass of an algorithm's options: `run`'s, its `train`'s, its constructor's, and groups of others."""
    kind = ALGORITHMS[algo]
    makes, trains = names_of(kind.make_agent), names_of(kind.train)
    net = options_of("Net", choose_net, Net1D.initialize, skip=("input_shape", "output_shape", *TAKEN))
    inside = {"learner": options_of("Learner", PPOAgent.initialize), "disc": net, "cost": net}
    agent = typing.get_type_hints(kind.make_agent)["return"]
    groups = {
        "env": options_of("Env", build_env, environment, skip=("env_id", "seed")),
        "net": net,
        "agent": options_of(
            "Agent",
            kind.make_agent,
            agent.initialize,
            skip=("net",),
            groups={name: group for name, group in inside.items() if name in makes},
        ),
    }
    if "features" in trains:
        groups["features"] = options_of("Features", FeatureMap.__init__)
    flags = options_of("Flags", run, *training(algo), *constructing(algo), groups=groups, about=ABOUT)
    where = Annotated[str, tyro.conf.Positional, tyro.conf.arg(help="the environment, as build_env takes it.")]
    return make_dataclass(f"{algo}Options", [("env_id", where)], bases=(flags,), kw_only=True)


def training(algo: str) -> list[Callable]:
    """The functions whose keywords an algorithm's `train` takes."""
    train = ALGORITHMS[algo].train
    return [train, Monitor.__init__] if "monitor_kwargs" in names_of(train) else [train]


def constructing(algo: str) -> list[Callable]:
    """The functions whose keywords an algorithm's constructor takes."""
    return [ALGORITHMS[algo].initialize, BaseAlgorithm.initialize]


def names_of(*functions: Callable) -> list[str]:
    """The names of functions' parameters."""
    return [name for function in functions for name in inspect.signature(function).parameters]
