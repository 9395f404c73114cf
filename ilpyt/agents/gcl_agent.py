"""`GCLAgent`: guided cost learning, maximum-entropy inverse optimal control by samples (Finn et al. 2016).

The expert's trajectories are thought to come from p(tau) = exp(-c(tau)) / Z, where the cost of a trajectory is the sum
of the costs of its steps. Cost is what the expert avoids: the learner is rewarded with -c(s, a).
"""

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.agents.imitation_agent import StateActions
from ilpyt.agents.rl_agent import CHUNK, ActorCriticAgent, check_gives_value
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.checkpoint import check_all_like
from ilpyt.utils.errors import DataError
from ilpyt.utils.flat_adam import FlatAdam


def guided_cost_loss(demo_costs: Tensor, sample_costs: Tensor, sample_log_densities: Tensor) -> Tensor:
    """Negative log-likelihood of the demonstrations, with Z estimated by importance sampling (Finn et al. 2016, eq. 4).

    1/N sum_demos c(tau_i) + log 1/M sum_samples exp(-c(tau_j)) / q(tau_j)

    Args:
        demo_costs: c(tau) of demonstrated trajectories, float32 [N].
        sample_costs: c(tau) of sampled trajectories, float32 [M].
        sample_log_densities: log q(tau) of these, up to a constant: what the environment contributes to the density is
            the same for all q and p, so it cancels. Float32 [M], without gradient.
    """
    log_z = torch.logsumexp(-sample_costs - sample_log_densities, dim=0) - math.log(len(sample_costs))
    return demo_costs.mean() + log_z


def fused_log_density(log_densities: Tensor, shares: Tensor) -> Tensor:
    """Log sum_k share_k q_k(tau), for trajectories drawn from several policies (Finn et al. 2016, section 4.3).

    Args:
        log_densities: log q_k(tau), float32 [M, K].
        shares: how much of the sample each policy has contributed, float32 [K]; the paper's are all 1/K.

    Returns:
        float32 [M].
    """
    return torch.logsumexp(log_densities + shares.log(), dim=1)


def local_constant_rate(costs: Tensor, episodes: Tensor) -> Tensor:
    """Sum over all steps but the ends of ((c_{t+1} - c_t) - (c_t - c_{t-1}))^2 (Finn et al. 2016, section 5, g_lcr).

    Args:
        costs: of steps in order of time, trajectories end to end, float32 [L].
        episodes: which trajectory a step belongs to, int64 [L].
    """
    rates, same = costs.diff(), episodes.diff() == 0
    return (rates.diff()[same[1:] & same[:-1]]).square().sum()


def monotonic(costs: Tensor, episodes: Tensor) -> Tensor:
    """Sum over steps of max(0, c_t - c_{t-1} - 1)^2: costs should fall (Finn et al. 2016, section 5, g_mono).

    Args:
        costs: of steps in order of time, trajectories end to end, float32 [L].
        episodes: which trajectory a step belongs to, int64 [L].
    """
    rises = costs.diff()[episodes.diff() == 0]
    return (rises - 1).clamp(min=0).square().sum()


