"""What `ilpyt train` does: flags from an algorithm's signatures, a recipe from flags, a run from a recipe.

A recipe is what `config.json` says of how a run was made: `algorithm`, `env_id`, `seed`, and the keywords in `env`,
`net`, `agent` and `train`, as `Settings.spell` spells them.
"""

import argparse
import difflib
import inspect
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tyro

from ilpyt import zoo
from ilpyt.algos import ALGORITHMS
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.run_folder import read_config
from ilpyt.cli.options import chosen, filled, flags_in
from ilpyt.cli.test import summary
from ilpyt.cli.train_options import GROUPS, constructing, names_of, options_for, training
from ilpyt.envs import build_env
from ilpyt.envs.build import imports_module
from ilpyt.nets.choose import JUDGING
from ilpyt.presets import INCIDENTAL, PAPER_ENVS, SETTINGS, Settings, find_algorithm, make_algorithm
from ilpyt.presets.settings import spell
from ilpyt.runners.video import Film, check_video
from ilpyt.utils.errors import DataError
from ilpyt.utils.logger import WandbSink, say
from ilpyt.utils.versions import package_versions

Recipe = dict[str, Any]


def train_from(arguments: list[str]) -> None:
    """Train, and test, as a command line says.

    Raises:
        SystemExit: it asks for help, or isn't understood.
        DataError, ValueError: what it asks for isn't there.
    """
    if arguments in ([], ["-h"], ["--help"]):
        print(overview())
        return
    recipe = begin(arguments)
    options = parse(recipe, arguments)
    trusted = options.trust or options.config is None
    if options.env_id != recipe["env_id"]:
        raise ValueError(
            f"name the environment before the flags: ilpyt train {recipe['algorithm']} {options.env_id} ..."
        )
    if len(_words(arguments)) < 2:  # the file names it
        zoo.check_names_no_module(recipe["env_id"], options.config, trusted=trusted)
    if options.record_video is not None:
        check_video(options.record_video)
        if not options.test_episodes:
            raise ValueError("--record-video shows test episodes: --test-episodes must be at least 1")
    recipe = {**recipe, "seed": options.seed, **_keywords(options, recipe, flags_in(arguments))}
    with _tidied(Path(options.save_path)):
        algorithm = make(recipe, options, trusted=trusted or "env.wrappers" in flags_in(arguments))
        _train(algorithm, recipe, options, trusted=trusted)
    names_modules = imports_module(recipe["env_id"]) or any(":" in name for name in recipe["env"].get("wrappers", []))
    watch = f"ilpyt watch {options.save_path}{' --trust' if names_modules else ''}"
    print(f"Weights, curves and results are in {options.save_path}; `{watch}` shows the policy.")


def _train(algorithm: BaseAlgorithm, recipe: Recipe, options: Any, *, trusted: bool) -> None:
    """Train and test."""
    with algorithm.env:
        if options.record_video is not None:
            Film(algorithm.agent, algorithm.env)  # an environment that can't be drawn is found now
        algorithm.train(**train_keywords(recipe, trusted=trusted), resume=options.resume)
        if options.test_episodes:
            if algorithm.runner.env_steps and not algorithm.runner.episodes:
                say(
                    f"No episode of {recipe['env_id']} has ended in training. If it has no time limit, neither has the "
                    "test: end that by Ctrl-C, and register the environment with max_episode_steps."
                )
            returns = algorithm.test(options.test_episodes, options.record_video)
            print(summary(returns, recipe["env_id"]))


@contextmanager
def _tidied(folder: Path) -> Iterator[None]:
    """Around a training: if it fails before it has written anything, it leaves no folder."""
    former = [path for path in (folder, *folder.parents) if path.exists()]
    try:
        yield
    except BaseException:
        for path in (folder, *folder.parents):
            if path in former:
                break
            with suppress(OSError):  # there is something in it
                path.rmdir()
        raise


