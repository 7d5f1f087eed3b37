"""The benchmarks' own code must be the network's, and their tables must say what was measured."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import exact_integrator
import krome_setting
import numpy as np
import pytest
import scaling
from native_build import ROOT, run
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


def entry(solver: str, rtol: float, p99: float, speed: float) -> exact_integrator.Entry:
    made = exact_integrator.Entry(solver, rtol, 1e-15, advance=lambda cells: pytest.fail("nothing is to be run"))
    made.p99, made.speeds = p99, [0.5 * speed, speed, 9 * speed]
    return made


def test_equal_error_is_read_off_the_curves() -> None:
    # Ours: speed 1e5 sqrt(p99); theirs: speed 1e3, and a slower curve that must not count.
    ours = [entry("native", rtol, rtol, 1e5 * rtol**0.5) for rtol in (1e-1, 1e-3, 1e-5)]
    theirs = [entry("klu", rtol, rtol, 1e3) for rtol in (1e-5, 1e-1)]
    slow = [entry("klu", rtol, rtol, 1e2) for rtol in (1e-5, 1e-1)]
    assert exact_integrator.interpolated_speed(ours, 1e-2) == pytest.approx(1e4)
    assert exact_integrator.interpolated_speed(ours, 1.0) == pytest.approx(1e5 * 0.1**0.5)  # no extrapolation
    ratio, error = exact_integrator.least_ratio(ours, [slow, theirs])
    assert (ratio, error) == (pytest.approx(1e5 * 1e-2 / 1e3), pytest.approx(1e-4))


def test_work_precision_diagram(tmp_path: Path) -> None:
    curves = {name: [entry(name, rtol, rtol, 1e3) for rtol in (1e-2, 1e-3, 1e-4)] for name in "abcd"}
    path = tmp_path / "figures" / "diagram.png"
    exact_integrator.draw(path, curves)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_krome_setting(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    run(
        [sys.executable, ROOT / "benchmarks" / "krome_setting.py", "--cells", "64", "--repeats", "1", "--output", table]
    )
    text = table.read_text()
    assert "NOT this run" in text
    rows = [line.split() for line in text.splitlines() if "equal error" in line and "KROME" not in line]
    for row, krome in zip(rows, krome_setting.KROME.values(), strict=True):
        rtol, speed, median, largest, ratio = map(float, row[-5:])
        assert 1e-5 <= rtol <= 1e-2
        assert median <= krome.median * 1.05  # rounded in the table
        assert largest <= krome.largest * 1.05
        assert ratio == pytest.approx(speed / krome.speed, rel=0.02)


def test_scaling_tables(osu: Network) -> None:
    assert all("kB" in line for line in scaling.memory(osu))
    rows = [line.split() for line in scaling.short_steps(osu, workload(osu, 64, seed=3), 1)[2:]]
    assert [float(row[0]) for row in rows] == list(scaling.SHORT_STEPS_YR)
    steps = [float(row[2]) for row in rows]
    assert steps[0] >= 1
    assert steps == sorted(steps)
