"""`ilpyt record`: demonstrations by hand."""

from pathlib import Path

import tyro


def record(
    env_id: tyro.conf.Positional[str],
    out: Path | None = None,
    keys: Path | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    append: bool = False,
    fps: float | None = None,
    wait: bool | None = None,
    zoom: float | None = None,
    make_kwargs: str = "{}",
) -> None:
    """Play an environment in a window, and keep the episodes that are worth it.

    Arrow keys or W, A, S, D (an Atari game's fire is the space bar); an episode begins with the first of them. At its
    end, Enter keeps it and Backspace discards it. R starts an episode again, Escape ends the recording. The file is
    written after each episode that is kept.

    Args:
        env_id: environment, for instance CartPole-v1 or ALE/Pong-v5.
        out: demonstration file, .npz or .pkl; without it ENV_ID.npz in the current folder.
        keys: JSON file with your own keys, such as {"left": 0, "left+up": 3, "": 1}; "" is while no key is held.
        episodes: stop after so many that were kept; without it, at Escape.
        seed: environment seed of the first episode; each that follows has the next one.
        append: add to a file that is there already.
        fps: env steps a second; without it the environment's own, 15 for CartPole.
        wait: whether the environment waits while no key is held; without it only where no action does nothing.
        zoom: how much larger than drawn the game is shown.
        make_kwargs: keywords of the environment as JSON, {"gravity": -5}.
    """
    from ilpyt.cli.keywords import read_keywords
    from ilpyt.recording import record as record_episodes
    from ilpyt.recording.keymaps import read_keys

    own_keys = None if keys is None else read_keys(keys)
    record_episodes(
        env_id,
        out,
        keys=own_keys,
        episodes=episodes,
        seed=seed,
        append=append,
        fps=fps,
        wait=wait,
        zoom=zoom,
        **read_keywords(make_kwargs),
    )
