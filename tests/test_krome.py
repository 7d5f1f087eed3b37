"""The KROME drop-in: hosts of the shapes that KROME's users have, compiled against the generated modules and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import krome_build
import native_build
import numpy as np
import pytest
from conftest import DECAY_CHAIN
from guide import block
from krome_build import Krome, Records, build, generate, write_cells
from native_build import NativeBuild, run
from test_krome_generate import KROME_FILE
from workload import Workload, workload

from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.network.species import ELECTRON_NAME

pytestmark = pytest.mark.skipif(not native_build.has_fortran(), reason="no gfortran")

CELLS = 24


@pytest.fixture(scope="module")
def krome_n(libpcs: NativeBuild, osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Krome:
    """Number densities, exact, with ierr in C."""
    folder = tmp_path_factory.mktemp("krome_n")
    generate("osu_09_2008-multiclock", folder, "--ierr", "--mode", "exact")
    build(folder, libpcs)
    return Krome(folder, libpcs, osu)


@pytest.fixture(scope="module")
def krome_x(libpcs: NativeBuild, osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Krome:
    """Mass fractions, exact, by KROME's own spelling of the command; the condition under another name."""
    folder = tmp_path_factory.mktemp("krome_x")
    generate("osu_09_2008", folder, "-useX", "-noVerbatimFile", "--mode=exact", "--common", "zeta=user_crflux")
    build(folder, libpcs)
    return Krome(folder, libpcs, osu)


