"""`GAILAgent`: generative adversarial imitation learning (Ho & Ermon 2016).

The discriminator D(s, a) is the probability that the expert did it: experts are labelled 1, the learner 0. Its network
gives logits, D = sigmoid(logit); where it is right, the logit is log(p_expert / p_learner), since then
D = p_expert / (p_expert + p_learner) (Goodfellow et al. 2014, proposition 1).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.agents.imitation_agent import StateActions
from ilpyt.agents.rl_agent import CHUNK, RLAgent, check_gives_value
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.flat_adam import FlatAdam
from ilpyt.utils.replay_memory import ReplayMemory

# What the learner is rewarded with, float32 [B], for logits [B]. All three rise with D, so that it pays to be taken for
# the expert, but their signs differ, and a sign alone says something: where all rewards are positive, it pays to go on
# for long, where all are negative, to come to an end soon.
REWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    # -log(1 - D) > 0. The paper's cost, log D for a D that is the probability of the *learner*, negated.
    "softplus": F.softplus,
    # log D - log(1 - D), of either sign: log(p_expert / p_learner), so that the learner minimises KL(learner || expert)
    # (Fu et al. 2018, "AIRL", section 4; Ghasemipour et al. 2020, section 3).
    "logit": lambda logits: logits,
    # log D < 0
    "logsigmoid": F.logsigmoid,
}


def discriminator_loss(expert_logits: Tensor, learner_logits: Tensor) -> Tensor:
    """Cross-entropy of D with labels 1 for the expert and 0 for the learner, in nats (Ho & Ermon 2016, eq. 17).

    Args:
        expert_logits: float32 [B].
        learner_logits: float32 [B'].

    Returns:
        -1/2 (E_expert[log D] + E_learner[log(1 - D)]): ln 2 for a discriminator that can't tell them apart.
    """
    return (F.softplus(-expert_logits).mean() + F.softplus(learner_logits).mean()) / 2


def gradient_penalty(disc: BaseNetwork, expert: list[Tensor], learner: list[Tensor]) -> Tensor:
    """How far the gradient's norm is from 1 at points between the two (Gulrajani et al. 2017, eq. 3), squared.

    Args:
        disc: the discriminator.
        expert: B inputs, as `encode_transitions` gives them.
        learner: as many.
    """
    weights = torch.rand(len(expert[0]), device=expert[0].device)
    points = []
    for one, other in zip(expert, learner, strict=True):
        weight = weights.view(-1, *[1] * (one.dim() - 1))
        points.append((weight * one + (1 - weight) * other).detach().requires_grad_())
    gradients = torch.autograd.grad(disc.decode(points).sum(), points, create_graph=True)
    norms = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).norm(dim=1)
    return (norms - 1).square().mean()


class GAILAgent(BaseAgent):
    """A learner (the generator) that learns to do what a discriminator takes for the expert's doing."""

    def initialize(
        self,
        gen: RLAgent,
        disc: BaseNetwork,
        lr: float = 1e-3,
        *,
        reward: str = "softplus",
        batch_size: int = 256,
        num_disc_updates: int = 4,
        gradient_penalty_coeff: float = 0.0,
        replay_memory_size: int | None = None,
        state_only: bool = False,
    ) -> None:
        """Take a learner and a discriminator.

        Args:
            gen: learns from the discriminator's rewards: a PPO, A2C or DQN agent.
            disc: a network of one output, the logit of D, as `choose_net(env, output_shape=1, with_action_shape=True)`
                makes it; `normalize=True` and `spectral_norm=True` are worth trying. With `with_next_state=True` it
                sees transitions (s, s'); files don't hold the state after an episode's last step, so the last ones are
                the learner's alone, and look like a mistake: not for experts that come to an end.
            lr: the discriminator's learning rate (Adam).
            reward: 'softplus', -log(1 - D); 'logit', log D - log(1 - D); or 'logsigmoid', log D: see `REWARDS`. The
                first rewards survival as such, the last an early end.
            batch_size: transitions of the expert, and as many of the learner, in one update of the discriminator.
            num_disc_updates: updates of the discriminator for each rollout.
            gradient_penalty_coeff: weight of `gradient_penalty`.
            replay_memory_size: transitions of the learner that the discriminator learns from, past rollouts' too; None:
                those of the latest rollout.
            state_only: the discriminator looks at states only, on purpose: for demonstrations whose actions the learner
                can't match exactly.
        """
        if not isinstance(gen, RLAgent):
            raise TypeError(f"gen must learn from rewards: a PPO, A2C or DQN agent, not a {type(gen).__name__}")
        check_gives_value("discriminator", disc, "choose_net(env, output_shape=1, with_action_shape=True)")
        if not state_only and not disc.takes_actions and not disc.takes_next_states:
            raise ValueError(
                "the discriminator doesn't take actions; make it with choose_net(env, output_shape=1, "
                "with_action_shape=True), or say state_only=True"
            )
        if reward not in REWARDS:
            raise ValueError(f"reward must be one of {', '.join(map(repr, REWARDS))}, got {reward!r}")
        for name, value in {"batch_size": batch_size, "num_disc_updates": num_disc_updates}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if gradient_penalty_coeff < 0:
            raise ValueError(f"gradient_penalty_coeff must be at least 0, got {gradient_penalty_coeff}")
        self.gen = gen
        self.disc = disc
        self.reward_of = REWARDS[reward]
        self.batch_size = batch_size
        self.num_disc_updates = num_disc_updates
        self.gradient_penalty_coeff = gradient_penalty_coeff
        self.replay_memory = None if replay_memory_size is None else ReplayMemory(replay_memory_size)
        self.demos: StateActions | None = None
        self.agents = {"gen": gen}
        self.nets = {"disc": disc}
        self.optimizers = {"disc": FlatAdam(disc.parameters(), lr=lr)}

    def step(self, state: Tensor) -> np.ndarray:
        """The learner's actions for states [N, *obs]."""
        return self.gen.step(state)

    def demonstrate(self, demos: StateActions) -> None:
        """Begin to learn from an expert, by all transitions that it has shown."""
        self.demos = demos
        self.disc.observe(self.disc.states_of(demos))

    def update(self, batch: Any) -> dict[str, float]:
        """Teach the discriminator by a rollout and the demonstrations, then the learner by the discriminator.

        The rollout's own rewards aren't looked at.

        Args:
            batch: a `Batch` [T, N, ...].

        Returns:
            metrics of both, under the same names every time.
        """
        if self.demos is None:
            raise RuntimeError("there is no expert to learn from; call demonstrate first")
        demos, rollout = self.demos, batch.flatten()
        self.disc.observe(self.disc.states_of(rollout))
        if self.replay_memory is not None:
            self.replay_memory.add(batch)
        losses = [self._update_discriminator(rollout, demos) for _ in range(self.num_disc_updates)]
        self.gen.relabel(self.reward)
        logits = self.logits(rollout)
        rewards = self.reward_of(logits).view_as(batch.rewards)
        metrics = self.gen.update(batch.replace(rewards=rewards))
        return {**metrics, "disc/loss": sum(losses) / len(losses), **self._diagnose(logits, demos, rewards)}

    def _update_discriminator(self, rollout: Any, demos: StateActions) -> float:
        """One gradient update on equally many transitions of the expert and of the learner; the loss."""
        device, size = rollout.rewards.device, self.batch_size
        expert = demos.take(torch.randint(len(demos.states), (size,), device=device))
        if self.replay_memory is None:
            rows = torch.randint(len(rollout), (size,), device=device)
            learner = self.disc.encode_transitions(StateActions.of(rollout).take(rows))
        else:
            learner = self.disc.encode_transitions(self.replay_memory.sample(size, gamma=1.0))
        inputs = self.disc.encode_transitions(expert), learner
        logits = self.disc.decode([torch.cat(parts) for parts in zip(*inputs, strict=True)]).squeeze(1)
        loss = discriminator_loss(*logits.split(size))
        if self.gradient_penalty_coeff:
            loss = loss + self.gradient_penalty_coeff * gradient_penalty(self.disc, *inputs)
        return self.optimize("disc", loss)

    @torch.no_grad()
    def logits(self, transitions: Any) -> Tensor:
        """The discriminator's logits of B transitions, [B]."""
        parts, starts = StateActions.of(transitions), range(0, len(transitions.states), CHUNK)
        return torch.cat([self.disc.on_transitions(parts.take(slice(start, start + CHUNK))) for start in starts])

    def reward(self, transitions: Any) -> Tensor:
        """What the learner is rewarded with for B transitions, [B]; see `REWARDS`."""
        return self.reward_of(self.logits(transitions))

    @torch.no_grad()
    def _diagnose(self, logits: Tensor, demos: StateActions, rewards: Tensor) -> dict[str, float]:
        """How well the discriminator tells them apart, after its updates."""
        rows = torch.randint(len(demos.states), (min(CHUNK, len(demos.states)),), device=logits.device)
        expert = self.disc.on_transitions(demos.take(rows))
        metrics = {
            "disc/accuracy": ((expert > 0).float().mean() + (logits < 0).float().mean()) / 2,
            "disc/accuracy_expert": (expert > 0).float().mean(),
            "disc/accuracy_learner": (logits < 0).float().mean(),
            "disc/entropy": (bernoulli_entropy(expert).mean() + bernoulli_entropy(logits).mean()) / 2,
            "learned_reward/mean": rewards.mean(),
            "learned_reward/std": rewards.std(correction=0),
        }
        return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs."""
        memory = {} if self.replay_memory is None else self.replay_memory.state_dict()
        return {**super().state_dict(), "replay_memory": memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self._load_replay_memory(state["replay_memory"])

    def _to(self, device: torch.device) -> None:
        moves = device != self.device
        super()._to(device)
        if moves and self.replay_memory is not None:
            self._load_replay_memory(self.replay_memory.state_dict())

    def _load_replay_memory(self, state: dict[str, Tensor]) -> None:
        if self.replay_memory is not None:
            self.replay_memory.load_state_dict({name: tensor.to(self.device) for name, tensor in state.items()})


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Entropy of coins whose probability is the sigmoid of `logits` [B], in nats, [B]; ln 2 for fair ones."""
    return F.softplus(logits) - torch.sigmoid(logits) * logits
