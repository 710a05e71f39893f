"""Optimisers of the loop: torch's, and two that touch only the rows of a table that were used.

A table whose gradient is sparse is updated by rows, whatever its size. For gradient descent and
Adagrad that is the very step that a dense gradient would give; Adam moves every row in every step,
so it takes dense gradients only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mmkrl.kernels import row_updates
from mmkrl.train.config import Bound
from mmkrl.train.learner import Phase

_BOUNDS = {"free": row_updates.FREE, "ball": row_updates.BALL, "sphere": row_updates.SPHERE}
_TINY = 1e-10  # torch's epsilon of Adagrad


def make_optimizer(module: nn.Module, phase: Phase, weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser of a phase (SGD, Adagrad, Adam or AdamW), over the trainable parameters.

    Args:
        module: The model.
        phase: Names the optimiser, the learning rate and the bounds.
        weight_decay: For AdamW.
    """
    groups = _groups(module, phase)
    if phase.optimizer == "sgd":
        return RowDescent(groups, phase.learning_rate)
    if phase.optimizer == "adagrad":
        return RowAdagrad(groups, phase.learning_rate)
    learning_rate = phase.learning_rate
    optimizer = (
        torch.optim.AdamW(groups, lr=learning_rate, weight_decay=weight_decay, fused=True)
        if phase.optimizer == "adamw"
        else torch.optim.Adam(groups, lr=learning_rate, fused=True)
    )
    # Adam moves every row in every step, so every row is brought back to its bound; the optimisers
    # above do so themselves, for the rows they move.
    optimizer.register_step_post_hook(_project_all)
    return optimizer


