"""Your own environment: observations of two parts, a keyword, a wrapper; a scripted expert, and clones of it."""

from functools import partial

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

import ilpyt
from ilpyt.agents import HeuristicAgent, ImitationAgent
from ilpyt.algos import BC
from ilpyt.runners import Runner, evaluate
from ilpyt.utils.seed_utils import set_seed

SIZE = 4


class Fetch(gym.Env):
    """Walk to the item, and with it to the upper left corner. Each of the two is worth 1."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    moves = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])  # up, down, left, right

    def __init__(self, size, render_mode=None):
        floor = spaces.Box(0, 255, (size, size), np.uint8)  # the robot 255, the item 100
        self.observation_space = spaces.Dict({"carries": spaces.Discrete(2), "floor": floor})
        self.action_space = spaces.Discrete(4, start=1)
        self.size, self.render_mode = size, render_mode

    def observe(self):
        self.floor = np.zeros((self.size, self.size), np.uint8)
        self.floor[tuple(self.item)] = 0 if self.carries else 100
        self.floor[tuple(self.robot)] = 255
        return {"carries": self.carries, "floor": self.floor}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.robot, self.item = self.np_random.permutation(list(np.ndindex(self.size, self.size)))[:2]
        self.carries = 0
        return self.observe(), {}

    def step(self, action):
        self.robot = np.clip(self.robot + self.moves[action - 1], 0, self.size - 1)
        took = not self.carries and (self.robot == self.item).all()
        self.carries = int(self.carries or took)
        brought = bool(self.carries and not self.robot.any())
        return self.observe(), float(took) + float(brought), brought, False, {}

    def render(self):
        return np.repeat(self.floor, 20, 0).repeat(20, 1)[..., None].repeat(3, 2)


class Toll(gym.RewardWrapper):
    def __init__(self, env, cost):
        super().__init__(env)
        self.cost = cost

    def reward(self, reward):
        return reward - self.cost


class Fetcher(HeuristicAgent):
    def act(self, state):
        """States are flat: the Dict's parts in its order, a column for each category, images row by row."""
        carries, floor = state.split([spaces.flatdim(part) for part in Fetch(SIZE).observation_space.values()], dim=1)
        robot, item = (floor == 255).long().argmax(1), (floor == 100).long().argmax(1)
        goal = torch.where(carries[:, 1] == 1, 0, item)
        down, right = goal // SIZE - robot // SIZE, goal % SIZE - robot % SIZE
        return torch.where(down < 0, 0, torch.where(down > 0, 1, torch.where(right < 0, 2, 3)))  # counted from 0


gym.register("Fetch-v0", entry_point=Fetch, max_episode_steps=30)
for kind in ("dummy", "subproc"):  # in this process, and in worker processes: the same numbers come of both
    set_seed(0)
    with ilpyt.envs.build_env("Fetch-v0", 8, vecenv_type=kind, wrappers=[partial(Toll, cost=0.05)], size=SIZE) as env:
        agent = ImitationAgent(ilpyt.nets.choose_net(env, normalize=True))
        algo = BC(agent=agent, env=env, save_path=f"logs/custom_env_{kind}")
        algo.train(num_epochs=30, expert_demos=Runner(env, Fetcher()).generate_episodes(500))
        print(f"{kind}: expert {np.mean(evaluate(Fetcher(), env)):.3f}, learner {np.mean(algo.test(100)):.3f}")
