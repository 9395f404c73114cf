"""`FlatAdam`: PyTorch's Adam, for networks so small that calling operations costs more than what they do."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ilpyt.utils.checkpoint import check_like


class FlatAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015) over parameters that share one tensor, as their gradients share another.

    A step, zeroing the gradients and taking their norm are then one operation each instead of one for each parameter.
    The parameters stay what they are to their networks: views of the shared tensor. Where something has put other
    tensors in their place (`net.to(device)`, `copy.deepcopy`, `parameter.data = ...`), `zero_grad` joins them again.
    """

    _OWN = ("_parts", "_flat", "_gradient", "_gradients", "_addresses")

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 1e-3, eps: float = 1e-8) -> None:
        """Join the parameters; those given twice (of networks that share layers) count once."""
        self._parts = list(dict.fromkeys(params))
        self._gradients: list[torch.Tensor] = []
        self._flat = nn.Parameter(torch.empty(0))
        self._join()
        super().__init__([self._flat], lr=lr, eps=eps, fused=True)

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set the gradients to 0; they are never None."""
        if [part.data_ptr() for part in self._parts] != self._addresses:
            self._join()
            self.load_state_dict(self.state_dict())  # moves its state to where the parameters are
        self._gradient.zero_()
        for part, gradient in zip(self._parts, self._gradients, strict=True):
            part.grad = gradient

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move the parameters down their gradients."""
        for part, gradient in zip(self._parts, self._gradients, strict=True):
            if part.grad is not gradient:  # someone else has zeroed or set the network's gradients
                gradient.copy_(part.grad) if part.grad is not None else gradient.zero_()
        group, state = self.param_groups[0], self.state[self._flat]
        if not state:
            state["step"] = torch.zeros((), device=self._flat.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        # The kernel that `torch.optim.Adam(fused=True)` ends in. What lies between costs 100 us a step, several times
        # what the kernel does for a small network.
        torch._fused_adam_(
            [self._flat],
            [self._gradient],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            DataError: it is of an optimizer of other parameters.
        """
        (group,), (former,) = self.state_dict()["param_groups"], state_dict["param_groups"]
        # What the step uses; there is more, which differs from one version of PyTorch to the next.
        expected = {"lr": 0.0, "betas": (0.0, 0.0), "eps": 0.0, "weight_decay": 0.0}
        check_like({name: former[name] for name in expected}, expected, "Adam")
        moments = torch.zeros_like(self._flat)
        if state_dict["state"]:
            fresh = {"step": torch.zeros(()), "exp_avg": moments, "exp_avg_sq": moments}
            check_like(state_dict["state"], {0: fresh}, "Adam's state")
        groups = [{**group, **{name: former[name] for name in expected}}]
        super().load_state_dict({"state": state_dict["state"], "param_groups": groups})

    def __getstate__(self) -> dict[str, Any]:
        """What copying takes along; PyTorch's optimizers leave out attributes that they don't know."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in self._OWN}}

    @torch.no_grad()
    def _join(self) -> None:
        self._flat.data = torch.cat([part.detach().flatten() for part in self._parts])
        self._gradient = torch.zeros_like(self._flat)
        self._flat.grad = self._gradient
        sizes = [part.numel() for part in self._parts]
        self._gradients = []
        for part, values, gradient in zip(
            self._parts, self._flat.data.split(sizes), self._gradient.split(sizes), strict=True
        ):
            part.data = values.view_as(part)
            part.grad = gradient.view_as(part)
            self._gradients.append(part.grad)
        self._addresses = [part.data_ptr() for part in self._parts]


FlatAdam.step.hooked = True  # type: ignore[attr-defined]  # what PyTorch's optimizers go by to leave out their hooks
