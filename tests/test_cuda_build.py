"""libpcs_cuda by nvcc: it compiles without a warning, and tells hosts where no GPU is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from native_build import PATH, ROOT, NativeBuild, build, run
from test_cuda_host import refusal

pytestmark = pytest.mark.long


def nvcc() -> str:
    """CUDACXX, the system's, or that of the extra cuda-build."""
    if given := os.environ.get("CUDACXX") or shutil.which("nvcc", path=PATH):
        return given
    packages = [Path(folder) / "nvidia" for folder in sys.path if folder.endswith("site-packages")]
    for found in sorted(path for folder in packages for path in folder.glob("cu*/bin/nvcc")):
        return str(found)
    pytest.skip("no nvcc: set CUDACXX, or pip install 'pychemsurrogate[cuda-build]'")


@pytest.fixture(scope="module")
def library() -> Path:
    """Built in a folder of its own, which is kept: minutes, most of them for straight-line kernels."""
    folder = ROOT / "build" / "tests-cuda"
    options = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DPCS_CUDA=ON",
        "-DPCS_WERROR=ON",
        "-DPCS_EMBED=OFF",
        f"-DCMAKE_CUDA_COMPILER={nvcc()}",
    ]
    run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options])
    run(["cmake", "--build", folder, "--target", "pcs_cuda"])
    return folder / "lib" / "libpcs_cuda.so"


@pytest.fixture(scope="module")
def libpcs() -> NativeBuild:
    return build("pcs")


def test_what_leaves_the_library_and_what_it_needs(library: Path) -> None:
    """One symbol; of CUDA nothing but the driver, which it looks for when it is used."""
    assert run(["nm", "-D", "--defined-only", library]).split()[2::3] == ["pcs_cuda_backend"]
    entries = run(["readelf", "-d", library]).splitlines()
    needed = [entry.split("[")[1].rstrip("]") for entry in entries if "NEEDED" in entry]
    assert needed
    assert not [name for name in needed if "cuda" in name]


def test_a_host_without_a_gpu_is_told(library: Path, libpcs: NativeBuild, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA driver: the tests marked gpu say more")
    told = refusal(libpcs, tmp_path, {"PCS_CUDA_LIBRARY": str(library)})
    assert told.startswith("-109 there is no NVIDIA driver here, or one that is too old for libpcs_cuda")
