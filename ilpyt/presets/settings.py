"""`Settings`: keywords that an algorithm learns an environment with."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Keywords that an algorithm learns an environment with.

    Attributes:
        env: of `build_env`.
        net: of `choose_net`, for the networks of the agent that acts.
        agent: of the algorithm's `make_agent`.
        train: of the algorithm's `train`; demonstrations and experts are left to say.
    """

    env: dict[str, Any] = field(default_factory=dict)
    net: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
