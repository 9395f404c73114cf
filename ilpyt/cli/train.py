"""`ilpyt train`: its flags are the keywords of the algorithm that is asked for, as `ilpyt.cli.training` makes them."""

from collections.abc import Sequence

from tyro.conf import Positional


def train(algorithm: Positional[str], env_id: Positional[str]) -> None:
    """Train an algorithm in an environment; `ilpyt train GAIL CartPole-v0 --help` lists the flags.

    Args:
        algorithm: its name.
        env_id: the environment.
    """
    main([algorithm, env_id])


def main(arguments: Sequence[str]) -> None:
    """Train as the arguments say."""
    from ilpyt.cli.training import train_from

    train_from(list(arguments))
