"""Networks: MLPs for vectors, CNNs for images, and `choose_net`, which picks the one that fits an environment."""

from ilpyt.nets.base_net import BaseNetwork, RunningNorm
from ilpyt.nets.choose import choose_net
from ilpyt.nets.distributions import Categorical, DiagonalNormal, Distribution
from ilpyt.nets.features import FeatureMap
from ilpyt.nets.net1d import Net1D
from ilpyt.nets.net2d import Net2D

__all__ = [
    "BaseNetwork",
    "Categorical",
    "DiagonalNormal",
    "Distribution",
    "FeatureMap",
    "Net1D",
    "Net2D",
    "RunningNorm",
    "choose_net",
]
