"""dz/dtau = s tanh(NN(z) / s): the latent neural ODE of Sulzer & Buck 2023, with s learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.surrogates.mlp import mlp_arrays, mlp_from_arrays

FIXED = "fixed"


class NeuralODE(nn.Module):
    """net: Z -> Z; bound: s.

    solver: FIXED, or a method of torchdiffeq ("dopri5" as in the paper) with its rtol and atol. FIXED is the classical
    fourth-order Runge-Kutta method in steps of 1 / `steps` and a shorter last one to each tau, as in the native step
    (native/include/pcs/latent.hpp): a cell's answer depends on that cell alone. adjoint: gradients by torchdiffeq's
    odeint_adjoint, as in the paper, instead of by backpropagation through the steps; they differ by the error of the
    backward integration alone.
    """

    name = "neural_ode"
    host_looks = True

    def __init__(
        self,
        net: nn.Sequential,
        bound: float = 1.0,
        steps: int = 32,
        solver: str = FIXED,
        adjoint: bool = False,
        rtol: float = 1e-5,
        atol: float = 1e-6,
    ) -> None:
        super().__init__()
        self.net = net
        self.bound = nn.Parameter(torch.tensor(float(bound)))
        self.steps = steps
        self.solver = solver
        self.adjoint = adjoint
        self.rtol = rtol
        self.atol = atol

    def width(self, latent: int) -> int:
        """How many numbers the encoder gives a state."""
        return latent

    def forward(self, tau: Tensor, z: Tensor) -> Tensor:
        """dz/dtau, shaped as z; it does not depend on tau (the order is torchdiffeq's)."""
        return self.bound * torch.tanh(self.net(z) / self.bound)

    def advance(self, encoded: Tensor, tau: Tensor) -> Tensor:
        """z (B, T, Z) at tau (T,) or (B, T). A method of torchdiffeq needs the same, increasing tau for all: (T,)."""
        if self.solver == FIXED:
            return self._fixed(encoded, tau)
        if tau.ndim != 1:
            raise ValueError(f'solver "{self.solver}" takes one row of times for all states; set solver = "{FIXED}"')
        import torchdiffeq  # here, so that a host that serves the model does not need it

        odeint: Callable[..., Tensor] = torchdiffeq.odeint_adjoint if self.adjoint else torchdiffeq.odeint
        from_zero = torch.cat([tau.new_zeros(1), tau]) if tau[0] > 0.0 else tau
        z = odeint(self, encoded, from_zero, rtol=self.rtol, atol=self.atol, method=self.solver)
        return z[-len(tau) :].transpose(0, 1)

    def _fixed(self, encoded: Tensor, tau: Tensor) -> Tensor:
        tau = tau.expand(len(encoded), -1)
        if not self.host_looks:  # the step's tau is 0 to 1, but for cells that nobody serves
            tau = tau.clamp(0.0, 1.0)
        whole = (tau * self.steps).floor()
        longest = self.steps if not self.host_looks else int(whole.max()) if whole.numel() else 0
        states = [encoded]
        for _ in range(longest):
            states.append(self._runge_kutta(tau, states[-1], 1.0 / self.steps))
        index = whole.nan_to_num(0.0).long()[..., None].expand(-1, -1, encoded.shape[1])
        start = torch.stack(states, dim=1).gather(1, index)
        return self._runge_kutta(tau, start, (tau - whole / self.steps)[..., None])

    def _runge_kutta(self, tau: Tensor, z: Tensor, step: Tensor | float) -> Tensor:
        a = self(tau, z)
        b = self(tau, z + 0.5 * step * a)
        c = self(tau, z + 0.5 * step * b)
        d = self(tau, z + step * c)
        advanced: Tensor = z + step / 6.0 * (a + 2.0 * b + 2.0 * c + d)
        return advanced

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The dynamics under its names in the model file."""
        return {
            "surrogate/ode_scale": np.float64(self.bound.item()).reshape(()),
            "surrogate/ode_steps": np.int32(self.steps).reshape(()),
            **mlp_arrays(self.net, "surrogate/ode"),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> NeuralODE:
        """The dynamics that `arrays` stored, tanh between its layers; KeyError names an array that is missing."""
        net = mlp_from_arrays(arrays, "surrogate/ode", "tanh")
        return cls(net, float(arrays["surrogate/ode_scale"]), int(arrays["surrogate/ode_steps"]))
