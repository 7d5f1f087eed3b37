"""What `pychemsurrogate krome` writes and what it refuses; no compiler is needed."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from native_build import ROOT

from pychemsurrogate.cli import main
from pychemsurrogate.krome import GenerateError, KromeOptionError, Source, generate, read_source, translated
from pychemsurrogate.krome.generate import ABI_VERSION, GENERATED, KEPT
from pychemsurrogate.krome.krome_options import NEEDLESS, REFUSED, RENAMED
from pychemsurrogate.krome.spelling import krome_name, krome_order, krome_tag
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network, parse_network

KROME_FILE = """# four reactions of hydrogen and helium
@common:user_crate,user_Av
@var:T300=Tgas/3d2
@format:idx,R,R,P,P,P,Tmin,Tmax,rate
1,HE,,HE+,E,,NONE,NONE,0.5d0*user_crate
2,H+,E,H,,,NONE,1d4,2.753d-14*(315614d0*invT)**1.5*(1d0+(115188d0*invT)**0.407)**(-2.242)
3,H2,,H,H,,NONE,NONE,3.3d-11*exp(-3.74d0*user_Av)
4,H,H,H2,,,NONE,NONE,4.95d-17*T300**0.5
5,HE+,H,HE,H+,,NONE,NONE,1.2d-15*(Tgas/3d2)**0.25
"""

EVERY_LAW = """pychemsurrogate network 1
name: with a grain law and an isomer
conditions: zeta A_V G0
species: H H2 C C+ CH c-C3H2 C3 e-
reactions:
H + H -> H2 | grain | 5e-17 0.5
H2 -> H + H | cosmic_ray | 0.93
C -> C+ + e- | photo | 3e-10 3
C3 + H2 -> c-C3H2 | arrhenius | 1e-14 0 0
C + H -> CH | arrhenius | 1e-17 0 0
"""


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["krome", *map(str, arguments)])


def refused(*arguments: object) -> str:
    result = command(*arguments)
    assert result.exit_code in (1, 2)
    assert not isinstance(result.exception, AssertionError)
    return str(result.output)


def in_fortran(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def indices(folder: Path) -> dict[str, int]:
    found = re.findall(r"parameter, public :: krome_idx_(\w+) = (\d+)", in_fortran(folder, "krome_user.f90"))
    return {name: int(index) for name, index in found}


@pytest.fixture
def krome_file(tmp_path: Path) -> Path:
    path = tmp_path / "react_small"
    path.write_text(KROME_FILE)
    return path


def test_every_file(tmp_path: Path) -> None:
    result = command("osu_09_2008", "-o", tmp_path / "new" / "build")
    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "new" / "build").iterdir()} == {*GENERATED, KEPT, "krome.pcs"}
    assert "now run make" in result.output
    written = ModelFile.read(tmp_path / "new" / "build" / "krome.pcs")
    assert written.network().hash == load_network("osu_09_2008").hash
    assert not written.has_surrogate  # as the shipped model of that name


def test_abi_version_is_that_of_the_header() -> None:
    header = (ROOT / "bindings" / "c" / "pcs.h").read_text(encoding="utf-8")
    assert f"#define PCS_ABI_VERSION {ABI_VERSION}\n" in header


def test_a_krome_file_keeps_its_order_names_and_variables(krome_file: Path, tmp_path: Path) -> None:
    assert command("-n", krome_file, "-o", tmp_path / "b").exit_code == 0
    # Electron, neutrals, cations; each kind by first appearance.
    assert list(indices(tmp_path / "b").items())[:6] == [
        ("E", 1), ("HE", 2), ("H", 3), ("H2", 4), ("HEj", 5), ("Hj", 6),
    ]  # fmt: skip
    user = in_fortran(tmp_path / "b", "krome_user.f90")
    for name in ("crate", "Av"):
        assert f"subroutine krome_set_user_{name}(argset)" in user
    tables = in_fortran(tmp_path / "b", "krome_tables.f90")
    assert "'H+ + E -> H'" in tables
    assert "in_model_order = .true." in tables
    assert "'mode', 'rtol'" in tables
    assert "'exact', '0.0001'" in tables


def test_a_model_is_permuted_into_kromes_order(osu: Network, tmp_path: Path) -> None:
    generate(read_source("osu_09_2008-multiclock"), tmp_path)
    order = krome_order(osu)
    charges = [osu.species[i].charge for i in order]
    assert charges == sorted(charges)
    assert osu.species_names[order[0]] == "e-"
    tags = list(indices(tmp_path))[: osu.n_species]
    assert tags == [krome_tag(krome_name(osu.species[i])) for i in order]
    assert {"E", "Hj", "H3Oj", "CO"} <= set(tags)
    tables = in_fortran(tmp_path, "krome_tables.f90")
    assert "in_model_order = .false." in tables
    assert "'auto'" in tables  # a model with a surrogate
    header = in_fortran(tmp_path, "krome_header.c")
    assert "const int krome_idx_E = 0;" in header
    ast.parse(in_fortran(tmp_path, "pykrome.py"))


@pytest.mark.parametrize(
    ("name", "tag"),
    [("H+", "Hj"), ("H-", "Hk"), ("HE++", "HEjj"), ("[13C]O", "13CO"), ("O(1D)", "O_1D"), ("E", "E")],
)
def test_tags(name: str, tag: str) -> None:
    assert krome_tag(name) == tag


def test_names_of_other_networks(tmp_path: Path) -> None:
    network = parse_network(EVERY_LAW)
    files = generate(Source(ModelFile.from_network(network)), tmp_path, commons={"G0": "user_Ghab"})
    assert len(files) == len(GENERATED) + 2
    assert indices(tmp_path)["C_C3H2"] > 0
    user = in_fortran(tmp_path, "krome_user.f90")
    for variable in ("user_crate", "user_Av", "user_Ghab"):
        assert f"krome_set_{variable}" in user
    tables = in_fortran(tmp_path, "krome_tables.f90")
    place = indices(tmp_path)["H"]
    assert f"{place}, -1, 0" in tables  # the grain law: n(H) times the density of H nuclei


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    def made(text: str, **options: object) -> None:
        generate(Source(ModelFile.from_network(parse_network(text))), tmp_path / "b", **options)  # type: ignore[arg-type]

    with pytest.raises(GenerateError, match="no condition T_dust; its conditions are zeta, A_V, G0"):
        made(EVERY_LAW, commons={"T_dust": "user_Tdust"})
    with pytest.raises(GenerateError, match="'crate' is no name such as user_crate"):
        made(EVERY_LAW, commons={"zeta": "crate"})
    with pytest.raises(GenerateError, match="two conditions would be user_Av"):
        made(EVERY_LAW, commons={"zeta": "user_av"})
    with pytest.raises(GenerateError, match="mode auto: the model holds a network alone"):
        made(EVERY_LAW, mode="auto")
    with pytest.raises(GenerateError, match="mode must be one of exact, auto, surrogate, not 'fast'"):
        made(EVERY_LAW, mode="fast")
    clash = """pychemsurrogate network 1
