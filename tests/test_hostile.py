"""Files and arguments of an adversary: a clear error that says what to do, at once, and nothing executed or changed."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pychemsurrogate import Solver, _native
from pychemsurrogate.cli import main
from pychemsurrogate.model_file import ModelFile, ModelFileError, shipped_model_path
from pychemsurrogate.network import NetworkError, load_network
from pychemsurrogate.network.formats import files
from pychemsurrogate.network.library import SHIPPED
from pychemsurrogate.state_log import LogError

FIRST = (SHIPPED / "osu_09_2008.network").read_text(encoding="utf-8").splitlines()[0]
HOSTILE = (
    '*/asm(".include \\"../a.s\\"");/*',
    "'//system('touch owned')//'",
    "a\\\nb",
    "${shell touch owned}",
    "{{ 7*7 }}",
    "<script>alert(1)</script>",
    "x" * 5000,
    "caf\u00e9",
    "a\0b",
    "%n%n",
    "",
)


def network_text(
    name: str = "toy", species: str = "A B", define: str = "A X=1 mass_g=1e-24", conditions: str = "", line: str = ""
) -> str:
    header = f"{FIRST}\nname: {name}\nspecies: {species}\ndefine: {define}\ndefine: B X=1 mass_g=1e-24\n"
    return f"{header}conditions: {conditions}\nreactions:\n{line or 'A -> B | arrhenius | 1e-9 0 0'}\n"


def read(folder: Path, text: str | bytes) -> Any:
    path = folder / "toy.network"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return load_network(path, "native")


def test_the_toy_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, network_text()).species_names == ("A", "B")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_no_names(tmp_path: Path, name: str) -> None:
    flat = name.replace("\n", " ")
    for text in (
        network_text(name=flat),
        network_text(species=f"A B {flat or '()'}"),
        network_text(define=f"{flat or '()'} X=1 mass_g=1e-24", species=f"{flat or '()'} B"),
        network_text(define=f"A {flat or '()'}=1 mass_g=1e-24"),
        network_text(conditions=flat or "()"),
    ):
        with pytest.raises(NetworkError):
            read(tmp_path, text)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("array", ["species", "conserved", "conditions"])
def test_hostile_names_in_a_model_file_are_refused_by_the_core(tmp_path: Path, name: str, array: str) -> None:
    model = ModelFile.read("osu_09_2008")
    names = model.text_list(f"network/{array}")
    text = "\n".join([name.replace("\n", " ") or "()", *names[1:]])
    model.arrays[f"network/{array}"] = np.frombuffer(text.encode(), dtype=np.uint8)
    model.write(tmp_path / "hostile.pcs")
    with pytest.raises(ValueError, match=r"no name of|conditions"):
        _native.Solver.open(str(tmp_path / "hostile.pcs"))


@pytest.mark.parametrize("name", HOSTILE[:6])
def test_nothing_is_generated_from_hostile_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "toy.network"
    path.write_text(network_text(name=name.replace("\n", " ")), encoding="utf-8")
    made = CliRunner().invoke(main, ["krome", str(path), "-o", str(tmp_path / "build")])
    assert made.exit_code != 0
    assert "name" in made.output
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"define": "A X=" + "9" * 400 + " mass_g=1e-24"}, "nuclei"),
        ({"define": "A X=" + "9" * 5000 + " mass_g=1e-24"}, "not of the form"),
        ({"define": ""}, "names no species"),
        ({"define": "A X=-1 mass_g=1e-24"}, "nuclei"),
        ({"define": "A X=1 mass_g=nan"}, "mass in g"),
        ({"define": "A X=1 mass_g=-1"}, "mass in g"),
        ({"define": "A X=1 mass_g=1e400"}, "mass in g"),
        ({"define": "A X=1 charge=999999 mass_g=1e-24"}, "beyond any sense"),
        ({"define": "B X=1 mass_g=1e-24"}, "defined twice"),
        ({"conditions": "zeta " * 40}, "named twice"),
        ({"species": "A B H" + "9" * 30}, "beyond any sense"),
    ],
)
def test_absurd_networks(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        read(tmp_path, network_text(**change))


def test_files_that_no_network_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError, match=r"toy.network:8: is not UTF-8"):
        read(tmp_path, network_text().encode().rstrip(b"\n") + b" \xff\n")
    with pytest.raises(NetworkError, match="200000 lines"):
        read(tmp_path, network_text() + "A -> B | arrhenius | 1e-9 0 0\n" * 200_001)
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 20)
    with gzip.open(tmp_path / "bomb.gz", "wb") as file:
        file.write(bytes(5 << 20))
    with pytest.raises(NetworkError, match="more than 1 MB"):
        load_network(tmp_path / "bomb.gz")
    (tmp_path / "damaged.gz").write_bytes(b"\x1f\x8b\x08 and no more")
    with pytest.raises(NetworkError, match="damaged"):
        load_network(tmp_path / "damaged.gz")
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(NetworkError):
            load_network(name)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.pcs"
    os.mkfifo(pipe)
    with pytest.raises(ModelFileError, match="no regular file"):
        Solver.load(pipe)
    with pytest.raises(ValueError, match="not a file"):
        _native.Solver.open(str(pipe))
    with pytest.raises(NetworkError, match="neither a file"):
        load_network(pipe)
    with pytest.raises(LogError, match="no regular file"):
        Solver.load("osu_09_2008", mode="exact", log=pipe)
    (tmp_path / "text.h5").write_bytes(b"no HDF5")
    with pytest.raises(LogError, match="is no log"):
        Solver.load("osu_09_2008", mode="exact", log=tmp_path / "text.h5")


def test_large_files_are_looked_at_before_they_are_read(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.pcs"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelFileError, match="does not begin with PCSMODEL"):
        Solver.load(sparse)
    with pytest.raises(ValueError, match="is not a pychemsurrogate model"):
        _native.Solver.open(str(sparse))
    shutil.copy(shipped_model_path("osu_09_2008"), sparse)
    with sparse.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelFileError, match=f"holds {1 << 40} bytes"):
        Solver.load(sparse)
    with pytest.raises(ValueError, match="bytes appended"):
        _native.Solver.open(str(sparse))


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 5000, "x" * 5000 + ".pcs", "a\0b.pcs", "\udcff.pcs"):
        with pytest.raises(ModelFileError):
            Solver.load(name)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pcs")
    shutil.copy(shipped_model_path("osu_09_2008"), odd)
    assert len(Solver.load(odd, mode="exact").species) == 29


class Frame:
    """As pandas has them."""

    def to_numpy(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.ones((4, 29))


def test_arguments_that_mean_something_else() -> None:
    solver = Solver.load("osu_09_2008", mode="exact")
    n = np.full((4, 29), 1e-8)
    n[:, solver.index("H2")] = 1e3
    kept, at = n.copy(), {"zeta": 1e-17}
    masked = np.ma.masked_array(n, n > 1.0)
    cases: list[tuple[Any, Any, Any, dict[str, Any], type[Exception], str]] = [
        (masked, 1e5, 20.0, at, TypeError, r"masked array.*mask="),
        (n, 1e5, np.ma.masked_array(np.full(4, 20.0), [1, 0, 0, 0]), at, TypeError, "masked array"),
        (n, 1e5, 20.0, at | {"mask": np.ma.masked_array([1, 1, 1, 1], [0, 1, 0, 0])}, TypeError, "masked array"),
        (n, 1e5, 10**400, at, ValueError, "double precision"),
        (n, 10**400, 20.0, at, ValueError, "double precision"),
        (n, 1e5, "20", at, TypeError, "a number"),
        (n, 1e5, 20j, at, TypeError, "a number"),
        (Frame(), 1e5, 20.0, at, TypeError, "to_numpy"),
    ]
    for given, dt, temperature, more, kind, told in cases:
        with pytest.raises(kind, match=told):
            solver.step(given, dt, temperature, out=given if given is n else None, **more)
    np.testing.assert_array_equal(n, kept)
    for name in ("trajectory", "equilibrium"):
        call = getattr(solver, name)
        with pytest.raises(TypeError, match="masked array"):
            call(masked, *([[1.0]] if name == "trajectory" else []), 20.0, zeta=1e-17)


def test_tensors_that_no_step_serves() -> None:
    torch = pytest.importorskip("torch")
    solver = Solver.load("osu_09_2008", mode="exact")
    n = torch.full((4, 29), 1.0, dtype=torch.float64)
    for given, kind, told in (
        (n.clone().requires_grad_(), TypeError, "detach"),
        (n.float(), TypeError, "float64"),
        (n.to("meta"), ValueError, "lives on meta"),
    ):
        with pytest.raises(kind, match=told):
            solver.step(given, 1e5, 20.0, zeta=1e-17)
    with pytest.raises(TypeError, match="a number"):
        solver.step(n, 1e5, torch.empty(4, device="meta"), zeta=1e-17)
