"""`DQNAgent`: deep Q-learning (Mnih et al. 2015), with double and n-step targets by keyword."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ilpyt.agents.rl_agent import RLAgent
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.replay_memory import ReplayMemory, Transitions
from ilpyt.utils.schedules import Linear, Schedule

MAX_REPEATS = 10_000  # the longest that a random action is held


def td_loss(q_values: Tensor, actions: Tensor, targets: Tensor) -> Tensor:
    """Huber loss of Q(s, a) against its target (Mnih et al. 2015, alg. 1 and "Training details").

    Args:
        q_values: Q(s, .), float32 [B, K].
        actions: int64 [B].
        targets: r + gamma * max_a' Q(s', a') or a variant of it, float32 [B], without gradient.
    """
    return F.smooth_l1_loss(q_values.gather(1, actions[:, None]).squeeze(1), targets)


class DQNAgent(RLAgent):
    """Learns the value of each discrete action, off-policy, and acts on the best one."""

    rollout_steps = 1

    def initialize(
        self,
        net: BaseNetwork,
        target_net: BaseNetwork | None = None,
        num_actions: int | None = None,
        lr: float | Schedule = 5e-4,
        replay_memory_size: int = 50_000,
        epsilon_start: float = 1.0,
        epsilon_end: float = 0.05,
        epsilon_steps: int = 10_000,
        tau: float = 0.005,
        gamma: float = 0.99,
        batch_size: int = 64,
        num_envs: int | None = None,
        *,
        replay_ratio: float = 0.25,
        learning_starts: int = 1000,
        target_update_interval: int = 1,
        double: bool = False,
        n_step: int = 1,
        repeat_exponent: float | None = None,
        max_grad_norm: float | None = 10.0,
        reward_scale: float = 1.0,
    ) -> None:
        """Take a network of action values.

        Args:
            net: one output an action, as `choose_net(env)` makes it.
            target_net: the network whose values are bootstrapped from; it starts with the weights of `net`. None: a
                copy of `net`.
            num_actions: number of actions, checked against the network's; None: the network's.
            lr: learning rate of Adam, or a schedule of it over env steps.
            replay_memory_size: transitions that are remembered.
            epsilon_start: probability of a random action at first.
            epsilon_end: probability of a random action after `epsilon_steps`.
            epsilon_steps: env steps over which the probability changes, linearly.
            tau: how far the target network moves to the network at once; 1: all the way.
            gamma: discount per env step.
            batch_size: transitions of one gradient update.
            num_envs: number of environments, checked against the first rollout's; None: the rollout's.
            replay_ratio: gradient updates per env step, however long rollouts are.
            learning_starts: env steps before the first gradient update.
            target_update_interval: gradient updates between moves of the target network.
            double: choose the next action by the network, value it by the target network (van Hasselt et al. 2016).
            n_step: env steps of reward before a target bootstraps.
            repeat_exponent: hold a random action for z steps, z distributed as z^-exponent, or until the episode ends:
                exploration that gets somewhere (Dabney et al. 2021, who use 2; less holds longer). The probability of a
                random action is then that of beginning one. None: hold it for one step.
            max_grad_norm: clip the gradient's norm to this; None: not at all.
            reward_scale: rewards are multiplied with this before they are remembered.
        """
        if net.action_type != "discrete":
            given = "means of continuous actions" if net.action_type else "plain values"
            raise ValueError(
                f"DQN takes a network with an output for each discrete action, choose_net(env); this one gives {given}."
                " ilpyt.envs.DiscretizeAction makes continuous actions discrete."
            )
        if target_net is net:
            raise ValueError("target_net is the same object as net; leave it out, or give a network of its own")
        if num_actions not in (None, net.num_outputs):
            raise ValueError(f"num_actions is {num_actions}, but the network has {net.num_outputs} outputs")
        if batch_size > replay_memory_size:
            raise ValueError(f"a batch of {batch_size} doesn't fit a replay memory of {replay_memory_size} transitions")
        if not 0 <= epsilon_end <= epsilon_start <= 1:
            raise ValueError(f"epsilon must fall within 0..1, got {epsilon_start} to {epsilon_end}")
        if repeat_exponent is not None and repeat_exponent <= 1:
            raise ValueError(f"repeat_exponent must be above 1, got {repeat_exponent}")
        for name, number in {"tau": tau, "replay_ratio": replay_ratio, "epsilon_steps": epsilon_steps}.items():
            if number <= 0:
                raise ValueError(f"{name} must be above 0, got {number}")
        for name, value in {
            "batch_size": batch_size,
            "n_step": n_step,
            "target_update_interval": target_update_interval,
        }.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.net = net
        self.target_net = copy.deepcopy(net) if target_net is None else target_net
        if {p.data_ptr() for p in self.target_net.parameters()} & {p.data_ptr() for p in net.parameters()}:
            raise ValueError("target_net shares weights with net; leave it out, or give a network of its own")
        try:
            self.target_net.load_state_dict(net.state_dict())
        except RuntimeError as error:
            raise ValueError(f"target_net must be built as net is: {error}") from None
        self.target_net.requires_grad_(False)
        self.num_actions = net.num_outputs
        self.num_envs = num_envs
        self.epsilon_schedule = Linear(epsilon_start, epsilon_end, epsilon_steps)
        self.replay_memory = ReplayMemory(replay_memory_size)
        self.tau = tau
        self.batch_size = batch_size
        self.replay_ratio = replay_ratio
        self.learning_starts = max(learning_starts, batch_size)
        self.target_update_interval = target_update_interval
        self.double = double
        self.n_step = n_step
        self.repeat_exponent = repeat_exponent
        self.max_grad_norm = max_grad_norm
        self._reward: Callable[[Any], Tensor] | None = None  # in the place of remembered rewards
        self._owed = 0.0  # updates that the env steps so far entitle to
        self.set_up("net", {"net": net}, lr, gamma, reward_scale, others={"target_net": self.target_net})
        self.reset()

    @property
    def epsilon(self) -> float:
        """Probability of a random action, after the env steps learnt from so far."""
        return self.epsilon_schedule(self.env_steps)

    def reset(self) -> None:
        """Forget which random actions are being held, and that what is remembered last goes on; not in test mode."""
        super().reset()
        if self.training:
            self._held = self._remaining = np.zeros(0, dtype=np.int64)
            self.replay_memory.cut()

    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] for states [N, *obs]: epsilon-greedy in training, greedy in testing."""
        with torch.inference_mode():
            actions = self.net(state).argmax(1).cpu().numpy()
        return self._explore(actions) if self.training else actions

    def _explore(self, greedy: np.ndarray) -> np.ndarray:
        """Random actions in the place of some greedy ones: a coin for each environment that isn't holding one."""
        n = len(greedy)
        explores = np.random.random(n) < self.epsilon
        if self.repeat_exponent is None:
            for i in np.flatnonzero(explores):  # mostly none
                greedy[i] = np.random.randint(self.num_actions)
            return greedy
        if len(self._remaining) != n:
            self._held, self._remaining = np.zeros((2, n), dtype=np.int64)
        begins = explores & (self._remaining == 0)
        self._held[begins] = np.random.randint(self.num_actions, size=begins.sum())
        self._remaining[begins] = np.random.zipf(self.repeat_exponent, begins.sum()).clip(max=MAX_REPEATS)
        holding = self._remaining > 0
        self._remaining[holding] -= 1
        return np.where(holding, self._held, greedy)

    def learn(self, batch: Any) -> dict[str, float]:
        """Remember a rollout [T, N, ...], and make as many gradient updates as its env steps entitle to."""
        if self.num_envs not in (None, batch.rewards.shape[1]):
            raise ValueError(f"this agent was made for {self.num_envs} environments, got {batch.rewards.shape[1]}")
        self.replay_memory.add(batch)
        if self.replay_memory.rows < self.n_step:
            raise ValueError(
                f"a replay memory of {self.replay_memory.capacity} transitions holds {self.replay_memory.rows} steps "
                f"of {batch.rewards.shape[1]} environments, fewer than n_step {self.n_step}"
            )
        if len(self._remaining):
            self._remaining[batch.dones.any(0).cpu().numpy()] = 0  # what is held ends with the episode
        updates = [(math.nan, math.nan)]
        if self.env_steps + batch.rewards.numel() >= self.learning_starts and self.replay_memory.size >= self.n_step:
            self._owed += batch.rewards.numel() * self.replay_ratio
            count, self._owed = int(self._owed), self._owed % 1
            if count:
                updates = [self._update_once() for _ in range(count)]
        losses, q_means = zip(*updates, strict=True)
        return {
            "q/loss": sum(losses) / len(losses),
            "q/mean": sum(q_means) / len(q_means),
            "epsilon": self.epsilon,
        }

    def relabel(self, reward: Callable[[Any], Tensor]) -> None:
        """What is remembered is worth what `reward` says whenever it is drawn."""
        self._reward = lambda transitions: self.reward_scale * reward(transitions)

    def sample(self) -> Transitions:
        """What one gradient update learns from."""
        return self.replay_memory.sample(self.batch_size, self.gamma, self.n_step, self._reward)

    def _update_once(self) -> tuple[float, float]:
        """One gradient update, and one of the target network where it's due; the loss, and the mean of Q(s, .)."""
        sample = self.sample()
        q_values = self.net(sample.states)
        loss = td_loss(q_values, sample.actions, self.targets(sample))
        value = self.optimize("net", loss, self.max_grad_norm)
        if self.updates % self.target_update_interval == 0:
            self._move_target()
        return value, q_values.detach().mean().item()

    @torch.no_grad()
    def targets(self, sample: Transitions) -> Tensor:
        """R + gamma^n max_a Q(s', a), by the target network; [B] (Mnih et al. 2015, alg. 1)."""
        next_q_values = self.target_net(sample.next_states)
        if self.double:
            best = self.net(sample.next_states).argmax(1, keepdim=True)
            next_values = next_q_values.gather(1, best).squeeze(1)
        else:
            next_values = next_q_values.amax(1)
        return sample.rewards + sample.discounts * next_values

    @torch.no_grad()
    def _move_target(self) -> None:
        own: list[Tensor] = list(self.net.parameters())
        target: list[Tensor] = list(self.target_net.parameters())
        if self.tau == 1:
            torch._foreach_copy_(target, own)
        else:
            torch._foreach_lerp_(target, own, self.tau)

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs, what is remembered too."""
        return {**super().state_dict(), "replay_memory": self.replay_memory.state_dict(), "owed": self._owed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self._load_replay_memory(state["replay_memory"])
        self._owed = state["owed"]

    def _to(self, device: torch.device) -> None:
        moves = device != self.device
        super()._to(device)
        if moves:
            self._load_replay_memory(self.replay_memory.state_dict())

    def _load_replay_memory(self, state: dict[str, Tensor]) -> None:
        self.replay_memory.load_state_dict({name: tensor.to(self.device) for name, tensor in state.items()})