def begin(arguments: list[str]) -> Recipe:
    """The recipe that flags start from: a former run's, or the settings for one of the paper's environments.

    Args:
        arguments: algorithm and environment, unless a former run says them, and flags.

    Returns:
        the recipe; `env_id` is empty if nothing says it.
    """
    algo, env_id, *_ = [*_words(arguments), "", ""]
    config = _config(arguments)
    if config is not None:
        return _again(config, algo, env_id)
    if not algo:
        raise ValueError("name the algorithm before the flags: ilpyt train ALGORITHM ENV ...")
    find_algorithm(algo)
    settings = SETTINGS[algo].get(env_id, Settings())
    recipe = {"algorithm": algo, "env_id": env_id, "seed": 0, **settings.spell()}
    trains = names_of(*training(algo))
    if env_id in PAPER_ENVS and "expert" in trains:
        recipe["train"]["expert"] = "scripted"
    elif "expert_demos" in trains and _bundled(env_id).is_file():
        recipe["train"]["expert_demos"] = "bundled"
    return recipe


def _bundled(env_id: str) -> Path:
    """The repository's demonstrations of an environment, if there are any."""
    return Path(__file__).parents[2] / "demos" / env_id / "demos.pkl"


def _words(arguments: list[str]) -> list[str]:
    """Those before the flags."""
    return [*itertools.takewhile(lambda word: not word.startswith("-"), arguments)]


def _config(arguments: list[str]) -> str | None:
    """What `--config` says, before it is known what other flags there are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    return parser.parse_known_args(arguments)[0].config


def _again(config: str, algo: str, env_id: str) -> Recipe:
    """The recipe of a former run, with another environment if one is named."""
    content = read_config(config)
    if "recipe" not in content:
        raise DataError(
            f"{config} is of a script that made its agent itself, and only that script can do it again; runs of "
            "`ilpyt train` and of `ilpyt.presets.make_algorithm` say how they were made"
        )
    recipe = {"train": {}, "initialize": {}, **content["recipe"]}
    if algo and algo != recipe["algorithm"]:
        raise DataError(f"{config} is of {recipe['algorithm']}, not of {algo}")
    wrote, this = content["versions"].get("ilpyt"), package_versions()["ilpyt"]
    if wrote != this:
        say(f"{config} was written by ilpyt {wrote}, this is {this}: what comes of it may differ.")
    find_algorithm(recipe["algorithm"])
    for part, known in (("train", _trained_with(recipe)), ("initialize", _initialized_with(recipe))):
        for name in set(recipe[part]) - known:  # a file doesn't say what else there are flags for, such as --trust
            nearest = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known))
            raise DataError(f"{config}: {part} of {recipe['algorithm']} has no {name!r}; did you mean {nearest}?")
    return {**recipe, "env_id": env_id or recipe["env_id"]}


def _trained_with(recipe: Recipe) -> set[str]:
    """The keywords of `train` that a recipe may have."""
    return set(names_of(*training(recipe["algorithm"]))) - {"self", "resume", "monitor_kwargs", "algo"}


def _initialized_with(recipe: Recipe) -> set[str]:
    """The keywords of the algorithm's constructor that what comes of a training depends on."""
    return set(names_of(*constructing(recipe["algorithm"]))) - {"self", "args", "kwargs", *GROUPS, *INCIDENTAL}


def parse(recipe: Recipe, arguments: list[str]) -> Any:
    """Options of the recipe's algorithm: as flags say, or else as the recipe does."""
    algo, env_id = recipe["algorithm"], recipe["env_id"]
    kind = options_for(algo)
    values = _values(recipe)
    for name in ("disc", "cost"):
        if name in names_of(ALGORITHMS[algo].make_agent):
            values["agent"][name] = {**JUDGING, **values["agent"].get(name, {})}
    values["save_path"] = Path("logs", f"{algo}_{env_id}".translate(str.maketrans("/:", "__")))
    values["env_id"] = env_id or tyro.MISSING
    default = filled(kind, values, f"`ilpyt train {algo}`")
    about = inspect.cleandoc(ALGORITHMS[algo].__doc__ or "")
    rest = arguments[1:] if _words(arguments) else arguments
    options = tyro.cli(kind, default=default, prog=f"ilpyt train {algo}", args=rest, description=about)
    if options.resume and options.config is not None and options.save_path == default.save_path:
        options.save_path = options.config if options.config.is_dir() else options.config.parent
    return options


