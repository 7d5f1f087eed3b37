"""The benchmarks' own code must be the network's, and their tables must say what was measured."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import cvode
import exact_integrator
import expression_rates
import krome_calls
import krome_setting
import large_cvode
import large_networks
import numpy as np
import pytest
import scaling
from native_build import BUILD, ROOT, build, has_fortran, run
from workload import workload

from pychemsurrogate.network import Network, parse_network
from pychemsurrogate.network.rate_laws import GRAIN

INTERFACE = """
#include "cvode_network.hpp"
extern "C" void* make(const NetworkArrays* arrays) { return new CvodeNetwork(*arrays); }
extern "C" void take(void* network) { delete static_cast<CvodeNetwork*>(network); }
extern "C" int evaluate(void* handle, double T, const double* conditions, const double* n, double* k, double* f,
                        double* dense) {
    CvodeNetwork& network = *static_cast<CvodeNetwork*>(handle);
    const int S = network.n_species;
    const double n_H = network.hydrogen(n);
    std::vector<double> x, J(network.row.size());
    for (int species : network.order) x.push_back(n[species] / n_H);
    network.rates(T, conditions, n_H, k);
    network.rhs(k, x.data(), f);
    network.jacobian(k, x.data(), J.data());
    for (int j = 0; j < S; ++j)
        for (auto e = network.column_begin[j]; e < network.column_begin[j + 1]; ++e)
            dense[network.row[e] * S + j] = J[e];
    return static_cast<int>(J.size());
}
"""
EVERY_LAW = """pychemsurrogate network 1
name: every law
conditions: zeta A_V G0
species: H H2 H+ H2+ H3+ C C+ CH CH+ CO O e-
reactions:
H2+ + H2 -> H3+ + H | arrhenius | 2e-9 0 0
H2 + H2 -> H2 + H + H | arrhenius | 1e-12 0.5 30
H2 -> H2+ + e- | cosmic_ray | 0.93
H3+ + e- -> H + H + H | arrhenius_range | 4e-8 -0.5 1 10 300 0 1e10
H3+ + e- -> H2 + H | arrhenius_range | 2e-8 -0.5 1 10 300 400 1e10
H+ + CH -> CH+ + H | ionpol1 | 1 1.9e-9 2.1 10 800 0 1e10
H+ + CH -> C+ + H2 | ionpol2 | 0.5 1.9e-9 2.1 60 800 0 1e10
CO -> C + O | cosmic_ray_range | 20 1.2 10 10 300 0 1e10
C -> C+ + e- | photo | 3e-10 3
H + H -> H2 | grain | 5e-17 0.5
H + H + H -> H2 + H | arrhenius | 1e-25 -1 0
H + e- -> H+ + e- + e- | arrhenius | 1e-9 0.3 100
"""


@pytest.mark.parametrize("ordering", ["natural", "Markowitz"])
@pytest.mark.parametrize("every_law", [False, True])
def test_cvode_network(osu: Network, every_law: bool, ordering: str, cvode_network: ctypes.CDLL) -> None:
    network = parse_network(EVERY_LAW) if every_law else osu
    S, tables = network.n_species, network.tables()
    order = cvode.markowitz_order(network) if ordering == "Markowitz" else np.arange(S, dtype=np.int32)
    np.testing.assert_array_equal(np.sort(order), np.arange(S))
    arrays = cvode.NetworkArrays(network, order)
    handle = ctypes.c_void_p(cvode_network.make(ctypes.byref(arrays)))
    rng = np.random.default_rng(3)
    if every_law:
        assert set(tables.law) == set(range(8))
    for T in (8.0, 50.0, 1000.0):
        n, conditions = 10.0 ** rng.uniform(-3, 4, S), {"zeta": 3e-17, "A_V": 0.7, "G0": 2.0}
        n_H = float(tables.scale_weights @ n)
        read = np.array([conditions[name] for name in network.conditions])
        k, f, J = np.zeros(network.n_reactions), np.zeros(S), np.zeros((S, S))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (read, n, k, f, J)]
        entries = cvode_network.evaluate(handle, ctypes.c_double(T), *pointers)
        expected_k = network.rate_coefficients(T, conditions)
        bodies = np.where(tables.law == GRAIN.number, 2, (tables.reactants >= 0).sum(axis=1))
        np.testing.assert_allclose(k, expected_k * n_H ** (bodies - 1.0), rtol=1e-12)
        jacobian = network.jacobian(n, expected_k)[np.ix_(order, order)]
        np.testing.assert_allclose(J, jacobian, rtol=1e-11, atol=1e-13 * np.abs(jacobian).max())
        rate = network.rhs(n, expected_k)[order] / n_H
        np.testing.assert_allclose(f, rate, rtol=1e-9, atol=1e-13 * np.abs(rate).max())
        assert np.count_nonzero(jacobian) <= entries < S**2
    cvode_network.take(handle)


@pytest.fixture(scope="module")
def cvode_network(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("cvode_network")
    (folder / "interface.cpp").write_text(INTERFACE, encoding="utf-8")
    library = folder / "interface.so"
    include = f"-I{ROOT / 'benchmarks'}"
    flags = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", include]
    run(["g++", *flags, folder / "interface.cpp", "-o", library])
    code = ctypes.CDLL(str(library))
    code.make.restype = ctypes.c_void_p
    return code


def factor_entries(network: Network, order: np.ndarray) -> int:
    """Entries of L + U where pivots are taken from the diagonal in this order: symbolic elimination."""
    rng = np.random.default_rng(1)
    filled = network.jacobian(rng.uniform(1, 2, network.n_species), rng.uniform(1, 2, network.n_reactions)) != 0
    filled = (filled | np.eye(network.n_species, dtype=bool))[np.ix_(order, order)]
    for i in range(network.n_species - 1):
        filled[i + 1 :, i + 1 :] |= np.outer(filled[i + 1 :, i], filled[i, i + 1 :])
    return int(filled.sum())


def test_markowitz_order_saves_fill(osu: Network) -> None:
    natural = np.arange(osu.n_species)
    entries = {
        name: factor_entries(osu, order)
        for name, order in {
            "Markowitz": cvode.markowitz_order(osu),
            "natural": natural,
            "reversed": natural[::-1],
        }.items()
    }
    assert entries["Markowitz"] < min(entries["natural"], entries["reversed"])


def test_cost_slope() -> None:
    assert large_networks.cost_slope([10, 100, 1000], [1e5, 1e5 / 10**1.5, 1e2]) == pytest.approx(1.5)


RESULTS = ROOT / "benchmarks" / "results"


def test_large_cvode_table() -> None:
    """The ratios at the table's end are those of its rows."""
    text = (RESULTS / "large_cvode.txt").read_text()
    assert "processor:" in text
    rows = [row for row in map(str.split, text.splitlines()) if row[1:2] in (["native"], ["cvode_klu"])]
    stated = [line.replace(" x", "").split() for line in text.splitlines() if line.endswith(" x")]
    assert [int(row[0]) for row in stated] == [69, 137, 243, 462, 736]
    for species, *ratios in stated:
        made = [
            entry(solver, float(rtol), float(p99), float(speed))
            for size, solver, rtol, atol, speed, steps, lu, median, p99, largest, failed in (
                row for row in rows if row[0] == species
            )
            if failed == "0"
        ]
        assert len(made) == len(large_cvode.NATIVE_RTOLS) + len(large_cvode.CVODE_RTOLS) * len(large_cvode.CVODE_ATOLS)
        ours = [one for one in made if one.solver == "native"]
        for rtol, ratio in zip(large_cvode.CVODE_RTOLS, ratios, strict=True):
            theirs = [one for one in made if one.solver == "cvode_klu" and one.rtol == rtol]
            least = min(exact_integrator.interpolated_speed(ours, one.p99) / one.speed for one in theirs)
            assert float(ratio) == pytest.approx(least, rel=0.05)  # rounded in the table


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


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("flow_map", ("--only", "one step", "outside", "small steps"), ("arbitrary", "accepted: 0", "routed")),
        ("map_forms", (), ("multi-clock", "3 IE, experts", "10 IE, no net")),
    ],
)
def test_a_short_run_of_the_flow_map_benchmarks(
    name: str, options: tuple[str, ...], rows: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--quick", "--folder", tmp_path / "folder"]
    run([*command, "--output", tmp_path / "table.txt", *options])
    table = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert all(row in table for row in rows)


def check_call_overhead(text: str) -> None:
    """The first verdict follows from its rows."""
    verdicts = [line for line in text.splitlines() if line.startswith("target:")]
    assert len(verdicts) == 5
    one = [line.split() for line in text.splitlines() if line.startswith(("the integrator's kernel", "pcs_step  "))]
    beyond = float(one[1][1]) - float(one[0][4])
    assert float(verdicts[0].split()[-3]) == pytest.approx(beyond, abs=0.002)
    assert "mode exact" in text
    assert "mode surrogate" in text


def test_call_overhead_table() -> None:
    text = (RESULTS / "call_overhead.txt").read_text()
    check_call_overhead(text)
    assert "MISSED" not in text


@pytest.mark.long
def test_a_short_run_of_the_call_benchmark(tmp_path: Path) -> None:
    build("pcs", "pcs_fortran")
    table = tmp_path / "table.txt"
    script = ROOT / "benchmarks" / "call_overhead.py"
    run([sys.executable, script, "--cells", "256", "--repeats", "1", "--build", BUILD, "--output", table])
    check_call_overhead(table.read_text())


def test_expression_rates(osu: Network) -> None:
    networks = {
        "closed": osu,
        "formulas": expression_rates.as_formulas(osu),
        "fits": expression_rates.as_formulas(osu, 8),
    }
    k = {label: net.rate_coefficients(30.0, {"zeta": 1e-16}) for label, net in networks.items()}
    np.testing.assert_allclose(k["formulas"], k["closed"], rtol=1e-14)
    np.testing.assert_allclose(k["fits"], k["closed"], rtol=1e-2)
    rows = expression_rates.compare(networks, workload(osu, 16, seed=1), "tables", repeats=1)
    assert rows.keys() == networks.keys()
    assert all(speed > 0 for speed, _ in rows.values())


@pytest.mark.long
@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_krome_calls(tmp_path: Path) -> None:
    """It measures what it says; the ratios themselves are of the committed run."""
    table = tmp_path / "krome_calls.txt"
    program = ROOT / "benchmarks" / "krome_calls.py"
    run([sys.executable, program, "--cells", "50", "--repeats", "3", "--output", table])
    rows = [line.split() for line in table.read_text().splitlines() if line.startswith("  1e-")]
    assert len(rows) == len(krome_calls.RTOLS) * len(krome_calls.STEPS_YR)
    assert all(float(figure) > 0 for row in rows for figure in row)
