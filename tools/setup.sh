#!/usr/bin/env bash
# Set up what a make target needs. Usage: tools/setup.sh PART...
#   system    python3-venv, Python headers and libpython, a C++ compiler   (apt, only what is missing)
#   fortran   gfortran                                          (apt)
#   qemu      qemu-user, which runs the tests on an old CPU     (apt)
#   pkgconfig pkg-config, by which a test finds libpcs          (apt)
#   valgrind  counts instructions for a test                    (apt)
#   mpi       Open MPI with its compilers, for the tests         (apt)
#   sundials  CVODE with KLU, for the benchmark alone           (apt)
#   venv      the virtual environment .venv with the build tools
#   package   pychemsurrogate in .venv, editable; compiled again only when native sources changed
#   plot, test, dev, release   the extra of that name; torch: the CPU build of torch for the tests
#   cuda-build  the extra of that name: nvcc, for the long tests
#   hosts     the extra of that name: PyClaw, which gfortran compiles (a minute), and pyro2
# Every part is skipped when it is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
TORCH=${TORCH:-torch==2.13.0}
VENV=$PWD/.venv
STAMPS=$VENV/.stamps

say() { printf '[setup] %s\n' "$*"; }
fail() {
    printf '[setup] error: %s\n' "$*" >&2
    exit 1
}

# install_system PACKAGE... : by apt, as root or through sudo
install_system() {
    command -v apt-get >/dev/null || fail "please install $* with your system's package manager, then run this again"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please run as root: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing system packages: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

part_system() {
    local missing=()
    command -v "$PYTHON" >/dev/null || fail "no $PYTHON: install Python 3.10 or later, or set PYTHON"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$PYTHON is $("$PYTHON" --version 2>&1), but 3.10 or later is needed; set PYTHON to one"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    "$PYTHON" -c 'import os, sysconfig as s; assert os.path.exists(s.get_path("include") + "/Python.h")' 2>/dev/null ||
        missing+=(python3-dev)
    # Debian's python3 has its shared library, which libpcs_embed runs, in another package.
    "$PYTHON" - <<'END' 2>/dev/null || missing+=(python3-dev)
import os, sys
from sysconfig import get_config_var as var

places = [os.path.join(var("LIBDIR"), folder, f"libpython{var('LDVERSION')}.so") for folder in ("", var("MULTIARCH") or "")]
sys.exit(sys.base_prefix == "/usr" and not any(map(os.path.exists, places)))
END
    command -v g++ >/dev/null || missing+=(g++)
    [ ${#missing[@]} -eq 0 ] || install_system "${missing[@]}"
}

part_fortran() { command -v gfortran >/dev/null || install_system gfortran; }
part_qemu() { command -v qemu-x86_64 >/dev/null || install_system qemu-user; }
part_pkgconfig() { command -v pkg-config >/dev/null || install_system pkg-config; }
part_valgrind() { command -v valgrind >/dev/null || install_system valgrind; }
part_mpi() { command -v mpifort >/dev/null && command -v mpirun >/dev/null || install_system libopenmpi-dev openmpi-bin; }
part_sundials() { [ -e /usr/include/cvode/cvode.h ] || install_system libsundials-dev; }

# once NAME KEY COMMAND... : run the command unless it succeeded before with the same key
once() {
    local stamp=$STAMPS/$1 key=$2 name=$1
    shift 2
    if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return; fi
    say "$name: $*"
    "$@" || return 1
    printf '%s' "$key" >"$stamp"
}

pip_install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

hash_of() { find "$@" -type f -not -name '*.pyc' -print0 2>/dev/null | sort -z | xargs -0 sha256sum | sha256sum; }

part_venv() {
    if ! "$VENV/bin/python" -c '' 2>/dev/null; then
        say "creating the virtual environment .venv with $("$PYTHON" --version 2>&1)"
        rm -rf "$VENV"
        "$PYTHON" -m venv "$VENV"
    fi
    mkdir -p "$STAMPS"
    once build-tools 1 pip_install "scikit-build-core>=0.11" "pybind11>=2.13" "cmake>=3.25" "ninja>=1.11"
}

part_package() {
    once package "$(hash_of pyproject.toml CMakeLists.txt native bindings pychemsurrogate/__init__.py)" \
        pip_install --no-build-isolation --editable .
}

# The requirements of an extra are read from the installed package, which then need not be built again for them.
part_extra() {
    local requirements
    requirements=$("$VENV/bin/python" - "$1" <<'END'
import sys
from importlib.metadata import requires

for requirement in requires("pychemsurrogate") or []:
    name, _, marker = requirement.partition(";")
    if f'"{sys.argv[1]}"' in marker.replace("'", '"'):
        print(name.replace(" ", ""))
END
    )
    # shellcheck disable=SC2086 # one word a requirement
    once "extra-$1" "$requirements" pip_install $requirements
}

part_torch() {
    # shellcheck disable=SC2086 # TORCH may hold pip options
    once torch "$TORCH, optimisers" pip_install $TORCH "torchdiffeq>=0.2.3" "pytorch-optimizer>=3.5" ||
        fail "pip could not install $TORCH; choose another with" \
            "make test TORCH='torch>=2.11 --index-url https://download.pytorch.org/whl/cpu'"
}

for part in "$@"; do
    case $part in
    system | fortran | qemu | pkgconfig | valgrind | mpi | sundials | venv | package | torch) "part_$part" ;;
    plot | test | dev | release | hosts | cuda-build) part_extra "$part" ;;
    *) fail "unknown part: $part" ;;
    esac
done