@dataclass(frozen=True)
class Trajectories:
    """E whole episodes end to end, L steps in all, and how likely some policies would have been to act that way.

    Attributes:
        states: [L, *obs].
        actions: int64 [L] or float32 [L, A].
        lengths: env steps of each, int64 [E].
        log_densities: log prod_t pi_k(a_t | s_t) for K policies, float32 [E, K].
    """

    states: Tensor
    actions: Tensor
    lengths: Tensor
    log_densities: Tensor

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    @property
    def episodes(self) -> Tensor:
        """The episode that a step belongs to, int64 [L]."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.lengths.device), self.lengths)

    def total(self, values: Tensor) -> Tensor:
        """Sums over the steps of each episode, [E], of a value for each step [L]."""
        return values.new_zeros(len(self)).index_add(0, self.episodes, values)

    def take(self, chosen: Tensor) -> "Trajectories":
        """Some episodes, by their indices."""
        lengths = self.lengths[chosen]
        shift = (self.lengths.cumsum(0) - self.lengths)[chosen] - (lengths.cumsum(0) - lengths)
        rows = torch.repeat_interleave(shift, lengths) + torch.arange(int(lengths.sum()), device=lengths.device)
        return Trajectories(self.states[rows], self.actions[rows], lengths, self.log_densities[chosen])

    @torch.no_grad()
    def seen_by(self, policy: BaseNetwork) -> "Trajectories":
        """The same, with the log-densities under another policy in a further column."""
        parts = zip(self.states.split(CHUNK), self.actions.split(CHUNK), strict=True)
        log_probs = torch.cat([policy.get_distribution(states).log_prob(actions) for states, actions in parts])
        return replace(self, log_densities=torch.cat([self.log_densities, self.total(log_probs)[:, None]], dim=1))

    def to(self, device: torch.device) -> "Trajectories":
        """The same on a device."""
        return Trajectories(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    @staticmethod
    def join(first: "Trajectories", second: "Trajectories") -> "Trajectories":
        """Those of both."""
        return Trajectories(**{name: torch.cat([tensor, vars(second)[name]]) for name, tensor in vars(first).items()})


def trajectories(states: Tensor, actions: Tensor, dones: Tensor) -> Trajectories:
    """Episodes end to end [L, ...], by where they end; an unfinished last one counts."""
    ends = dones.clone()
    ends[-1] = True
    lengths = (ends.nonzero().flatten() + 1).diff(prepend=torch.zeros(1, dtype=torch.int64, device=dones.device))
    return Trajectories(states, actions, lengths, torch.zeros(len(lengths), 0, device=dones.device))


class GCLAgent(BaseAgent):
    """A learner, and a cost that explains why the expert does what it does rather than what the learner does."""

    def initialize(
        self,
        actor: ActorCriticAgent,
        cost: BaseNetwork,
        lr: float = 1e-3,
        lcr_reg_cost: float = 0.1,
        mono_reg_cost: float = 0.1,
        *,
        num_proposals: int = 5,
        max_grad_norm: float | None = 10.0,
    ) -> None:
        """Take a learner and a cost.

        Args:
            actor: learns from minus the cost: a PPO or A2C agent. (Its policy must have a density; DQN's hasn't.) The
                paper's also maximises its entropy: that is the agent's `entropy_coeff`.
            cost: a network of one output, as `choose_net(env, output_shape=1, with_action_shape=True)` makes it.
            lr: the cost's learning rate (Adam).
            lcr_reg_cost: weight of `local_constant_rate`, for all trajectories: costs should change evenly.
            mono_reg_cost: weight of `monotonic`, for demonstrations: costs should fall towards the goal.
            num_proposals: how many past policies are remembered, with the episodes that each has played.
            max_grad_norm: clip the norm of the cost's gradient to this; None: not at all.
        """
        if not isinstance(actor, ActorCriticAgent):
            raise TypeError(f"actor must be a PPO or A2C agent, whose policy has a density; not {type(actor).__name__}")
        if actor.actor.noise_correlation:
            raise ValueError(
                f"the policy's noise_correlation is {actor.actor.noise_correlation:g}; it must be 0, since the density "
                "of a trajectory is the product of its actions' only if they are drawn independently"
            )
        check_gives_value("cost", cost, "choose_net(env, output_shape=1, with_action_shape=True)")
        if cost.takes_next_states:
            raise ValueError("the cost takes next states, which trajectories don't hold; make it without")
        for name, weight in {"lcr_reg_cost": lcr_reg_cost, "mono_reg_cost": mono_reg_cost}.items():
            if weight < 0:
                raise ValueError(f"{name} must be at least 0, got {weight}")
        if num_proposals < 1:
            raise ValueError(f"num_proposals must be at least 1, got {num_proposals}")
        self.actor = actor
        self.cost = cost
        self.lcr_reg_cost = lcr_reg_cost
        self.mono_reg_cost = mono_reg_cost
        self.num_proposals = num_proposals
        self.max_grad_norm = max_grad_norm
        self.agents = {"actor": actor}
        self.nets = {"cost": cost}
        self.optimizers = {"cost": FlatAdam(cost.parameters(), lr=lr)}
        self.demos: Trajectories | None = None
        self._proposals: list[BaseNetwork] = []  # the expert's, then the latest policies, oldest first
        self._samples: list[Trajectories] = []  # what each of the latest policies has played

    def step(self, state: Tensor) -> np.ndarray:
        """The learner's actions for states [N, *obs]."""
        return self.actor.step(state)

    def demonstrate(self, demos: Trajectories, proposal: BaseNetwork) -> None:
        """Begin to learn from an expert.

        Args:
            demos: its episodes.
            proposal: a policy as close to the expert as can be had: demonstrations are samples too, and their weight
                depends on how likely they were.
        """
        self._proposals, self._samples = [proposal], []
        self.demos = demos.seen_by(proposal)
        self.cost.observe(demos.states)

    def update(self, batch: Any, num_reward_updates: int = 10, batch_size: int = 16) -> dict[str, float]:
        """Improve the cost, then the learner by it (Finn et al. 2016, alg. 1, lines 4 to 6).

        The episodes' own rewards aren't looked at.

        Args:
            batch: whole episodes that the learner has played just now, as `Runner.generate_trajectories` gives them.
            num_reward_updates: gradient updates of the cost (alg. 2, K).
            batch_size: episodes of the expert, and as many sampled ones, in one of them.

        Returns:
            metrics, under the same names every time.
        """
        if self.demos is None:
            raise RuntimeError("there is no expert to learn from; call demonstrate first")
        flat = batch.flatten()
        self.cost.observe(flat.states)
        self._remember(trajectories(flat.states, flat.actions, flat.dones))
        samples = self._samples[0]
        for later in self._samples[1:]:
            samples = Trajectories.join(samples, later)
        # Half of what the cost is improved by was shown, the rest drawn from all that was played.
        shares = torch.tensor([1.0, *(len(part) / len(samples) for part in self._samples)], device=self.device) / 2
        metrics = [self._update_cost(self.demos, samples, shares, batch_size) for _ in range(num_reward_updates)]
        means = {name: sum(m[name] for m in metrics) / len(metrics) for name in metrics[0]}
        costs = self.costs(flat)
        learned = {"learned_reward/mean": -costs.mean().item(), "learned_reward/std": costs.std(correction=0).item()}
        return {**self.actor.update(batch.replace(rewards=-costs.view_as(batch.rewards))), **means, **learned}

    def _remember(self, played: Trajectories) -> None:
        """Take in episodes of the policy as it is, and forget those of the oldest one when there are too many."""
        policy = copy.deepcopy(self.actor.actor)
        for proposal in self._proposals:
            played = played.seen_by(proposal)
        self._proposals.append(policy)
        self._samples.append(played)
        assert self.demos is not None
        self.demos, *self._samples = [part.seen_by(policy) for part in (self.demos, *self._samples)]
        if len(self._samples) > self.num_proposals:
            del self._proposals[1], self._samples[0]
            self.demos, *self._samples = [_without_column(part, 1) for part in (self.demos, *self._samples)]

    def _update_cost(
        self, demos: Trajectories, samples: Trajectories, shares: Tensor, batch_size: int
    ) -> dict[str, float]:
        """One gradient update of the cost (Finn et al. 2016, alg. 2, lines 2 to 6)."""
        device = demos.states.device
        shown = demos.take(torch.randint(len(demos), (batch_size,), device=device))
        pool = Trajectories.join(shown, samples.take(torch.randint(len(samples), (batch_size,), device=device)))
        step_costs = self.cost.on_transitions(pool)
        costs, num_shown = pool.total(step_costs), int(shown.lengths.sum())
        log_densities = fused_log_density(pool.log_densities, shares)
        loss = guided_cost_loss(costs[:batch_size], costs, log_densities)
        lcr = local_constant_rate(step_costs, pool.episodes) / len(pool)
        mono = monotonic(step_costs[:num_shown], shown.episodes) / len(shown)
        self.optimize("cost", loss + self.lcr_reg_cost * lcr + self.mono_reg_cost * mono, self.max_grad_norm)
        weights = torch.softmax(-costs.detach() - log_densities, dim=0)
        metrics = {
            "cost/loss": loss,
            "cost/local_constant_rate": lcr,
            "cost/monotonic": mono,
            "cost/expert": costs[:batch_size].mean(),
            "cost/samples": costs[batch_size:].mean(),
            "cost/effective_samples": 1 / weights.square().sum(),
        }
        return dict(zip(metrics, torch.stack([m.detach() for m in metrics.values()]).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs: the demonstrations, the latest policies and their episodes too."""
        return {
            **super().state_dict(),
            "demos": None if self.demos is None else vars(self.demos),
            "samples": [vars(part) for part in self._samples],
            "proposals": [policy.state_dict() for policy in self._proposals],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        if state["demos"] is not None:
            count = len(state["proposals"])
            if count != len(state["samples"]) + 1 or count > self.num_proposals + 1:
                raise DataError(
                    f"{count} policies and {len(state['samples'])} samples, for {self.num_proposals} proposals"
                )
            check_all_like(state["proposals"], self.actor.actor.state_dict(), "the policies of the past")
            demos = state["demos"] if self.demos is None else vars(self.demos)
            for part in (state["demos"], *state["samples"]):
                _check_trajectories(Trajectories(**part), demos, count)
        self.demos = None if state["demos"] is None else Trajectories(**state["demos"])
        self._samples = [Trajectories(**part) for part in state["samples"]]
        self._proposals = [copy.deepcopy(self.actor.actor) for _ in state["proposals"]]
        for policy, weights in zip(self._proposals, state["proposals"], strict=True):
            policy.load_state_dict(weights)
        self._to(self.device)

    def _to(self, device: torch.device) -> None:
        super()._to(device)
        self.demos = None if self.demos is None else self.demos.to(device)
        self._samples = [part.to(device) for part in self._samples]
        for policy in self._proposals:
            policy.to(device)

    @torch.no_grad()
    def costs(self, transitions: Any) -> Tensor:
        """c(s, a) of B transitions, [B]."""
        parts = zip(transitions.states.split(CHUNK), transitions.actions.split(CHUNK), strict=True)
        return torch.cat([self.cost.on_transitions(StateActions(states, actions)) for states, actions in parts])


def _check_trajectories(part: Trajectories, demos: dict[str, Tensor], num_policies: int) -> None:
    """Refuse episodes from a file whose tensors don't fit each other, or the expert's."""
    fitting = {
        "states": (part.states.shape[1:], demos["states"].shape[1:]),
        "actions": (part.actions.shape[1:], demos["actions"].shape[1:]),
        "lengths": ([int(part.lengths.sum())] * 2, [len(part.states), len(part.actions)]),
        "log_densities": (list(part.log_densities.shape), [len(part.lengths), num_policies]),
    }
    for name, (its, expected) in fitting.items():
        if list(its) != list(expected) or getattr(part, name).dtype != demos[name].dtype:
            raise DataError(f"the {name} of episodes are {list(its)}, not {list(expected)}")
    if not len(part.lengths) or part.lengths.min() < 1 or part.log_densities.isnan().any():
        raise DataError("there are episodes without a step, or without a density")


def _without_column(part: Trajectories, column: int) -> Trajectories:
    kept = [k for k in range(part.log_densities.shape[1]) if k != column]
    return replace(part, log_densities=part.log_densities[:, kept])
