"""`ilpyt watch`."""

from pathlib import Path

from tyro.conf import Positional


def watch(
    policy: Positional[str],
    out: Path | None = None,
    env: str | None = None,
    episodes: int = 3,
    seed: int | None = None,
    trust: bool = False,
) -> None:
    """Watch a run's policy, or one of the zoo, in a window or as mp4: `ilpyt watch logs --out logs/policy.mp4`.

    Args:
        policy: a run's folder, or 'ALGORITHM/ENV' of the zoo.
        out: an mp4 file to write instead, which takes no screen.
        env: another environment to watch it in; that of training if this isn't given.
        episodes: number of episodes.
        seed: of the first episode's environment; the test episodes' if this isn't given.
        trust: import the modules that the run's config.json names.
    """
    from ilpyt import zoo
    from ilpyt.runners.video import Film, check_video, write_video
    from ilpyt.utils.display import open_display
    from ilpyt.utils.seed_utils import TEST_SEED

    if out is not None:
        check_video(out)
    found = zoo.find(policy, env, trusted=trust)
    if out is None:
        open_display(f"Write a video instead: `ilpyt watch {policy} --out policy.mp4`").quit()
    with found.build_env(num_env=1) as own:
        render_mode = "human" if out is None else "rgb_array"
        film = Film(found.agent, own, episodes, seed=TEST_SEED if seed is None else seed, render_mode=render_mode)
        if out is None:
            for _ in film:
                pass
        else:
            write_video(out, film, film.fps)
    for number, value in enumerate(film.returns, 1):
        print(f"episode {number}: return {value:.2f}")
    if out is not None:
        print(f"Written to {out}.")
