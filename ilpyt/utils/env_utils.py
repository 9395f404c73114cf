"""`build_env` under the path that it had in the 2021 release."""

from ilpyt.envs.build import build_env

__all__ = ["build_env"]
