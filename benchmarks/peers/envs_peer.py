"""The vectorized environments of stable-baselines3 and EnvPool, driven by `speed.py` over a pipe; see `peer.py`."""

import sys
import time
from typing import Any

import numpy as np
from peer import UNDRAWN, answer


class Peer:
    """Answers commands."""

    env: Any = None

    def make(self, kind: str, env_id: str, num_envs: int) -> dict[str, Any]:
        """Environments of a kind: 'SubprocVecEnv', 'DummyVecEnv' or 'EnvPool', if it is there."""
        if self.env is not None:
            self.env.close()
        if kind == "EnvPool":
            try:
                import envpool
            except ImportError:
                return {"missing": "envpool"}
            self.env = envpool.make(env_id, env_type="gymnasium", num_envs=num_envs, seed=0)
        else:
            from stable_baselines3.common import vec_env
            from stable_baselines3.common.env_util import make_vec_env

            self.env = make_vec_env(env_id, num_envs, seed=0, vec_env_cls=getattr(vec_env, kind), env_kwargs=UNDRAWN)
        self.num_actions = int(self.env.action_space.n)
        self.num_envs = num_envs
        self.spends_steps_on_resets = kind == "EnvPool"
        self.env.reset()
        return {}

    def rate(self, seconds: float) -> dict[str, Any]:
        """Transitions a second, all environments together; a step that only resets brings none."""
        actions = np.random.default_rng(0).integers(0, self.num_actions, (1000, self.num_envs)).astype(np.int32)
        flags, start = [], time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            for _ in range(20):
                flags.append(self.env.step(actions[len(flags) % 1000])[2:4])
        resets = 0
        if self.spends_steps_on_resets:
            resets = sum(int((terminated | truncated).sum()) for terminated, truncated in flags[:-1])
        return {"rate": (len(flags) * self.num_envs - resets) / elapsed}


if __name__ == "__main__":
    answer(Peer(), sys.stdin, sys.stdout)