name: clash
species: A a
define: A X=1 charge=0 mass_g=1e-24
define: a X=1 charge=0 mass_g=1e-24
reactions:
A -> a | arrhenius | 1 0 0
"""
    with pytest.raises(GenerateError, match="the species A and A would both be krome_idx_A"):
        made(clash)
    with pytest.raises(GenerateError, match="more than the 16 letters"):
        made(
            clash.replace("a X", "Averylongnamedspecies X")
            .replace(" a\n", " Averylongnamedspecies\n")
            .replace("> a ", "> Averylongnamedspecies ")
        )
    assert not (tmp_path / "b").exists()


def test_the_users_own_module_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    assert command("osu_09_2008", "-o", folder).exit_code == 0
    (folder / KEPT).write_text("mine\n")
    (folder / "krome_main.f90").write_text("old\n")
    assert command("osu_09_2008", "-o", folder).exit_code == 0
    assert in_fortran(folder, KEPT) == "mine\n"
    assert "module krome_main" in in_fortran(folder, "krome_main.f90")
    assert command("osu_09_2008", "-o", folder, "-clean").exit_code == 0
    assert "module krome_user_commons" in in_fortran(folder, KEPT)


def test_kromes_own_options() -> None:
    assert translated(["-n", "net", "-useX", "-useIERR", "-RTOL=1d-6", "-noVerbatimFile", "-o", "d"]) == (
        ["net", "--use-x", "--ierr", "--rtol=1e-6", "-o", "d"]
    )
    assert translated(["-n=net", "-project=mine", "-interfaceC"]) == ["net", "-o", "build_mine"]
    ours = ["net", "--rtol=1e-3", "--atol", "1e-20", "--ierr", "--use-x", "--clean", "--conserve", "-h"]
    assert translated(ours) == ours
    assert not {*RENAMED} & {*REFUSED}
    assert not NEEDLESS & {*REFUSED, *RENAMED}


@pytest.mark.parametrize(
    "option", ["-cooling=ATOMIC,H2", "--cooling", "-heating=COMPRESS", "-dust=10,C", "-photoBins=10"]
)
def test_physics_that_is_not_here_is_refused_by_name(option: str, tmp_path: Path) -> None:
    output = refused("-n", "osu_09_2008", option, "-o", tmp_path / "b")
    assert f"KROME's option -{option.lstrip('-').partition('=')[0]} is not here: " in output
    assert not (tmp_path / "b").exists()
    with pytest.raises(KromeOptionError):
        translated([option])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@photo_start", "photochemistry by bins"),
        ("@cooling_start", "cooling"),
        ("@ice_start", "ices"),
        ("9,C,O,CO,,,NONE,NONE,krate_stickSi(n,1)", "krate_stickSi"),
        ("9,H,E,H-,,,NONE,NONE,auto", "auto"),
    ],
)
def test_parts_of_a_network_that_are_not_here_are_refused(
    krome_file: Path, line: str, reason: str, tmp_path: Path
) -> None:
    krome_file.write_text(KROME_FILE + line + "\n")
    output = refused(krome_file, "-o", tmp_path / "b")
    assert f"{krome_file.name}:10: " in output
    assert reason in output
    assert not (tmp_path / "b").exists()


def test_bad_commands(tmp_path: Path) -> None:
    assert "Missing option" in refused("osu_09_2008")
    assert "neither a file nor a shipped network" in refused("nothing", "-o", tmp_path)
    assert "no such file" in refused("nothing.pcs", "-o", tmp_path)
    assert "is not CONDITION=NAME" in refused("osu_09_2008", "-o", tmp_path, "--common", "zeta")
    assert "No such option" in refused("osu_09_2008", "-o", tmp_path, "--colour")


def test_large_networks_fit_into_fortran(tmp_path: Path) -> None:
    """Lines of at most 132 letters, statements of at most 255 lines."""
    species = [f"X{i}" for i in range(700)]
    text = "pychemsurrogate network 1\nname: long\nspecies: " + " ".join(species) + "\n"
    text += "".join(f"define: {s} Q=1 charge=0 mass_g=1e-24\n" for s in species) + "reactions:\n"
    text += "".join(f"{a} -> {b} | arrhenius | 1e-10 0 0\n" for a, b in pairwise(species))
    generate(Source(ModelFile.from_network(parse_network(text))), tmp_path)
    lines = in_fortran(tmp_path, "krome_tables.f90").splitlines()
    assert max(map(len, lines)) <= 132
    longest = run = 0
    for line in lines:
        run = run + 1 if line.endswith("&") else 0
        longest = max(longest, run)
    assert longest < 255
