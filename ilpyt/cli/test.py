"""`ilpyt test`."""

from collections.abc import Sequence
from pathlib import Path

from tyro.conf import Positional


def test(
    policy: Positional[str],
    env: str | None = None,
    episodes: int = 100,
    record_video: Path | None = None,
    trust: bool = False,
) -> None:
    """Test a run's policy, or one of the zoo, on the test episodes: `ilpyt test GAIL/LunarLander-v2`.

    Args:
        policy: a run's folder, or 'ALGORITHM/ENV' of the zoo.
        env: another environment to test it in; that of training if this isn't given.
        episodes: number of episodes.
        record_video: an mp4 file, for the first three of them.
        trust: import the modules that the run's config.json names.
    """
    from ilpyt import zoo
    from ilpyt.runners import evaluate
    from ilpyt.runners import record_video as record
    from ilpyt.runners.video import check_video

    if record_video is not None:
        check_video(record_video)
    found = zoo.find(policy, env, trusted=trust)
    with found.build_env(num_env=1) as own:
        print(summary(evaluate(found.agent, own, episodes), found.env_id))
        if record_video is not None:
            record(found.agent, own, record_video, min(3, episodes))
            print(f"{record_video} shows the first {min(3, episodes)} of them.")


def summary(returns: Sequence[float], env_id: str) -> str:
    """A line on the returns of test episodes, with the environment's threshold if it is one of the paper's."""
    import numpy as np

    from ilpyt.presets import PAPER_ENVS

    mean = float(np.mean(returns))
    line = f"{len(returns)} test episodes of {env_id}: {mean:.2f} +/- {np.std(returns):.2f}"
    if env_id not in PAPER_ENVS:
        return line
    threshold = PAPER_ENVS[env_id].threshold
    return f"{line}, {'solved' if mean >= threshold else 'not solved'} (at {threshold:g})"
