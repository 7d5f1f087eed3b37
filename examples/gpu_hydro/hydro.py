"""Gas and species in two dimensions on torch tensors: MUSCL, HLLC, Heun's method, all on the tensors' device.

The scheme is that of fortran_example/src, whole arrays in the place of loops: u (4, x, y) is density [g/cm^3], the two
momentum densities and the energy density, w the primitive state (density, velocities [cm/s], pressure), n (species, x,
y) are number densities [cm^-3]. Nothing here asks the host for a number, so that a GPU never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

K_BOLTZMANN, M_HYDROGEN = 1.380649e-16, 1.6735e-24  # erg/K, g
GHOSTS = 2
X, Y = 1, 2  # the dimensions of u and n

# Two layers of (u, n) below and above the box along a dimension, for given u, n and time.
Ghosts: TypeAlias = Callable[[Tensor, Tensor, int, Tensor], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Gas:
    """Ideal gas within a step, at its thermal balance T(n_H) after it (fortran_example/README.md says why)."""

    gamma: float = 1.001
    mu: float = 2.33
    mass_per_h: float = 1.4 * M_HYDROGEN  # g; He is in the gas, not in the network
    t_cold: float = 10.0
    t_warm: float = 300.0
    n_balance: float = 200.0
    slope: float = 0.6

    def balance(self, n_h: Tensor) -> Tensor:
        """T [K] at which heating equals cooling."""
        return self.t_cold + (self.t_warm - self.t_cold) / (1 + (n_h / self.n_balance) ** self.slope)

    def pressure(self, rho: Tensor) -> Tensor:
        """Of balanced gas [erg/cm^3]."""
        return rho * K_BOLTZMANN * self.balance(rho / self.mass_per_h) / (self.mu * M_HYDROGEN)

    def temperature(self, u: Tensor) -> Tensor:
        """T [K] (x, y)."""
        return self.primitive(u)[3] * (self.mu * M_HYDROGEN / K_BOLTZMANN) / u[0]

    def primitive(self, u: Tensor) -> Tensor:
        """w of u."""
        rho, mx, my, energy = u
        return torch.stack([rho, mx / rho, my / rho, (self.gamma - 1) * (energy - 0.5 * (mx**2 + my**2) / rho)])

    def conserved(self, w: Tensor) -> Tensor:
        """u of w."""
        rho, vx, vy, pressure = w
        return torch.stack([rho, rho * vx, rho * vy, pressure / (self.gamma - 1) + 0.5 * rho * (vx**2 + vy**2)])

    def to_balance(self, u: Tensor) -> None:
        """Give every cell the energy of its thermal balance, in place."""
        u[3] = self.pressure(u[0]) / (self.gamma - 1) + 0.5 * (u[1] ** 2 + u[2] ** 2) / u[0]

    def sound_speed(self, w: Tensor) -> Tensor:
        """[cm/s] of w."""
        return (self.gamma * w[3] / w[0]).sqrt()


def along(values: Tensor, dim: int, first: int, count: int) -> Tensor:
    """A view of `count` layers of cells from layer `first` on."""
    return values.narrow(dim, first, count)


def gas_slope(left: Tensor, centre: Tensor, right: Tensor) -> Tensor:
    """Van Leer's harmonic slope of each primitive variable: zero at extrema."""
    a, b = centre - left, right - centre
    product = a * b
    return torch.where(product > 0, 2 * product / (a + b), 0.0)


def species_slope(left: Tensor, centre: Tensor, right: Tensor) -> Tensor:
    """One slope for the whole composition (van Albada's, of vectors): sums over species stay what they are.

    So elements and charge are reconstructed as a single density would be. A factor that is common too keeps all
    abundances positive at the interfaces.
    """
    a, b = centre - left, right - centre
    weight = (centre + 1e-18) ** -2
    weighted = weight * a
    aa, ab = (weighted * a).sum(0), (weighted * b).sum(0)
    bb = (weight * b * b).sum(0)
    scale = torch.where(ab > 0, 1 / (aa + bb), 0.0)
    slope = a.mul_(bb * scale).add_(b.mul_(aa * scale))
    tiny = torch.finfo(centre.dtype).tiny
    room = (2 * centre / slope.abs().clamp_min_(tiny)).amin(0)  # how much of the slope the scarcest species can bear
    return slope.mul_(torch.where(room < 1, (1 - 1e-15) * room, 1.0))


