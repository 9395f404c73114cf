"""Your own algorithm: SQIL (Reddy et al. 2020), which ilpyt doesn't ship, balancing a pole from ten demonstrations.

Soft Q-learning in which what the expert did is worth 1 and what the learner did is worth 0; half of each minibatch is
the expert's. `DQNAgent` is extended where SQIL differs from DQN, `RL` by a `train` that takes demonstrations.
"""

import numpy as np
import torch
from common import DEMOS

import ilpyt
from ilpyt.agents import DQNAgent
from ilpyt.algos import RL
from ilpyt.runners import Experiences
from ilpyt.utils.replay_memory import ReplayMemory, Transitions
from ilpyt.utils.seed_utils import set_seed


class SQILAgent(DQNAgent):
    def initialize(self, net, temperature=0.1, **kwargs):
        super().initialize(net, epsilon_start=0.0, epsilon_end=0.0, **kwargs)
        self.temperature = temperature

    def remember(self, demos):
        """Take in demonstrations."""
        batch = demos.to_batch()
        self.demo_memory = ReplayMemory(len(batch))
        self.demo_memory.add(batch.replace(rewards=torch.ones_like(batch.rewards)))

    def step(self, state):
        """Explore by the soft policy, exp(Q / temperature)."""
        with torch.inference_mode():
            logits = self.net(state) / self.temperature
        actions = torch.distributions.Categorical(logits=logits).sample() if self.training else logits.argmax(1)
        return actions.numpy()

    def learn(self, batch):
        return super().learn(batch.replace(rewards=torch.zeros_like(batch.rewards)))

    def sample(self):
        """Half of a minibatch is the expert's (eq. 1 of the paper)."""
        memories = (self.replay_memory, self.demo_memory)
        halves = [memory.sample(self.batch_size // 2, self.gamma) for memory in memories]
        return Transitions(*map(torch.cat, zip(*halves, strict=True)))

    @torch.no_grad()
    def targets(self, sample):
        """R + gamma V(s'), with the soft value log sum_a exp Q(s', a)."""
        q_values = self.target_net(sample.next_states) / self.temperature
        return sample.rewards + sample.discounts * self.temperature * q_values.logsumexp(1)


class SQIL(RL):
    agent_class = SQILAgent

    def train(self, expert_demos, **kwargs):
        self.agent.remember(self.load_demos(expert_demos))
        super().train(**kwargs)


if __name__ == "__main__":
    set_seed(0)
    env = ilpyt.envs.build_env("CartPole-v0", num_env=8)
    agent = SQILAgent(ilpyt.nets.choose_net(env), lr=1e-3, tau=0.01, learning_starts=200, replay_ratio=0.5)
    algo = SQIL(env=env, agent=agent, save_path="logs/sqil")
    ten = Experiences.load(DEMOS / "CartPole-v0" / "demos.pkl")[: 10 * 200]
    algo.train(ten, num_steps=30_000, until=200, eval_interval=2000, eval_episodes=50)
    print(f"100 test episodes: {np.mean(algo.test(num_episodes=100)):.2f} (the expert: 200)")
