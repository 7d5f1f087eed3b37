"""The model file: what goes in comes out, and every kind of damage is refused with a reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pychemsurrogate.cli import main
from pychemsurrogate.model_file import ModelFile, ModelFileError, shipped_model_path
from pychemsurrogate.model_file.layout import read_arrays, write_arrays
from pychemsurrogate.network import load_network


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A network-only model file."""
    model = ModelFile.from_network(load_network("osu_09_2008"), {"note": "made by a test"})
    model.write(tmp_path / "model.pcs")
    return tmp_path / "model.pcs"


def reseal(data: bytearray) -> bytes:
    """Set length and checksum anew, so that only the damage itself is left to be found."""
    data[16:24] = struct.pack("<Q", len(data))
    data[24:28] = struct.pack("<I", zlib.crc32(data[32:]))
    return bytes(data)


def test_network_round_trip(path: Path) -> None:
    network = load_network("osu_09_2008")
    model = ModelFile.read(path)
    assert not model.has_surrogate
    assert model.meta["note"] == "made by a test"
    assert model.network().hash == network.hash
    assert model.text_list("network/species") == list(network.species_names)
    np.testing.assert_array_equal(model.arrays["network/composition"], network.tables().composition)
    model.require_species(network.species_names)


def test_arrays_round_trip(tmp_path: Path) -> None:
    arrays = {
        "scalar": np.float64(2.5),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "strided": np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::3],
        "big endian": np.arange(3, dtype=">f8"),
        "rank 4": np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2),
    }
    write_arrays(tmp_path / "a.pcs", {name: np.asarray(value) for name, value in arrays.items()})
    read = read_arrays(tmp_path / "a.pcs")
    assert list(read) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].shape == np.shape(value)


def test_arrays_are_aligned(path: Path) -> None:
    data = path.read_bytes()
    count = struct.unpack_from("<I", data, 12)[0]
    for i in range(count):
        assert struct.unpack_from("<Q", data, 32 + 128 * i + 64 + 8 + 32)[0] % 64 == 0


def test_a_failed_write_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    model = ModelFile.read(path)
    model.arrays["complex"] = np.zeros(3, dtype=np.complex128)
    with pytest.raises(ModelFileError, match="complex128"):
        model.write(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("keep", [0.0, 0.0005, 0.002, 0.5, 0.999])
def test_truncated(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ModelFileError, match="again"):
        ModelFile.read(path)


@pytest.mark.parametrize("position", [33, 200, 5000, -1])
def test_a_flipped_bit_fails_the_checksum(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="checksum"):
        ModelFile.read(path)


def test_foreign_file(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    with pytest.raises(ModelFileError, match="not a model file"):
        ModelFile.read(path)


def test_a_version_from_the_future(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8:12] = struct.pack("<I", 2)
    path.write_bytes(reseal(data))
    with pytest.raises(ModelFileError, match=r"format version 2.*upgrade"):
        ModelFile.read(path)


@pytest.mark.parametrize(
    ("offset", "format_", "value"),
    [
        (12, "<I", 2**31),  # number of arrays
        (32 + 64, "<I", 9),  # type
        (32 + 68, "<I", 5),  # rank
        (32 + 72, "<Q", 2**62),  # extent
        (32 + 104, "<Q", 2**40),  # offset
        (32 + 104, "<Q", 33),  # offset inside the directory
        (32 + 112, "<Q", 7),  # size
    ],
)
def test_directory_out_of_bounds(path: Path, offset: int, format_: str, value: int) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into(format_, data, offset, value)
    path.write_bytes(reseal(data))
    with pytest.raises(ModelFileError, match="damaged"):
        ModelFile.read(path)


def test_missing_file_folder_and_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        ModelFile.read(tmp_path / "nothing.pcs")
    with pytest.raises(ModelFileError, match="folder"):
        ModelFile.read(tmp_path)
    with pytest.raises(ModelFileError, match=r"no shipped model 'osu'.*osu_09_2008"):
        ModelFile.read("osu")


def test_absent_arrays(path: Path) -> None:
    model = ModelFile.read(path)
    del model.arrays["network/text"]
    model.write(path)
    with pytest.raises(ModelFileError, match="lacks network/text"):
        ModelFile.read(path)


def test_text_that_does_not_match_its_hash(path: Path) -> None:
    model = ModelFile.read(path)
    text = model.text("network/text").replace("osu_09_2008", "other", 1)
    model.arrays["network/text"] = np.frombuffer(text.encode(), dtype=np.uint8)
    model.write(path)
    with pytest.raises(ModelFileError, match="hash"):
        ModelFile.read(path).network()


def test_a_model_for_another_species_list(path: Path) -> None:
    names = list(load_network("osu_09_2008").species_names)
    with pytest.raises(ModelFileError, match="another species list"):
        ModelFile.read(path).require_species(names[::-1])


def test_the_shipped_model_is_for_the_shipped_network() -> None:
    model = ModelFile.read("osu_09_2008")
    assert model.path == shipped_model_path("osu_09_2008")
    assert model.network().hash == load_network("osu_09_2008").hash


def test_commands_write_and_show_a_model(tmp_path: Path) -> None:
    target = str(tmp_path / "network.pcs")
    made = CliRunner().invoke(main, ["model", "network", "osu_09_2008", "-o", target])
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(main, ["model", "show", target])
    assert shown.exit_code == 0
    assert "network/composition" in shown.output
    assert '"network": "osu_09_2008"' in shown.output
    refused = CliRunner().invoke(main, ["model", "show", str(tmp_path / "none.pcs")])
    assert refused.exit_code == 1
    assert "no such file" in refused.output
