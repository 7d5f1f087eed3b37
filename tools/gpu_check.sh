#!/usr/bin/env bash
# Builds the package with libpcs_cuda, and checks and measures it on this machine's GPU, in one call.
#
# Usage: tools/gpu_check.sh [build] [test] [bench] [sanitize] (default: all, in this order)
#
# Needs nvcc, cmake, ninja, and in $PYTHON (default python3; 3.11 or later) numpy, scipy, h5py, click, jinja2, tqdm, pytest,
# torch with CUDA, CuPy, scikit-build-core and pybind11. No network, and nothing is installed there: the package goes to
# build/gpu/site. What fails is told and the rest goes on; the exit code is then 1. Logs, and the benchmark's table, go to
# $OUT (default build/gpu/out). PCS_CHECK_SECONDS (540) bounds it all; every stage gets what is left at most.
# PCS_CHECK_BENCH: arguments of benchmarks/gpu.py. CUDAARCHS: for which cards to compile (default: those that are here).
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
python=${PYTHON:-python3}
out=${OUT:-$root/build/gpu/out}
site=$root/build/gpu/site
limit=${PCS_CHECK_SECONDS:-540}
mkdir -p "$out"
failed=()

seconds_left() { echo $((limit - SECONDS)); }

# stage NAME SECONDS COMMAND...: within that time and what is left of all; its output is shown and kept in NAME.log.
stage() {
  local name=$1 most=$2 left begun=$SECONDS rc
  shift 2
  left=$(seconds_left)
  if [ "$left" -lt 5 ]; then
    echo "=== $name: no time left"
    failed+=("$name")
    return 1
  fi
  echo "=== $name (at most $((most < left ? most : left)) s)"
  timeout --kill-after=5 $((most < left ? most : left)) "$@" 2>&1 | tee "$out/$name.log"
  rc=${PIPESTATUS[0]}
  echo "=== $name: $([ "$rc" = 0 ] && echo passed || echo "FAILED ($rc)"), $((SECONDS - begun)) s"
  [ "$rc" = 0 ] || failed+=("$name")
  return "$rc"
}

what=${*:-build test bench sanitize}
nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader || { echo "no GPU: nvidia-smi fails"; exit 1; }
if [ -z "${CUDAARCHS:-}" ]; then
  CUDAARCHS=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | tr -d . | sort -u | sed 's/$/-real/' | paste -sd ';')
fi
export CUDAARCHS
nvcc=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
export CUDACXX=$nvcc CMAKE_GENERATOR=Ninja CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
"$nvcc" --version | tail -2
export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
unset PCS_CUDA_LIBRARY

if [[ " $what " == *" build "* ]]; then
  rm -rf "$site"
  stage build 300 "$python" -m pip install . --verbose --no-index --no-build-isolation --no-deps --target "$site" \
    -Cbuild-dir=build/gpu/cmake -Ccmake.define.PCS_CUDA=ON -Ccmake.define.PCS_EMBED=OFF \
    "-Ccmake.define.CMAKE_CUDA_ARCHITECTURES=$CUDAARCHS" \
    > >(grep --line-buffered -E '^===|^ *\[[0-9]+/[0-9]+\]|warning|error|Error') || tail -60 "$out/build.log"
fi
"$python" -P -c 'import pychemsurrogate, pychemsurrogate._native as n
print(pychemsurrogate.__file__, "GPUs:", n.device_count())' || { echo "the package cannot use the GPU"; exit 1; }

if [[ " $what " == *" test "* ]]; then
  mapfile -t files < <(grep -l "mark.gpu" tests/test_*.py)
  stage test 150 "$python" -P -m pytest -m gpu -q --maxfail=10 -p no:cacheprovider --durations=5 "${files[@]}"
fi

if [[ " $what " == *" bench "* ]]; then
  # shellcheck disable=SC2086 - several words are meant
  stage bench 360 "$python" benchmarks/gpu.py --output "$out/gpu.txt" ${PCS_CHECK_BENCH:-}
fi

if [[ " $what " == *" sanitize "* ]]; then
  sanitizer=$(command -v compute-sanitizer || echo "$(dirname "$nvcc")/compute-sanitizer")
  for tool in memcheck racecheck; do
    stage "$tool" 60 "$sanitizer" --tool "$tool" --error-exitcode 9 --print-limit 20 "$python" tests/cuda/small_run.py
  done
fi

echo "=== $SECONDS s; failed: ${failed[*]:-nothing}"
[ ${#failed[@]} = 0 ]