def _groups(module: nn.Module, phase: Phase) -> list[dict[str, Any]]:
    """The trainable parameters, grouped by bound and share of the learning rate."""
    groups: dict[tuple[Bound, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            shares = (
                s for part, s in phase.learning_rate_scales.items() if name.startswith(f"{part}.")
            )
            how = phase.bounds.get(name, "free"), next(shares, 1.0)
            groups.setdefault(how, []).append(parameter)
    return [
        {"params": parameters, "bound": bound, "share": share, "lr": share * phase.learning_rate}
        for (bound, share), parameters in groups.items()
    ]


def trainable_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients down so that their common L2 norm is at most ``limit``.

    Args:
        parameters: Those that have a gradient, dense or sparse.
        limit: The largest norm.

    Returns:
        The norm before; NaN or infinite if a gradient is.
    """
    # A row that occurs twice in a sparse gradient counts by the sum of its values, as in the dense
    # gradient it stands for; the norm of the values as they are would be another.
    gradients = [
        unique_rows(parameter)[1] if parameter.grad.is_sparse else parameter.grad
        for parameter in parameters
        if parameter.grad is not None
    ]
    norm = nn.utils.get_total_norm(gradients)
    # torch's clip_grad_norm_, its 1e-6 included, but gradients below the limit are not multiplied.
    if bool(norm > limit):
        for gradient in gradients:
            gradient.mul_(limit / (norm + 1e-6))
    return norm


def unique_rows(parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
    """The rows of a sparse gradient and their values, each row once.

    A gradient in which rows are repeated is replaced by its sum.
    """
    gradient = parameter.grad
    assert gradient is not None
    if not gradient.is_coalesced():
        # Coalescing sorts. The compiled loss gives each row once, in any order, which is all that a
        # step needs and which one pass over the row numbers tells.
        row_U = gradient._indices()[0]
        if not gradient.is_cpu or row_updates.repeated(row_U.numpy(), len(parameter)):
            gradient = parameter.grad = gradient.coalesce()
    return gradient._indices()[0], gradient._values()


class RowOptimizer(torch.optim.Optimizer):
    """A step that is the same for every element: by rows where the gradient is sparse.

    Args:
        groups: Parameters by bound.
        learning_rate: Learning rate.
    """

    states: tuple[str, ...] = ()

    def __init__(self, groups: list[dict[str, Any]], learning_rate: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "bound": "free", "share": 1.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["bound"])

    def _move(self, parameter: nn.Parameter, learning_rate: float, bound: Bound) -> None:
        state = self.state[parameter]
        for name in self.states:
            if name not in state:
                state[name] = torch.zeros_like(parameter)
        tables = [parameter.data, *(state[name] for name in self.states)]
        assert parameter.grad is not None
        if not parameter.grad.is_sparse:
            self.whole(tables, parameter.grad, learning_rate)
            project_to_ball(parameter.data, bound)
            return
        row_U, grad_UD = unique_rows(parameter)
        if parameter.is_cpu and parameter.dtype == torch.float32:
            self.compiled(tables, row_U, grad_UD, (learning_rate, _BOUNDS[bound]))
        else:
            self.with_torch(tables, row_U, grad_UD, (learning_rate, bound))

    def with_torch(
        self, tables: list[Tensor], row_U: Tensor, grad_UD: Tensor, how: tuple[float, Bound]
    ) -> None:
        """Move the given rows with torch's operations."""
        rows = [table[row_U] for table in tables]
        self.whole(rows, grad_UD, how[0])
        project_to_ball(rows[0], how[1])
        for table, row_UD in zip(tables, rows, strict=True):
            table.index_copy_(0, row_U, row_UD)

    def whole(self, tables: list[Tensor], grad: Tensor, learning_rate: float) -> None:
        """Move weights and states, given first and after, in place."""
        raise NotImplementedError

    def compiled(
        self, tables: list[Tensor], row_U: Tensor, grad_UD: Tensor, how: tuple[float, int]
    ) -> None:
        """Move the given rows of weights and states on the CPU, in place."""
        raise NotImplementedError


class RowDescent(RowOptimizer):
    """Plain (stochastic) gradient descent."""

    def whole(self, tables: list[Tensor], grad: Tensor, learning_rate: float) -> None:
        """``weight -= learning_rate * grad``."""
        tables[0].add_(grad, alpha=-learning_rate)

    def compiled(
        self, tables: list[Tensor], row_U: Tensor, grad_UD: Tensor, how: tuple[float, int]
    ) -> None:
        """The same by rows."""
        row_updates.descend(tables[0].numpy(), row_U.numpy(), grad_UD.numpy(), *how)


class RowAdagrad(RowOptimizer):
    """Adagrad (Duchi, Hazan, Singer, JMLR 2011), the same as ``torch.optim.Adagrad``."""

    states = ("sum",)

    def whole(self, tables: list[Tensor], grad: Tensor, learning_rate: float) -> None:
        """``sum += grad ** 2; weight -= learning_rate * grad / (sqrt(sum) + 1e-10)``."""
        weight, total = tables
        total.addcmul_(grad, grad)
        weight.addcdiv_(grad, total.sqrt().add_(_TINY), value=-learning_rate)

    def compiled(
        self, tables: list[Tensor], row_U: Tensor, grad_UD: Tensor, how: tuple[float, int]
    ) -> None:
        """The same by rows."""
        weight_ND, sum_ND = (table.numpy() for table in tables)
        row_updates.adagrad((weight_ND, sum_ND), row_U.numpy(), grad_UD.numpy(), *how)


def project_to_ball(weight_ND: Tensor, bound: Bound) -> None:
    """Bring rows back to the unit ball or sphere, in place; a row of zeros stays."""
    if bound != "free":
        norm_N1 = weight_ND.norm(dim=1, keepdim=True)
        # On the sphere a row of zeros has no direction: over the least normal number it stays.
        least = 1.0 if bound == "ball" else torch.finfo(weight_ND.dtype).tiny
        weight_ND.div_(norm_N1.clamp(min=least))


@torch.no_grad()
def _project_all(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            project_to_ball(parameter.data, group["bound"])
