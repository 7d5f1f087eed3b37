#!/usr/bin/env bash
# Build libpcs and cloud_hydro, run the two colliding flows with the exact integrator and, where the model holds a
# surrogate, with the surrogate; show the tables and draw the figures.
# Usage: fortran_example/run_demo.sh [CASE.nml]     MODEL (a .pcs file or a shipped name) and OUTPUT may be set.
# Needs cmake, ninja, a C++ and a Fortran compiler, and pychemsurrogate's Python package with its plot extra.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
case_file=${1:-$here/cases/colliding_flows.nml}
model=${MODEL:-osu_09_2008-accurate}
output=${OUTPUT:-$here/output}
build=$root/build/demo

say() { printf '[demo] %s\n' "$*"; }
quietly() { # print what a command said only if it fails
    local log=$build/log.txt
    "$@" >"$log" 2>&1 || { cat "$log"; say "failed: $*"; exit 1; }
}

mkdir -p "$build" "$output"
say "building libpcs with its Fortran module, and cloud_hydro, in $build"
quietly cmake -S "$root" -B "$build/libpcs" -G Ninja -DPCS_FORTRAN=ON -DCMAKE_INSTALL_PREFIX="$build/prefix"
quietly cmake --build "$build/libpcs" --target install
quietly cmake -S "$here" -B "$build/cloud_hydro" -G Ninja -DCMAKE_PREFIX_PATH="$build/prefix"
quietly cmake --build "$build/cloud_hydro"
hydro=$build/cloud_hydro/cloud_hydro

say "running $(basename "$case_file") with the exact integrator"
"$hydro" "$case_file" --model "$model" --mode exact --output "$output/exact"

has_surrogate='import sys; from pychemsurrogate.model_file import ModelFile
print(ModelFile.read(sys.argv[1]).has_surrogate)'
if [ "$(python -c "$has_surrogate" "$model")" = True ]; then
    say "running the same case with the surrogate, refused cells by the exact integrator"
    "$hydro" "$case_file" --model "$model" --mode auto --output "$output/auto" --compare "$output/exact"
    shown=auto
    compare=(--compare "$output/exact")
else
    say "the model holds a network alone: there is no surrogate to run"
    shown=exact
    compare=()
fi

say "drawing"
python -m pychemsurrogate plot "$output/$shown" "${compare[@]}"
