"""libpcs for C, C++ and Fortran hosts. SPDX-License-Identifier: BSD-3-Clause."""

from pathlib import Path

from spack.package import *
from spack_repo.builtin.build_systems.cmake import CMakePackage


class Pychemsurrogate(CMakePackage):
    """Chemistry for astrophysical hydrodynamics: a learned step with an exact integrator behind it (libpcs)."""

    git = f"file://{Path(__file__).resolve().parents[6]}"  # the clone that this recipe lies in
    license("BSD-3-Clause")
    version("main", branch="main")

    variant("shared", default=True, description="libpcs.so rather than libpcs.a")
    variant("openmp", default=True, description="Threads by OpenMP")
    variant("fortran", default=True, description="Compile the Fortran module for this compiler")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("fortran", type="build", when="+fortran")
    depends_on("cmake@3.20:", type="build")
    conflicts("%gcc@:10", msg="C++20 needs GCC 11 or later")

    def cmake_args(self):
        return [
            self.define_from_variant("BUILD_SHARED_LIBS", "shared"),
            self.define_from_variant("PCS_OPENMP", "openmp"),
            self.define_from_variant("PCS_FORTRAN", "fortran"),
        ]
