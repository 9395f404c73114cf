"""Minari's datasets: reading them as demonstrations, and writing demonstrations as one of them.

Minari keeps observations and actions in an environment's own spaces; here they are laid out as `ilpyt.envs` lays out
those of the environment. Nothing is ever downloaded.
"""

import difflib
import json
import logging
import shutil
import uuid
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilpyt.envs.layout import Layout, plain_actions, plain_observations
from ilpyt.envs.original import Original, original
from ilpyt.runners.arrays import join_episodes
from ilpyt.runners.minari_metadata import check_metadata
from ilpyt.utils.errors import DataError, EnvError, SaveError
from ilpyt.utils.extras import require

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv
    from ilpyt.runners.experiences import Experiences

log = logging.getLogger(__name__)

REPEATED = (
    "Demonstrations of ilpyt hold no observation after an episode's last action: the last observation of each episode "
    "repeats the one before."
)
ABOUT = ("author", "author_email", "code_permalink", "description", "algorithm_name")


def read_dataset(dataset: Any, num_episodes: int | None = None) -> dict[str, Any]:
    """The fields of `Experiences`, `metadata` among them; see `Experiences.from_minari`."""
    minari = require("minari", "minari")
    if isinstance(dataset, str):
        dataset = _load(dataset)
    elif not isinstance(dataset, minari.MinariDataset):
        raise TypeError(f"expected a minari.MinariDataset or the id of one, got {type(dataset).__name__}")
    count = len(dataset) if num_episodes is None else num_episodes
    if not 1 <= count <= len(dataset):
        raise DataError(f"the Minari dataset {dataset.id!r} holds {len(dataset)} episodes, {count} were asked for")
    source = f"the Minari dataset {dataset.id!r}"
    try:
        observations = plain_observations(_space(dataset, "observation_space"), source)
        actions = plain_actions(_space(dataset, "action_space"), source)
    except EnvError as error:
        raise DataError(str(error)) from None
    columns: dict[str, list[Any]] = {"states": [], "actions": [], "rewards": [], "terminated": []}
    try:
        for episode in dataset.iterate_episodes(dataset.episode_indices[:count]):
            columns["states"].append(_lay_out(observations, episode.observations))
            columns["actions"].append(_lay_out(actions, episode.actions))
            columns["rewards"].append(episode.rewards)
            columns["terminated"].append(bool(episode.terminations[-1]))
        fields = join_episodes(**columns, truncated=None)
    except Exception as error:  # whatever its file may hold
        raise DataError(f"{source} can't be read: {str(error) or type(error).__name__}") from error
    return {**fields, "metadata": _metadata(dataset)}


def write_dataset(experiences: "Experiences", dataset_id: str, env: "VecEnv", **about: str) -> Any:
    """Write a dataset and load it; see `Experiences.to_minari`."""
    if unknown := set(about) - set(ABOUT):
        raise TypeError(f"to_minari takes {', '.join(ABOUT)}, not {', '.join(sorted(unknown))}")
    about = {name: str(value) for name, value in experiences.metadata.items() if name in ABOUT} | about
    folder = _folder(dataset_id)
    if folder.exists():
        raise _taken(folder, dataset_id)
    fitted, origin = experiences.fit_to(env), original(env)
    try:
        buffers = _buffers(fitted, origin)
    except (TypeError, ValueError) as error:  # gymnasium's, for instance of Text
        raise DataError(
            f"these states can't be turned back into {origin.observations.original}, as Minari has them: {error}"
        ) from error
    description = about.get("description", "")
    remarks = [description] if REPEATED in description else [description, REPEATED]
    if origin.spec is None:
        remarks.append(f"Without an environment to recover: {origin.why_no_spec}.")
        log.warning("%s is written without an environment to recover: %s.", dataset_id, origin.why_no_spec)
    about["description"] = " ".join(remarks).strip()
    _create(folder, dataset_id, buffers, origin, about)
    return _load(dataset_id)


def _create(folder: Path, dataset_id: str, buffers: list[Any], origin: Original, about: dict[str, str]) -> None:
    """Write a dataset, whole or not at all: under an id of its own, renamed when it is done.

    Until then there is nothing under the id that was asked for, which another process may write at the same time, so
    that what is removed after a failure is this call's.
    """
    group, slash, _ = dataset_id.rpartition("/")
    own_id = f"{group}{slash}being_written_{uuid.uuid4().hex}-v0"
    own = _folder(own_id)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is set to None|env_spec is None|.*out of date")
        try:
            require("minari", "minari").create_dataset_from_buffers(
                own_id,
                buffers,
                env=origin.spec,
                observation_space=origin.observations.original,
                action_space=origin.actions.original,
                jpeg_encoding=False,  # it would lose what learners see
                **about,
            )
            metadata = own / "data" / "metadata.json"
            metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "dataset_id": dataset_id}))
            own.rename(folder)
        except BaseException as error:
            shutil.rmtree(own, ignore_errors=True)
            if isinstance(error, OSError):
                if folder.exists():
                    raise _taken(folder, dataset_id) from None
                raise SaveError(f"the Minari dataset {dataset_id!r} can't be written to {folder}: {error}") from error
            raise


