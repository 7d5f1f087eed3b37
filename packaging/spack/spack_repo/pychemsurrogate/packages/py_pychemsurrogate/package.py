"""The Python package, which carries libpcs too. SPDX-License-Identifier: BSD-3-Clause."""

from pathlib import Path

from spack.package import *
from spack_repo.builtin.build_systems.python import PythonPackage


class PyPychemsurrogate(PythonPackage):
    """Chemistry for astrophysical hydrodynamics: a learned step with an exact integrator behind it."""

    git = f"file://{Path(__file__).resolve().parents[6]}"  # the clone that this recipe lies in
    license("BSD-3-Clause")
    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.20:", type="build")
    depends_on("ninja", type="build")
    depends_on("py-scikit-build-core@0.11:", type="build")
    depends_on("py-pybind11@2.13:", type="build")
    conflicts("%gcc@:10", msg="C++20 needs GCC 11 or later")

    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-cffi@1.15:", type=("build", "run"))
    depends_on("py-click@8.1:", type=("build", "run"))
    depends_on("py-h5py@3.8:", type=("build", "run"))
    depends_on("py-jinja2@3.1:", type=("build", "run"))
    depends_on("py-numpy@1.24:", type=("build", "run"))
    depends_on("py-scipy@1.10:", type=("build", "run"))
    depends_on("py-tqdm@4.64:", type=("build", "run"))
