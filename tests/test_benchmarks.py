"""The benchmark's own code for the network must be the network, or its comparison means nothing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from native_build import run
from network_code import network_code
from workload import workload

from pychemsurrogate.network import Network

INTERFACE = """
#include "network_code.hpp"
extern "C" int n_entries() { return network::n_entries; }
extern "C" void rates(double T, double zeta, double n_H, double* k) { network::rates(T, zeta, n_H, k); }
extern "C" void rhs(const double* k, const double* x, double* f) { network::rhs(k, x, f); }
extern "C" void jacobian(const double* k, const double* x, double* dense) {
    double J[network::n_entries];
    network::jacobian(k, x, J);
    for (int j = 0; j < network::n_species; ++j)
        for (auto e = network::column_begin[j]; e < network::column_begin[j + 1]; ++e)
            dense[network::row[e] * network::n_species + j] = J[e];
}
"""


def test_network_code(osu: Network, tmp_path: Path) -> None:
    (tmp_path / "network_code.hpp").write_text(network_code(osu), encoding="utf-8")
    (tmp_path / "interface.cpp").write_text(INTERFACE, encoding="utf-8")
    library = tmp_path / "network_code.so"
    run(["g++", "-std=c++20", "-O0", "-shared", "-fPIC", tmp_path / "interface.cpp", "-o", library])
    code = ctypes.CDLL(str(library))

    cells = workload(osu, 4, seed=3)
    for n, T, zeta in zip(cells.n, cells.temperature, cells.zeta, strict=True):
        n_H = float(osu.tables().scale_weights @ n)
        x, k = n / n_H, np.zeros(osu.n_reactions)
        f, J = np.zeros(osu.n_species), np.zeros((osu.n_species, osu.n_species))
        pointer = {id(a): ctypes.c_void_p(a.ctypes.data) for a in (x, k, f, J)}
        code.rates(ctypes.c_double(T), ctypes.c_double(zeta), ctypes.c_double(n_H), pointer[id(k)])
        code.rhs(pointer[id(k)], pointer[id(x)], pointer[id(f)])
        code.jacobian(pointer[id(k)], pointer[id(x)], pointer[id(J)])
        expected_k = osu.rate_coefficients(T, {"zeta": zeta})
        jacobian = osu.jacobian(n, expected_k)
        np.testing.assert_allclose(J, jacobian, rtol=1e-12, atol=1e-13 * np.abs(jacobian).max())
        rate = osu.rhs(n, expected_k) / n_H
        np.testing.assert_allclose(f, rate, rtol=1e-9, atol=1e-13 * np.abs(rate).max())
    assert code.n_entries() < osu.n_species**2