def _taken(folder: Path, dataset_id: str) -> DataError:
    return DataError(
        f"there is a Minari dataset {dataset_id!r} in {folder} already; choose another name or version, or delete it: "
        f"minari delete {dataset_id}"
    )


def _folder(dataset_id: str) -> Path:
    """Where a dataset is, or would be; for an id that Minari can read back."""
    parse = require("minari.dataset.minari_dataset", "minari").parse_dataset_id
    try:
        parse(dataset_id)
    except (ValueError, TypeError):  # Minari's own, where the version is missing
        raise DataError(f"{dataset_id!r} is no id of a Minari dataset: these are name-v0 or group/name-v0") from None
    return Path(require("minari.storage", "minari").get_dataset_path(dataset_id))


def _load(dataset_id: str) -> Any:
    """A dataset on this disk."""
    minari = require("minari", "minari")
    root = Path(require("minari.storage", "minari").get_dataset_path())
    known = sorted(path.parents[1].relative_to(root).as_posix() for path in root.rglob("data/metadata.json"))
    if dataset_id not in known:
        nearest = difflib.get_close_matches(dataset_id, known, n=4, cutoff=0.3)
        there = f"Did you mean {', '.join(nearest)}?" if nearest else f"It holds {', '.join(known[:4]) or 'none'}."
        raise DataError(
            f"there is no Minari dataset {dataset_id!r} in {root}. {there} Datasets of Minari's server are downloaded "
            "by hand: minari download ID"
        )
    try:
        check_metadata(root / dataset_id / "data" / "metadata.json")
        return minari.load_dataset(dataset_id)
    except Exception as error:
        raise DataError(f"the Minari dataset {dataset_id!r} in {root} can't be read: {error}") from error


def _space(dataset: Any, name: str) -> Any:
    """A space of a dataset, as that of the environment was: reading a Dict, Minari sorts its keys."""
    storage = dataset.storage
    described = storage.read_raw_metadata(storage.data_path).get(name)
    space = getattr(dataset, name)
    return space if described is None else _in_order(space, json.loads(described))


def _in_order(space: Any, described: dict[str, Any]) -> Any:
    parts = described.get("subspaces")
    if described["type"] == "Dict":
        return type(space)(OrderedDict((key, _in_order(space[key], part)) for key, part in (parts or {}).items()))
    if described["type"] == "Tuple":
        return type(space)([_in_order(*pair) for pair in zip(space, parts or [], strict=True)])
    return space


def _lay_out(layout: Layout, values: Any) -> np.ndarray:
    """An episode's observations or actions, as Minari has them, to an array with a row a step."""
    if layout.changes_nothing:
        return np.asarray(values)
    return np.stack([layout.to_plain(_step_of(values, t)) for t in range(_length(values))])


def _length(values: Any) -> int:
    while isinstance(values, dict | tuple):
        values = next(iter(values.values() if isinstance(values, dict) else values))
    return len(values)


def _step_of(values: Any, t: int) -> Any:
    if isinstance(values, dict):
        return {key: _step_of(value, t) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(_step_of(value, t) for value in values)
    return values[t]


def _metadata(dataset: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if dataset.env_spec is not None:
        kept |= {"env_id": dataset.env_spec.id, "backend": "gymnasium"}
    kept |= {"minari_dataset": dataset.id, "minari_version": dataset.minari_version}
    raw = dataset.storage.read_raw_metadata(dataset.storage.data_path)
    for name in ABOUT:
        if raw.get(name):
            kept[name] = ", ".join(sorted(map(str, raw[name]))) if isinstance(raw[name], list) else str(raw[name])
    return kept


def _buffers(experiences: "Experiences", origin: Original) -> list[Any]:
    """Minari's episodes, with observations and actions as the environment's own spaces have them."""
    buffer = require("minari.data_collector", "minari").EpisodeBuffer
    buffers = []
    for episode in experiences.episodes():
        states, actions, rewards, dones, truncated = (
            getattr(episode, name).cpu().numpy() for name in ("states", "actions", "rewards", "dones", "truncated")
        )
        is_unfinished = not dones[-1]  # which is cut off: an episode of Minari's ends in one way or the other
        truncated = truncated | (is_unfinished & (np.arange(len(dones)) == len(dones) - 1))
        buffers.append(
            buffer(
                observations=_stack([origin.observations.from_plain(x) for x in [*states, states[-1]]]),
                actions=_stack([origin.actions.from_plain(a) for a in actions]),
                rewards=rewards,
                terminations=dones & ~truncated,
                truncations=truncated,
                infos={},
            )
        )
    return buffers


def _stack(values: list[Any]) -> Any:
    """Values of a space, one a step, as one nest of arrays."""
    if isinstance(values[0], dict):
        return {key: _stack([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*values, strict=True))
    return np.asarray(values)
