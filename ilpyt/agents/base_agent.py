"""What every agent is: networks and optimizers, a way to act and a way to learn."""

import abc
import copy
import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.checkpoint import load_state, save_state, saved_steps, step_path
from ilpyt.utils.errors import DataError, TrainingError


class BaseAgent(abc.ABC):
    """An agent. Extend it by `initialize`, `step` and `update`.

    Attributes:
        nets: networks by name; saved, loaded and moved by the methods here.
        optimizers: their optimizers by name.
        agents: agents that this one holds, by name; every method here reaches them too.
        device: where its networks are.
        training: False in test mode, in which `step` acts greedily.
        updates: gradient updates made so far.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Pass the arguments on to `initialize`."""
        self.nets: dict[str, BaseNetwork] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.agents: dict[str, BaseAgent] = {}
        self.device = torch.device("cpu")
        self.training = True
        self.updates = 0
        self._saved: list[tuple[Path, int]] = []  # what this agent has written, oldest first
        self._arguments = inspect.signature(self.initialize).bind(*args, **kwargs)
        self._arguments.apply_defaults()
        self.initialize(*args, **kwargs)

    @abc.abstractmethod
    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Register networks in `nets`, optimizers in `optimizers`, agents that this one holds in `agents`."""

    @abc.abstractmethod
    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] or float32 [N, A] for states [N, *obs]; no training side effect."""

    @abc.abstractmethod
    def update(self, batch: Any) -> dict[str, float]:
        """Learn from a batch; metrics, under the same names every time."""

    def reset(self) -> None:
        """Called when all environments start new episodes; in test mode it leaves alone what training goes on from."""
        if self.training:
            for net in self.nets.values():
                net.reset_noise()
        for agent in self.agents.values():
            agent.reset()

    def observe(self, states: Tensor) -> None:
        """Update the input normalisers of all networks that have one with states [B, *obs]."""
        for net in self.nets.values():
            net.observe(states)
        for agent in self.agents.values():
            agent.observe(states)

    def optimize(self, name: str, loss: Tensor, max_grad_norm: float | None = None) -> float:
        """One step of optimizer `name` down the gradient of a loss.

        Args:
            loss: a scalar.
            max_grad_norm: clip the gradient's norm to this; None: not at all.

        Returns:
            the loss.

        Raises:
            TrainingError: loss or gradient is not finite; the weights are left as they were.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise self._not_finite(f"{name} loss", value)
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        # As torch.nn.utils.clip_grad_norm_, whose grouping by device and dtype took longer than the optimizer's step.
        norms = torch._foreach_norm(gradients)
        norm = (norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))).item()
        if not math.isfinite(norm):
            raise self._not_finite(f"{name} gradient", norm)
        if max_grad_norm is not None and norm > max_grad_norm:
            torch._foreach_mul_(gradients, max_grad_norm / norm)
        optimizer.step()
        self.updates += 1
        return value

    def _not_finite(self, what: str, value: float) -> TrainingError:
        why = self.find_not_finite()
        return TrainingError(f"the {what} is {value}: {why or 'its weights are left as they were before this update'}")

    def find_not_finite(self) -> str | None:
        """Which weights hold nan or infinity, in words; None: none do. Those of the agents it holds count too."""
        for name, net in self.named_nets():
            for key, tensor in net.state_dict().items():
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    return f"{key!r} of the network {name!r} holds nan or infinity"
        return None

    def save(self, path: str | Path, step: int, keep: int = 3) -> None:
        """Write the weights of each network to `<path>/<name>_<step>.pth`; whole or not at all.

        Args:
            path: the folder; made if it isn't there.
            step: what to number them with.
            keep: how many steps of those that this agent has written here remain, at least 1; files that it didn't
                write are left alone.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        nets = self.get_weights()
        for name, weights in nets.items():
            save_state(step_path(folder, name, step), weights)
        self._saved = [saved for saved in self._saved if saved != (folder, step)] + [(folder, step)]
        here = [saved for saved in self._saved if saved[0] == folder]
        for outdated in here[:-keep]:
            self._saved.remove(outdated)
            for name in nets:
                step_path(folder, name, outdated[1]).unlink(missing_ok=True)

    def load(self, path: str | Path, save_num: int = -1) -> int:
        """Read the weights of each network that `save` wrote.

        Args:
            path: the folder.
            save_num: the step they are numbered with; -1: the highest that all networks have.

        Returns:
            the step.

        Raises:
            FileNotFoundError: nothing to load.
            DataError: weights of another network, or a broken file; no network has changed.
        """
        nets = dict(self.named_nets())
        folder = Path(path)
        steps = set.intersection(*(set(saved_steps(folder, name)) for name in nets)) if nets else set()
        if not steps or (save_num != -1 and save_num not in steps):
            wanted = ", ".join(f"{name}_{'<step>' if save_num == -1 else save_num}.pth" for name in nets)
            there = ", ".join(sorted(file.name for file in folder.glob("*.pth"))) or "no weights"
            raise FileNotFoundError(f"{folder.absolute()} has no {wanted} to load; it has {there}")
        step = max(steps) if save_num == -1 else save_num
        loaded = {}
        for name, net in nets.items():
            file = step_path(folder, name, step)
            loaded[name] = load_state(file, self.device)
            _check_fits(loaded[name], net.state_dict(), str(file))
        for name, net in nets.items():
            net.load_state_dict(loaded[name])
        return step

    def get_weights(self) -> dict[str, dict[str, Tensor]]:
        """Copies of the weights of each network, by its name; of the agents it holds too."""
        # Tensor by tensor: parameters are views of their optimizer's tensor, all of which `deepcopy` would copy.
        return {n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in self.named_nets()}

    def set_weights(self, weights: dict[str, dict[str, Tensor]]) -> None:
        """Take over what `get_weights` gave."""
        for name, net in self.named_nets():
            net.load_state_dict(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs: weights and optimizers, of the agents it holds too."""
        return {
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "agents": {name: agent.state_dict() for name, agent in self.agents.items()},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        for kind in ("nets", "optimizers", "agents"):
            for name, part in getattr(self, kind).items():
                part.load_state_dict(copy.deepcopy(state[kind][name]))  # optimizers would share its tensors
        self.updates = state["updates"]

    def describe(self) -> dict[str, Any]:
        """Class and hyper-parameters, of the agents it holds too, as values that JSON can say."""
        settings = {
            name: value if isinstance(value, int | float | str | None) else str(value)
            for name, value in self._arguments.arguments.items()
            if not isinstance(value, torch.nn.Module | BaseAgent)
        }
        held = {name: agent.describe() for name, agent in self.agents.items()}
        return {"class": type(self).__name__, **settings, **held}

    def num_updates(self) -> int:
        """Gradient updates made so far, of the agents it holds too."""
        return self.updates + sum(agent.num_updates() for agent in self.agents.values())

    def num_parameters(self) -> int:
        """Number of weights, of the agents it holds too."""
        return sum(p.numel() for _, net in self.named_nets() for p in net.parameters())

    def set_train(self) -> None:
        """Explore: `step` samples."""
        self._set_mode(True)

    def set_test(self) -> None:
        """Act greedily: `step` gives the mode."""
        self._set_mode(False)

    @contextmanager
    def test_mode(self) -> Iterator[None]:
        """Test mode inside; afterwards the mode that was."""
        training = self.training
        self.set_test()
        try:
            yield
        finally:
            self._set_mode(training)

    def to_gpu(self) -> None:
        """Move to the GPU."""
        self._to(torch.device("cuda"))

    def to_cpu(self) -> None:
        """Move to the CPU."""
        self._to(torch.device("cpu"))

    def _set_mode(self, training: bool) -> None:
        self.training = training
        for net in self.nets.values():
            net.train(training)
        for agent in self.agents.values():
            agent._set_mode(training)

    def _to(self, device: torch.device) -> None:
        self.device = device
        for net in self.nets.values():
            net.to(device)
        for optimizer in self.optimizers.values():
            optimizer.load_state_dict(optimizer.state_dict())  # moves its state to where the weights are
        for agent in self.agents.values():
            agent._to(device)

    def named_nets(self) -> Iterator[tuple[str, BaseNetwork]]:
        """Networks of this agent and of those it holds; the latter's names begin with the agent's."""
        yield from self.nets.items()
        for prefix, agent in self.agents.items():
            for name, net in agent.named_nets():
                yield f"{prefix}_{name}", net


def _check_fits(loaded: dict[str, Any], own: dict[str, Tensor], source: str) -> None:
    """Refuse weights whose names, shapes or types are not the network's, and what isn't finite."""
    if loaded.keys() != own.keys():
        differing = ", ".join(sorted(map(str, loaded.keys() ^ own.keys())))
        raise DataError(f"{source} holds weights of another network: these names are in one of them only: {differing}")
    for name, tensor in own.items():
        given = loaded[name]
        if not isinstance(given, Tensor):
            raise DataError(f"{source} holds a {type(given).__name__} for the weights {name}")
        if given.shape != tensor.shape:
            raise DataError(
                f"{source} holds weights of another network: {name} is {list(given.shape)} in the file, "
                f"{list(tensor.shape)} in the network"
            )
        if given.dtype != tensor.dtype:
            raise DataError(f"{source}: {name} is {given.dtype} in the file, {tensor.dtype} in the network")
        if given.is_floating_point() and not torch.isfinite(given).all():
            raise DataError(f"{source} holds nan or infinity in the weights {name}")
