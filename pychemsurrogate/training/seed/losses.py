"""The five losses of Sulzer & Buck 2023 (arXiv:2312.06015), L0 to L4 in the paper's numbering; pure functions.

x (B, T, S): the paper's normalised logarithms of the true densities, x' the model's; means instead of sums. Where the
paper and its published code (github.com/Immi000/ChemicalNeuralODE) differ, both forms are here: `mass` and derivatives
by tau are the paper's, `mass_of_logarithms` and derivatives by the row number are the code's.

Derivatives, the model's too, are finite differences on the rows: the truth is known there alone, and one operator for
both makes the same error on both, so that the loss is 0 exactly where the curves agree. (The model's exact derivative
against the truth's differences would pull the fit towards the error of the differences.)
"""

from __future__ import annotations

import torch
from torch import Tensor


def trajectory(x: Tensor, guess: Tensor) -> Tensor:
    """L0 = |x - x'|^2."""
    return (x - guess).square().mean()


def identity(x: Tensor, rebuilt: Tensor) -> Tensor:
    """L1 = |x - psi(phi(x))|^2, over every row of the trajectories."""
    return (x - rebuilt).square().mean()


def mass(abundances: Tensor, guess: Tensor, masses: Tensor) -> Tensor:
    """L2 = |m.n - m.n'|^2 with densities (B, T, S) and masses (S) in any units; zero where the mass is right."""
    return ((abundances - guess) @ masses).square().mean()


def mass_of_logarithms(x: Tensor, guess: Tensor, masses: Tensor) -> Tensor:
    """What the published code takes for L2: |sum m x - sum m x'| with the normalised logarithms, summed over rows."""
    return ((x - guess) @ masses).abs().sum(dim=-1).mean()


def derivative(x: Tensor, guess: Tensor, spacing: float) -> Tensor:
    """L3 = |dx/dtau - dx'/dtau|^2; spacing of the rows in tau (the published code: 1)."""
    return _gradient(x - guess, spacing).square().mean()


def second_derivative(x: Tensor, guess: Tensor, spacing: float) -> Tensor:
    """L4 = |d2x/dtau2 - d2x'/dtau2|^2; spacing of the rows in tau (the published code: 1)."""
    return _gradient(_gradient(x - guess, spacing), spacing).square().mean()


def _gradient(x: Tensor, spacing: float) -> Tensor:
    """Central differences along the rows, one-sided at both ends."""
    rows: Tensor = torch.gradient(x, spacing=spacing, dim=1)[0]
    return rows