def _values(recipe: Recipe) -> dict[str, Any]:
    """A recipe as values of options."""
    settings = Settings.read({**recipe, "env": {}})
    own = {name: value for name, value in recipe["env"].items() if name in names_of(build_env)}
    make_kwargs = {name: value for name, value in recipe["env"].items() if name not in own}
    env = {**own, **({"make_kwargs": make_kwargs} if make_kwargs else {})}
    return {
        "seed": recipe["seed"],
        **recipe.get("initialize", {}),
        **settings.train,
        "env": env,
        "net": dict(settings.net),
        "agent": dict(settings.agent),
    }


def _keywords(options: Any, recipe: Recipe, flags: list[str]) -> dict[str, Any]:
    """What a recipe says beside algorithm, environment and seed: as it did, but for what flags say."""
    values = chosen(options, _values(recipe), flags)
    groups = {name: values.pop(name, {}) for name in GROUPS}
    groups["env"] |= groups["env"].pop("make_kwargs", {})
    train = {name: value for name, value in values.items() if name in _trained_with(recipe)}
    demos = train.get("expert_demos")
    if demos not in (None, "bundled") and not demos.startswith("minari:"):
        train["expert_demos"] = str(Path(demos).absolute())  # the recipe may be followed from elsewhere
    initialize = {name: value for name, value in values.items() if name in _initialized_with(recipe)}
    return spell({**groups, "train": train, "initialize": initialize})


def make(recipe: Recipe, options: Any, *, trusted: bool) -> BaseAlgorithm:
    """The algorithm of a recipe, with the keywords of its constructor that are among the options.

    Args:
        recipe: what it is made by, and what its own `config.json` will say.
        options: as parsed.
        trusted: wrappers may be of any module.
    """
    algo = recipe["algorithm"]
    names = set(names_of(*constructing(algo))) - set(GROUPS)
    keywords = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if options.wandb is not None:
        keywords["sinks"] = [WandbSink(project=options.wandb)]
    settings = Settings.read(recipe, trusted=trusted)
    algorithm = make_algorithm(algo, recipe["env_id"], recipe["seed"], settings, **keywords)
    algorithm.recipe = recipe
    return algorithm


def train_keywords(recipe: Recipe, *, trusted: bool) -> dict[str, Any]:
    """Keywords of `train`, with the expert and the demonstrations that the recipe names.

    Raises:
        ValueError, FileNotFoundError, DataError: there is no such expert, or there are no such demonstrations.
    """
    keywords = Settings.read({"train": recipe["train"]}).train
    if keywords.get("expert_demos") == "bundled":
        keywords["expert_demos"] = _bundled(recipe["env_id"])
    name = keywords.get("expert")
    if name == "scripted":
        if recipe["env_id"] not in PAPER_ENVS:
            raise ValueError(f"{recipe['env_id']} has no scripted expert; those that have are {', '.join(PAPER_ENVS)}")
        keywords["expert"] = PAPER_ENVS[recipe["env_id"]].expert()
    elif name is not None:
        keywords["expert"] = zoo.find(name, recipe["env_id"], trusted=trusted).agent
    return keywords


def overview() -> str:
    """The algorithms, and where bundled settings and demonstrations are."""
    lines = [
        "usage: ilpyt train ALGORITHM ENV [OPTIONS]",
        "       ilpyt train --config RUN [OPTIONS]",
        "",
        "algorithms:",
    ]
    for name, kind in ALGORITHMS.items():
        module = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:<7} {module}")
    lines += ["", "environments: any of gymnasium's or gym's, or 'module:ID'; with settings and demonstrations for"]
    lines += [f"  {', '.join(PAPER_ENVS)}", ""]
    return "\n".join([*lines, "`ilpyt train ALGORITHM ENV --help` lists the options, with their values there."])
