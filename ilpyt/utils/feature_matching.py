"""The geometry of apprenticeship learning: feature expectations of an expert and of policies (Abbeel & Ng 2004)."""

from typing import Any

import numpy as np
import torch

from ilpyt.utils.checkpoint import check_all_like, check_like


def project(expert: np.ndarray, point: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """The point closest to the expert between one (mu bar) and a policy's (Abbeel & Ng 2004, section 3.1), [K].

    The paper takes the closest point on the *line* through both. Here it never leaves the segment, so that it remains
    what some mixture of the policies does; with policies that are optimal for their rewards it wouldn't anyway.
    """
    direction = policy - point
    length = direction @ direction
    if length == 0:
        return point
    share = np.clip(direction @ (expert - point) / length, 0.0, 1.0)
    return point + share * direction


def closest_mixture(expert: np.ndarray, policies: np.ndarray) -> np.ndarray:
    """Probabilities [P] whose mixture of policies [P, K] comes closest to the expert [K] (Abbeel & Ng 2004, section 3).

    min |expert - lambda . policies| for lambda >= 0 that sum to 1, by the method of Wolfe 1976, "Finding the nearest
    point in a polytope". Its residual also solves the max-margin problem (ibid., eqs. 10 to 12), whose dual it is.
    """
    offsets = policies - expert
    offsets = offsets / (np.linalg.norm(offsets, axis=1).max() or 1.0)
    chosen = [int(np.argmin((offsets**2).sum(1)))]
    shares = np.ones(1)
    while True:
        residual = shares @ offsets[chosen]
        nearest = int(np.argmin(offsets @ residual))
        if nearest in chosen or offsets[nearest] @ residual > residual @ residual - 1e-12:
            break
        chosen, shares = [*chosen, nearest], np.append(shares, 0.0)
        while (target := _closest_in_affine_hull(offsets[chosen])).min() <= 0:
            leaving = target <= 0  # go as far towards it as all shares stay positive, and drop those that reach 0
            step = np.min(shares[leaving] / np.maximum(shares[leaving] - target[leaving], 1e-300))
            shares = shares + min(step, 1.0) * (target - shares)
            kept = shares > 1e-14
            chosen, shares = [c for c, keep in zip(chosen, kept, strict=True) if keep], shares[kept]
            shares = shares / shares.sum()
        else:
            shares = target
        if nearest not in chosen:
            break  # it can't bring the mixture closer than rounding lets it
    mixture = np.zeros(len(policies))
    mixture[chosen] = shares
    return mixture


def _closest_in_affine_hull(points: np.ndarray) -> np.ndarray:
    """Weights that sum to 1, of any sign, whose combination of points [P, K] is closest to the origin."""
    first, *others = points
    if not others:
        return np.ones(1)
    weights = np.linalg.lstsq((others - first).T, -first, rcond=None)[0]
    return np.append(1 - weights.sum(), weights)


class FeatureMatching:
    """Finds rewards by which the expert is better than all policies so far.

    Attributes:
        policies: the feature expectations of the policies so far, float64 [K] each.
        point: those of the mixture of them that the expert is compared with.
    """

    def __init__(self, expert: np.ndarray, method: str = "projection") -> None:
        """Begin without a policy.

        Args:
            expert: its feature expectations, [K].
            method: 'projection' (section 3.1) or 'max-margin' (section 3).
        """
        if method not in ("projection", "max-margin"):
            raise ValueError(f"method must be 'projection' or 'max-margin', got {method!r}")
        self.expert = expert
        self.method = method
        self.policies: list[np.ndarray] = []
        self.point = np.full_like(expert, np.nan)

    def state_dict(self) -> dict[str, Any]:
        """The expert's feature expectations, the policies' and the mixture's."""
        return {
            "expert": torch.from_numpy(self.expert),
            "policies": [torch.from_numpy(policy) for policy in self.policies],
            "point": torch.from_numpy(self.point) if self.policies else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        own = torch.from_numpy(self.expert)
        check_all_like(state["policies"], own, "the policies' feature expectations")
        check_like(state["expert"], own, "the expert's feature expectations")
        check_like(state["point"], own if state["policies"] else None, "the mixture's feature expectations")
        self.expert = state["expert"].numpy()
        self.policies = [policy.numpy() for policy in state["policies"]]
        if self.policies:
            self.point = state["point"].numpy()

    def add(self, policy: np.ndarray) -> None:
        """Take in the feature expectations of a policy, [K]."""
        self.policies.append(policy)
        if len(self.policies) == 1:
            self.point = policy
        elif self.method == "projection":
            self.point = project(self.expert, self.point, policy)
        else:
            self.point = self.mixture() @ np.stack(self.policies)

    @property
    def margin(self) -> float:
        """t: by how much the expert is better than the mixture, by the reward that shows it most."""
        return float(np.linalg.norm(self.expert - self.point))

    @property
    def weights(self) -> np.ndarray:
        """Those of the reward w . phi, of length 1; 0 where the margin is 0."""
        return (self.expert - self.point) / (self.margin or 1.0)

    def distances(self) -> np.ndarray:
        """How far each policy is from the expert, [P]."""
        return np.linalg.norm(np.stack(self.policies) - self.expert, axis=1)

    def mixture(self) -> np.ndarray:
        """Probabilities of the policies in the mixture that comes closest to the expert, [P]."""
        return closest_mixture(self.expert, np.stack(self.policies))
