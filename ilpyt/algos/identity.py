"""What a run is: what its `config.json` says, what a checkpoint has to be of, and how two runs differ."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ilpyt.algos.run_folder import differences
from ilpyt.envs.build import made_with
from ilpyt.utils.versions import package_versions

if TYPE_CHECKING:
    from ilpyt.algos.base_algo import BaseAlgorithm


def describe(algo: "BaseAlgorithm", config: Mapping[str, Any]) -> dict[str, Any]:
    """What `config.json` says of a run, as values that JSON can say.

    Args:
        algo: that trains.
        config: what it was asked to train with.
    """
    description = {
        "algorithm": type(algo).__name__,
        "agent": algo.agent.describe(),
        "nets": {name: str(net) for name, net in algo.agent.named_nets()},
        "env": {
            **algo.env.description,
            **made_with(algo.env.env_fns[0]),
            "num_env": algo.env.num_envs,
            "vecenv": type(algo.env).__name__,
        },
        "train": {
            name: value if isinstance(value, int | float | str | None) else str(value) for name, value in config.items()
        },
        "versions": package_versions(),
    }
    return description if algo.recipe is None else {**description, "recipe": algo.recipe}


def identify(algo: "BaseAlgorithm") -> dict[str, Any]:
    """What a checkpoint has to be of to go on from."""
    nets = algo.agent.named_nets()
    return {
        "algorithm": type(algo).__name__,
        "agent": type(algo.agent).__name__,
        "environment": str(algo.env.description["env_id"]),
        "network": {name: {k: list(v.shape) for k, v in net.state_dict().items()} for name, net in nets},
    }


def changes(former: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is asked for otherwise than before a resumption, a sentence each; both are what `describe` gives."""
    apart: dict[str, Any] = {"versions": None, "recipe": None}  # a recipe says what agent and train say
    for text in differences({**former, **apart}, {**now, **apart}):
        yield f"Before, it was {text}."
    for text in differences(former.get("versions"), now["versions"]):
        yield f"The checkpoint was written by {text}; what comes may differ in the last digits."
