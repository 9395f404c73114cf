"""`ilpyt demos`: look at demonstrations, and bring them from one format into another."""

from pathlib import Path


def info(file: str, /, *, env: str | None = None) -> None:
    """Say what demonstrations hold, and what is wrong with them.

    The exit status is 1 if nothing can be learnt from them as they are.

    Args:
        file: a demonstration file, .npz or .pkl, or minari:ID.
        env: id of the environment to compare them with; by default, what their metadata say.
    """
    from ilpyt.runners import Experiences
    from ilpyt.runners.describe import describe, find_problems

    demos = Experiences.load(file)
    findings = find_problems(demos, env)
    print(describe(demos, file, findings))
    if any(finding.is_fatal for finding in findings):
        raise SystemExit(1)


def convert(source: str, target: str, /, *, env: str | None = None, force: bool = False) -> None:
    """Write demonstrations in another format.

    Args:
        source: a demonstration file, .npz or .pkl, or minari:ID.
        target: likewise.
        env: id of the environment that they are from, which a Minari dataset is written with; by default, what their
            metadata say.
        force: overwrite a file that is there; a Minari dataset never is overwritten.
    """
    from ilpyt.envs import build_env
    from ilpyt.runners import Experiences
    from ilpyt.runners.describe import named_env
    from ilpyt.utils.errors import DataError, SaveError

    is_file = not target.startswith("minari:")
    if is_file and not force and Path(target).exists():
        raise SaveError(f"{target} is there already: --force overwrites it")
    demos = Experiences.load(source)
    if is_file:
        demos.save(target)
    elif env is None and "env_id" not in demos.metadata:
        raise DataError(f"{source} doesn't say which environment it is from: --env ID")
    else:
        with build_env(env or named_env(demos), num_env=1) as built:
            demos.to_minari(target.removeprefix("minari:"), built)
    print(f"{target}: {demos!r}")


def demos() -> None:
    """Look at demonstrations, and bring them from one format into another: `ilpyt demos info FILE`, `convert`."""


COMMANDS = {"info": info, "convert": convert}
