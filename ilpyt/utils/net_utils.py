"""`choose_net` under the path that it had in the 2021 release."""

from ilpyt.nets.choose import choose_net

__all__ = ["choose_net"]
