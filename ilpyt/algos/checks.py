"""Whether agent and environment fit, before anything is trained."""

import numpy as np
import torch

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.agents.imitation_agent import StateActions
from ilpyt.envs.vec_env import VecEnv
from ilpyt.utils.errors import DataError


def check_agent_fits(agent: BaseAgent, env: VecEnv) -> None:
    """Let the agent act once, on made-up states, so that a network of the wrong shape is found before training."""
    states = torch.from_numpy(np.zeros((2, *env.observation_shape), env.observation_dtype)).to(agent.device)
    name = "policy"
    try:
        with agent.test_mode(), torch.inference_mode():
            actions = agent.step(states)
            for name, net in agent.named_nets():  # noqa: B007 (the error says which)
                if net.takes_actions or net.takes_next_states:
                    net.on_transitions(StateActions(states, torch.from_numpy(actions).to(agent.device), states))
                else:
                    net(states)
    except Exception as error:
        raise DataError(
            f"the {name} of {type(agent).__name__} fails on the states of {env.description['env_id']}, of shape "
            f"{list(env.observation_shape)}: {error}"
        ) from error
    outputs = {net.num_outputs for _, net in agent.named_nets() if net.action_type is not None}
    if outputs - {env.num_actions}:
        raise DataError(
            f"{type(agent).__name__} has a policy of {', '.join(map(str, outputs))} outputs, but "
            f"{env.description['env_id']} has {env.num_actions} actions ({env.action_space})"
        )
    if np.shape(actions) != (2, *env.action_shape):
        raise DataError(
            f"{type(agent).__name__} gives actions of shape {list(np.shape(actions)[1:])}, but "
            f"{env.description['env_id']} takes {list(env.action_shape)} ({env.action_space})"
        )
    if env.type == "discrete" and actions.dtype.kind not in "iu":
        raise DataError(
            f"{type(agent).__name__} gives {actions.dtype} actions, but this environment's are whole numbers"
        )