def hllc(left: Tensor, right: Tensor, gas: Gas) -> Tensor:
    """The flux of u through interfaces between two states w whose first velocity is normal (Toro et al. 1994)."""
    gamma = gas.gamma
    (rho_l, u_l, v_l, p_l), (rho_r, u_r, v_r, p_r) = left, right
    enthalpy_l = gamma / (gamma - 1) * p_l / rho_l + 0.5 * (u_l**2 + v_l**2)
    enthalpy_r = gamma / (gamma - 1) * p_r / rho_r + 0.5 * (u_r**2 + v_r**2)
    share = rho_l.sqrt() / (rho_l.sqrt() + rho_r.sqrt())  # Roe's average
    u, v = torch.lerp(u_r, u_l, share), torch.lerp(v_r, v_l, share)
    c = ((gamma - 1) * (torch.lerp(enthalpy_r, enthalpy_l, share) - 0.5 * (u**2 + v**2))).sqrt()
    s_l, s_r = torch.minimum(u_l - gas.sound_speed(left), u - c), torch.maximum(u_r + gas.sound_speed(right), u + c)
    mass_l, mass_r = rho_l * (s_l - u_l), rho_r * (s_r - u_r)
    s = (p_r - p_l + mass_l * u_l - mass_r * u_r) / (mass_l - mass_r)  # of the contact

    # The side of the contact that lies on the interface, and what its outer wave adds if that has passed it.
    from_left = s >= 0
    w = torch.where(from_left, left, right)
    outer = torch.where(from_left, s_l, s_r)
    rho, u, v, p = w
    state = gas.conserved(w)
    flux = torch.stack([state[1], state[1] * u + p, state[1] * v, (state[3] + p) * u])
    energy = state[3] / rho + (s - u) * (s + p / (rho * (outer - u)))
    star = torch.stack([torch.ones_like(s), s, v, energy]) * (rho * (outer - u) / (outer - s))
    inside = torch.where(from_left, s_l < 0, s_r > 0)
    return torch.where(inside, flux + outer * (star - state), flux)


def turned(u: Tensor, dim: int) -> Tensor:
    """u whose first momentum is the one along `dim`; turned again it is the former u."""
    return u if dim == X else torch.stack([u[0], u[2], u[1], u[3]])


def fluxes(u: Tensor, n: Tensor, dim: int, gas: Gas) -> tuple[Tensor, Tensor]:
    """Through all interfaces along `dim`, of u and n with ghost layers.

    Species ride on the mass flux: a composition is taken from the side that the gas comes from.
    """
    w, q = gas.primitive(turned(u, dim)), n / (u[0] / gas.mass_per_h)
    cells = u.shape[dim] - 2 * GHOSTS

    def halves(values: Tensor, slope: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Values at the interfaces 0 .. cells, seen from the left and from the right."""
        inner = along(values, dim, 1, cells + 2)
        half = slope(along(values, dim, 0, cells + 2), inner, along(values, dim, 2, cells + 2)).mul_(0.5)
        below = along(inner, dim, 0, cells + 1) + along(half, dim, 0, cells + 1)
        return below, along(inner, dim, 1, cells + 1) - along(half, dim, 1, cells + 1)

    flux = hllc(*halves(w, gas_slope), gas)
    below, above = halves(q, species_slope)
    species_flux = torch.where(flux[0] >= 0, below, above).mul_(flux[0] / gas.mass_per_h)
    return turned(flux, dim), species_flux


def euler_step(u: Tensor, n: Tensor, dt: Tensor, time: Tensor, width: float, gas: Gas, ghosts: Ghosts) -> None:
    """Add dt times what the fluxes bring, then thermal balance; in place."""
    du, dn = torch.zeros_like(u), torch.zeros_like(n)
    for dim in (X, Y):
        (u_below, n_below), (u_above, n_above) = ghosts(u, n, dim, time)
        flux, species_flux = fluxes(
            torch.cat([u_below, u, u_above], dim), torch.cat([n_below, n, n_above], dim), dim, gas
        )
        du -= flux.diff(dim=dim)
        dn -= species_flux.diff(dim=dim)
    u += du.mul_(dt / width)
    n += dn.mul_(dt / width)
    gas.to_balance(u)


def stable_time_step(u: Tensor, width: float, cfl: float, gas: Gas) -> Tensor:
    """The CFL time step [s], on the device."""
    w = gas.primitive(u)
    return cfl * width / (w[1].abs() + w[2].abs() + 2 * gas.sound_speed(w)).max()


def hydro_step(u: Tensor, n: Tensor, dt: Tensor, time: Tensor, width: float, gas: Gas, ghosts: Ghosts) -> None:
    """Advance gas and species by dt [s] from `time` on, in place, by Heun's method."""
    u_stage, n_stage = u.clone(), n.clone()
    euler_step(u_stage, n_stage, dt, time, width, gas, ghosts)
    euler_step(u_stage, n_stage, dt, time + dt, width, gas, ghosts)
    u.add_(u_stage).mul_(0.5)
    n.add_(n_stage).mul_(0.5)
    gas.to_balance(u)