@pytest.fixture(scope="module")
def cell_file(osu: Network, krome_n: Krome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(tmp_path_factory.mktemp("cells") / "cells.bin", workload(osu, CELLS, seed=3), krome_n.order)


def assert_right(records: Records, network: Network, rtol: float = 1e-4) -> None:
    """Against scipy's BDF at tight tolerance; elements and charge to round-off."""
    composition = network.tables().composition
    size = np.abs(composition) @ records.before.T
    drift = composition @ (records.after - records.before).T
    assert (np.abs(drift) <= 1e-13 * size).all()
    few = slice(None, None, -(-len(records.dt) // 12))
    conditions = {"zeta": records.crate[few]}
    truth, status = ScipyBDF(network).advance(
        records.before[few], records.dt[few], records.temperature[few], conditions
    )
    assert (status > 0).all()
    n_H = records.before[few] @ network.tables().scale_weights
    counted = truth > 1e-12 * n_H[:, None]
    error = np.abs(np.log10(records.after[few][counted] / truth[counted]))
    assert error.max() < 10 * rtol
    assert np.abs(np.log10(records.after / records.before)).max() > 0.01  # something happened


def assert_bits(records: Records, network: Network) -> None:
    """The native integrator's own bits: nothing is lost on the way through libkrome."""
    solver = NativeRosenbrock(network, rtol=1e-4)
    given = (records.before, records.dt, records.temperature, {"zeta": records.crate})
    np.testing.assert_array_equal(records.after, solver.advance(*given)[0])


@pytest.mark.parametrize(
    ("client", "steps"),
    [("collapse", 12), ("cloud", 11), ("flash_like", 64), ("enzo_like", 12), ("ramses_like", 27)],
)
def test_fortran_hosts(krome_n: Krome, osu: Network, cell_file: Path, tmp_path: Path, client: str, steps: int) -> None:
    run([krome_n.fortran(client, tmp_path), cell_file, tmp_path / "out", CELLS])
    records = krome_n.records(tmp_path / "out")
    assert len(records.dt) == steps
    assert_right(records, osu)
    assert_bits(records, osu)


def test_a_failure_that_nobody_asks_for_is_loud(krome_n: Krome, cell_file: Path, tmp_path: Path) -> None:
    """A host that never looks must not go on over abundances that nothing has changed."""
    program = krome_n.fortran("collapse", tmp_path)
    missing = os.environ | {"KROME_MODEL": str(tmp_path / "moved.pcs")}
    command = [program, cell_file, tmp_path / "out", str(CELLS)]
    stopped = subprocess.run(command, env=missing, capture_output=True, text=True)
    assert stopped.returncode != 0
    assert "ERROR in krome: krome_init: model file" in stopped.stderr
    assert "moved.pcs" in stopped.stderr
    assert not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size
    quiet = subprocess.run(command, env=missing | {"KROME_ON_ERROR": "continue"}, capture_output=True, text=True)
    assert "ERROR in krome" not in quiet.stderr


def test_amuse_like_with_a_krome_network_file(libpcs: NativeBuild, tmp_path: Path) -> None:
    """From KROME's own format: species in its order, two variables, formulas as rates; variables for each particle."""
    file, folder = tmp_path / "react_small", tmp_path / "build"
    file.write_text(KROME_FILE)
    generate(file, folder)
    build(folder, libpcs)
    network = load_network(file, format="krome")
    krome = Krome(folder, libpcs, network)
    assert krome.order == list(range(network.n_species))
    rng = np.random.default_rng(2)
    particles = 12
    n = 10 ** rng.uniform(-2, 3, (particles, network.n_species))
    n[:, 0] = n[:, 1:] @ [s.charge for s in network.species[1:]]
    dt, temperature = 10 ** rng.uniform(9, 13, particles), 10 ** rng.uniform(2, 4.1, particles)
    zeta = 10 ** rng.uniform(-17, -14, particles)
    cells = write_cells(tmp_path / "cells.bin", Workload(n, dt, temperature, {"zeta": zeta}), krome.order)
    run([krome.fortran("amuse_like", tmp_path), cells, tmp_path / "out", particles])
    records = krome.records(tmp_path / "out")
    conditions = {"zeta": zeta, "A_V": 1 + 0.25 * np.arange(1, particles + 1)}
    np.testing.assert_allclose(records.before, n, rtol=1e-14)
    truth, status = ScipyBDF(network).advance(records.before, dt, temperature, conditions)
    assert (status > 0).all()
    counted = truth > 1e-12 * n.sum(axis=1)[:, None]
    assert np.abs(np.log10(records.after[counted] / truth[counted])).max() < 1e-3
    assert np.abs(np.log10(records.after / records.before)).max() > 0.1
    composition = network.tables().composition
    drift = np.abs(composition @ (records.after - records.before).T)
    assert (drift <= 1e-13 * (np.abs(composition) @ records.before.T)).all()


def test_a_network_without_conditions_electrons_and_metals(libpcs: NativeBuild, tmp_path: Path) -> None:
    """It compiles without a warning, with every option of the generator; the tables are empty where they may be."""
    (tmp_path / "decay.network").write_text(DECAY_CHAIN)
    generate(tmp_path / "decay.network", tmp_path / "b", "--use-x", "--ierr", "--conserve")
    build(tmp_path / "b", libpcs)
    assert (tmp_path / "b" / "libkrome.so").exists()


def test_phantom_like(krome_x: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    """In mass fractions, from a parallel loop; a variable set outside of it is every thread's."""
    program = krome_x.fortran("phantom_like", tmp_path)
    outputs = []
    for threads in (1, 2, 8):
        run([program, cell_file, tmp_path / "out", CELLS], {"OMP_NUM_THREADS": str(threads)})
        outputs.append((tmp_path / "out").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    records = krome_x.records(tmp_path / "out")
    assert len(records.dt) == CELLS
    assert_right(records, osu)


def test_gizmo_like(krome_x: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    run([krome_x.c("gizmo_like", tmp_path), cell_file, tmp_path / "out", CELLS])
    records = krome_x.records(tmp_path / "out")
    assert len(records.dt) == CELLS
    assert_right(records, osu)


def test_threads(krome_n: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    """The same bits from 1, 2 and 8 threads, from krome() and krome_batch()."""
    program = krome_n.fortran("threads", tmp_path)
    hashes = {run([program, cell_file, tmp_path / "out", CELLS], {"OMP_NUM_THREADS": str(t)}) for t in (1, 2, 8)}
    assert len(hashes) == 1
    assert_bits(krome_n.records(tmp_path / "out"), osu)


def test_misuse(krome_n: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    program = krome_n.fortran("misuse", tmp_path)
    foreign = tmp_path / "foreign.pcs"
    other = [
        osu.restricted(max_heavy_atoms=1),
        Network("another order", osu.species[::-1], osu.reactions, osu.conditions),
        Network("other reactions", osu.species, osu.reactions[1:], osu.conditions),
        Network("other conditions", osu.species, osu.reactions, ("zeta", "A_V")),
    ]
    model = krome_n.folder / "krome.pcs"
    for network in other:
        krome_build.write_model(network, foreign)
        assert run([program, model, foreign, tmp_path / "missing.pcs", cell_file]) == "all checks passed\n"


def interface_output(krome: Krome, cell_file: Path, folder: Path) -> dict[str, str]:
    lines = run([krome.c("interface", folder), cell_file]).splitlines()
    return {name: rest for name, _, rest in (line.partition(" ") for line in lines)}


def test_every_function_of_the_c_interface(krome_n: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    shown = interface_output(krome_n, cell_file, tmp_path)
    order = krome_n.order
    cell = np.fromfile(cell_file)[: 3 + osu.n_species]
    temperature, zeta, dt, n = cell[0], cell[1], cell[2], cell[3:]
    species = [osu.species[i] for i in order]
    spelt = ["E" if s.name == ELECTRON_NAME else s.name.upper() for s in species]
    mass = np.array([s.mass_g for s in species])
    charge = np.array([float(s.charge) for s in species])
    hydrogen = np.array([float(s.elements.get("H", 0)) for s in species])

    def values(name: str) -> np.ndarray:
        return np.array(shown[name].split(), dtype=np.float64)

    def same(name: str, expected: object, rtol: float = 1e-14) -> None:
        np.testing.assert_allclose(values(name), expected, rtol=rtol, err_msg=name)

    assert shown["names"].split() == [*spelt, "CR", "g", "Tgas", "dummy"]
    assert spelt[0] == "E"
    assert (np.diff(charge) >= 0).all()  # KROME's order
    assert shown["sizes"] == f"{osu.n_species} {osu.n_reactions} {osu.n_species + 4} 4 1"
    co = spelt.index("CO")
    assert shown["index"] == f"0 {co} {co} -1"
    assert shown["uninitialised"].split()[:2] == ["0", "1"]  # dt = 0: unchanged
    assert shown["init"] == shown["ierr"] == "0"
    same("seconds_per_year", 365 * 24 * 3600)
    same("crate", zeta)
    same("tcmb", 2.8)
    same("kept", [0.3, 2.0])
    same("mass", mass)
    same("imass", 1 / mass)
    same("charges", charge)
    protons = {"H": 1, "C": 6, "O": 8}
    same("protons", [sum(protons[e] * count for e, count in s.elements.items()) for s in species])
    rho = n @ mass
    same("rho", rho)
    same("mu", rho / n.sum() / 1.67262158e-24)
    same("mu_x", rho / n.sum() / 1.67262158e-24)
    same("hnuclei", n @ hydrogen)
    same("electrons", n[1:] @ charge[1:])
    same("gamma", 1.66666666667)
    same("gamma_x", 1.66666666667)
    fall = np.sqrt(3 * np.pi / (32 * 6.674e-8 * rho))
    same("free_fall", fall, 1e-12)
    same("free_fall_rho", fall, 1e-12)
    same("num2col", 1.87e21 * 10 ** (2 / 3))
    x = n * mass / rho
    same("n2x", x)
    counts = np.array([[s.elements.get(e, 0) for s in species] for e in osu.elements])
    nuclei = np.array([{"H": 1.0080, "C": 12.011, "O": 15.999}[e] for e in osu.elements]) * 1.66053906892e-24
    ref = (counts * nuclei[:, None]) @ (x / mass)
    same("ref", [*ref, 0.0])
    conserved = values("conserved")
    np.testing.assert_allclose((counts * nuclei[:, None]) @ (conserved / mass), ref, rtol=1e-13)
    assert abs(conserved @ (charge / mass)) <= 1e-13 * (conserved @ (np.abs(charge) / mass))
    same("consistent", conserved / conserved.sum())
    back = conserved / conserved.sum() * 1e-20 / mass
    same("x2n", back)
    scaled = back.copy()
    for name, dex in {"C": -3.57, "O": -3.31}.items():
        scaled[spelt.index(name)] = (back @ hydrogen) * 10 ** (dex - 1)
    same("scaled", scaled, 1e-12)

    k = osu.rate_coefficients(temperature, {"zeta": zeta})
    for name in ("coef", "coe", "coet"):
        same(name, k, 1e-12)
    ours = np.empty_like(n)
    ours[order] = n
    reactants = osu.tables().reactants
    same("flux", k * np.where(reactants >= 0, ours[reactants], 1.0).prod(axis=1), 1e-12)
    jacobian = osu.jacobian(ours, k)[np.ix_(order, order)]
    scale = np.abs(jacobian[:, co]).max()
    np.testing.assert_allclose(values("column"), [*jacobian[:, co], 0, 0, 0, 0], rtol=1e-12, atol=1e-14 * scale)
    same("T", temperature)

    step, status = NativeRosenbrock(osu, rtol=1e-4).advance(ours[None], dt, temperature, {"zeta": zeta})
    np.testing.assert_array_equal(values("step"), step[0, order])
    np.testing.assert_array_equal(values("batched"), np.tile(step[0, order], 2))
    assert shown["batch"] == f"0 0 {status[0]} 9"
    same("conserve", n, 0)
    assert int(shown["equilibrium"]) > 0
    steady, status = ScipyBDF(osu).advance(ours[None], 1e16, temperature, {"zeta": zeta})
    assert status[0] > 0
    counted = steady[0] > 1e-12 * (n @ hydrogen)
    assert np.abs(np.log10(values("steady")[np.argsort(order)][counted] / steady[0, counted])).max() < 1e-3
    assert shown["option"] == "0 -103"
    assert shown["failures"] == "2 close 0"


def test_python_client(krome_n: Krome, osu: Network, cell_file: Path, tmp_path: Path) -> None:
    """pykrome.py, in a process of its own."""
    program = tmp_path / "client.py"
    program.write_text(f"""
import ctypes, sys
import numpy as np
sys.path.insert(0, {str(krome_n.folder)!r})
from pykrome import PyKROME
pyk = PyKROME({str(krome_n.folder)!r})
pyk.lib.krome_init()
cells = np.fromfile({str(cell_file)!r}).reshape(-1, 3 + pyk.krome_nmols)
with open({str(tmp_path / "out")!r}, "wb") as out:
    for cell in cells:
        x, ierr = cell[3:].copy(), ctypes.c_int(7)
        T, dt = ctypes.c_double(cell[0]), ctypes.c_double(cell[2])
        pyk.lib.krome_set_user_crate(cell[1])
        pyk.lib.krome(x, ctypes.byref(T), ctypes.byref(dt), ctypes.byref(ierr))
        assert ierr.value == 0 and T.value == cell[0]
        out.write(cell.tobytes() + x.tobytes())
names = [pyk.krome_names[pyk.krome_idx_E], pyk.krome_names[pyk.krome_idx_HCOj], pyk.krome_seconds_per_year]
print(*names, pyk.lib.krome_get_mu(x) > 1, pyk.lib.krome_get_index(b"CO") == pyk.krome_idx_CO)
x[0] = np.nan
pyk.lib.krome(x, ctypes.byref(T), ctypes.byref(dt), ctypes.byref(ierr))
print(ierr.value, pyk.lib.krome_get_status(), b"NaN" in pyk.lib.krome_get_message())
# The model's surrogate, in one call for all cells.
many, user, status = cells[:, 3:].copy(), cells[:, 1].copy(), np.full(len(cells), 99, np.intc)
exact = many.copy()
for mode, n in ((b"exact", exact), (b"auto", many)):
    assert pyk.lib.krome_set_option(b"mode", mode) == 0
    assert pyk.lib.krome_batch(len(n), n, cells[:, 0].copy(), 1e11, user.ctypes.data, status.ctypes.data) == 0
    print(mode.decode(), set(status) == {{10}}, set(status) <= {{0, 1, *range(11, 19)}})
counted = exact > 1e-6 * exact.sum(axis=1)[:, None]
print(np.abs(np.log10(many[counted] / exact[counted])).max() < 0.3)
""")
    expected = "E HCO+ 31536000.0 True True\n-1 -1 True\nexact True False\nauto False True\nTrue\n"
    assert run([sys.executable, program]) == expected
    assert_bits(krome_n.records(tmp_path / "out"), osu)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cmake --install` of libpcs."""
    folder = tmp_path_factory.mktemp("installed")
    run(["cmake", "--install", native_build.build().folder, "--prefix", folder])
    return folder


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_model_is_looked_for_in_three_places(krome_n: Krome, installed: Path, tmp_path: Path) -> None:
    """$KROME_MODEL, then the folder of the makefile, then the working directory. Libpcs is found by pkg-config."""
    moved = tmp_path / "moved"
    generate("osu_09_2008", moved, "--ierr", "--mode", "exact")
    environment = {"PKG_CONFIG_PATH": str(next(installed.rglob("pcs.pc")).parent)}
    run(["make", "-s", "-C", moved, "MODEL_DIR=/nowhere"], environment)
    program = Krome(moved, krome_n.libpcs, krome_n.network).fortran("collapse", tmp_path)
    run([program, "-", tmp_path / "out"], cwd=moved)
    first = (tmp_path / "out").read_bytes()
    run([program, "-", tmp_path / "out"], {"KROME_MODEL": str(moved / "krome.pcs")}, cwd=tmp_path)
    assert (tmp_path / "out").read_bytes() == first
    with pytest.raises(AssertionError, match=r"no model: looked for /nowhere/krome\.pcs"):
        run([program, "-", tmp_path / "out"], cwd=tmp_path)
    run([program, "-", tmp_path / "out"], {"KROME_ON_ERROR": "continue"}, cwd=tmp_path)  # nothing changes
    values = np.fromfile(tmp_path / "out").reshape(-1, 3 + 2 * krome_n.network.n_species)
    before, after = np.split(values[:, 3:], 2, axis=1)
    np.testing.assert_array_equal(before, after)


def test_embedded_python_serves_libkrome(krome_n: Krome, installed: Path, tmp_path: Path) -> None:
    """The same program, the same bits, from libpcs_embed (which `installed` has built beside libpcs)."""
    assert list(installed.rglob("libpcs_embed.so"))
    program = krome_n.fortran("cloud", tmp_path)
    run([program, "-", tmp_path / "native"])
    run([program, "-", tmp_path / "embedded"], {"PCS_BACKEND": "embed"})
    assert (tmp_path / "embedded").read_bytes() == (tmp_path / "native").read_bytes()


def test_cmake_project(krome_n: Krome, installed: Path, tmp_path: Path) -> None:
    """A host that adds the generated folder as a subdirectory, to the shared and to the static library."""
    (tmp_path / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.20)
project(host LANGUAGES C Fortran)
add_subdirectory({krome_n.folder} krome)
foreach(kind IN ITEMS krome static)
  add_executable(host_${{kind}} {krome_build.CLIENTS}/cells.f90 {krome_build.CLIENTS}/collapse.f90)
  set_target_properties(host_${{kind}} PROPERTIES Fortran_MODULE_DIRECTORY ${{CMAKE_CURRENT_BINARY_DIR}}/${{kind}})
  target_link_libraries(host_${{kind}} PRIVATE krome::${{kind}})
endforeach()
""")
    run(["cmake", "-S", tmp_path, "-B", tmp_path / "b", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={installed}"])
    run(["cmake", "--build", tmp_path / "b"])
    outputs = set()
    for kind in ("krome", "static"):
        run([tmp_path / "b" / f"host_{kind}", "-", tmp_path / "out"])
        outputs.add((tmp_path / "out").read_bytes())
    assert len(outputs) == 1
    assert_right(krome_n.records(tmp_path / "out"), krome_n.network)


def test_one_routine_alone_stops_and_no_common_block(krome_n: Krome) -> None:
    """By the symbols and the sources: what a failure does that nobody asks for, and nothing else; no COMMON."""
    undefined = run(["nm", "-u", krome_n.folder / "libkrome.a"])
    assert "pcs_step" in undefined
    for word in ("stop_string", "runtime_error", "exit", "abort", "printf"):
        assert word not in undefined
    for line in run(["nm", krome_n.folder / "libkrome.a"]).splitlines():
        assert " C " not in line or "gomp_critical" in line  # the lock of a critical section
    for source in krome_n.folder.glob("*.f90"):
        text = source.read_text().lower()
        assert "print *" not in text
        assert text.count("error stop") == (source.name == "krome_engine.f90")
        assert not re.search(r"^\s*stop\b", text, re.MULTILINE)


def test_thermal_routines_fail_by_name_at_link_time(krome_n: Krome, tmp_path: Path) -> None:
    program = tmp_path / "heat.f90"
    program.write_text("program heat\n  use krome_user\n  call krome_set_photobinj(1d0)\nend program\n")
    command = ["gfortran", f"-I{krome_n.folder}", program, "-o", tmp_path / "heat", *map(str, krome_n.link)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "krome_set_photobinj" in result.stderr


def test_program_of_the_guide(krome_n: Krome, tmp_path: Path) -> None:
    source = tmp_path / "host.f90"
    source.write_text(block("krome", "fortran"), encoding="utf-8")
    program = tmp_path / "host"
    # As the page says: libkrome alone, which knows where its libpcs is.
    link = [f"-L{krome_n.folder}", "-lkrome", f"-Wl,-rpath,{krome_n.folder}"]
    run(["gfortran", "-Wall", "-Werror", f"-I{krome_n.folder}", f"-J{tmp_path}", source, *link, "-o", program])
    one, last = (float(line.split("=")[1]) for line in run([program]).splitlines())
    assert 0 < one < last < 2000
