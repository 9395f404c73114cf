"""Your own environment, a scripted expert for it, and a clone of the expert; environments run in worker processes."""

import gymnasium as gym
import numpy as np

import ilpyt
from ilpyt.agents import HeuristicAgent, ImitationAgent
from ilpyt.algos import BC
from ilpyt.runners import Runner, evaluate
from ilpyt.utils.seed_utils import set_seed


class Reach(gym.Env):
    """Stay on a target: observation (position, target), actions left, stay, right, reward minus the distance."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.state[0] = np.clip(self.state[0] + 0.1 * (action - 1), -1, 1)
        return self.state.copy(), -abs(float(self.state[0] - self.state[1])), False, False, {}


class ReachExpert(HeuristicAgent):
    def act(self, state):
        return ((state[:, 1] - state[:, 0]) / 0.1).round().clamp(-1, 1).long() + 1


gym.register("Reach-v0", entry_point=Reach, max_episode_steps=30)
env = ilpyt.envs.build_env("Reach-v0", num_env=8, vecenv_type="subproc")
set_seed(0)
algo = BC(agent=ImitationAgent(ilpyt.nets.choose_net(env)), env=env, save_path="logs/custom_env")
algo.train(num_epochs=100, expert_demos=Runner(env, ReachExpert()).generate_episodes(100))
print(f"expert {np.mean(evaluate(ReachExpert(), env)):.2f}, learner {np.mean(algo.test(num_episodes=100)):.2f}")
