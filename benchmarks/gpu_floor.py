"""What one cell of the learned step must move and compute, for every shipped model: the floor of benchmarks/gpu.py.

Counted, not measured: from the arrays of the models and from the straight-line code of their network, in which every
operation stands once. `python benchmarks/gpu_floor.py` prints the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from pychemsurrogate import _native
from pychemsurrogate.model_file import ModelFile, shipped_models

# Operations of exp and log in double precision (native/include/pcs/simd.hpp), of a rate's shape beside its exp, and of
# one Newton step of the projection for each (species, quantity) that it counts.
EXP, LOG, SHAPE, NEWTON = 42, 50, 4, 6
NEWTON_STEPS = 4  # typical
FUNCTIONS = ("rhs", "gain_and_frequency", "factorise", "solve")


@dataclass(frozen=True)
class Work:
    """Of one cell: floating-point operations (an addition and a multiplication are two), and bytes."""

    flops32: float  # products of the nets' matrices
    flops64: float  # rates, steps of the real chemistry, projection
    moved: int  # bytes of the host's arrays, read and written
    local: float  # bytes that a thread reads and writes in its own memory, each access of the code as it stands

    def cells_per_second(self, bandwidth: float, rate32: float, rate64: float) -> dict[str, float]:
        """Bounds by each part of a card: bandwidth [byte/s], rates [FLOP/s]."""
        bounds = {"bytes": bandwidth / self.moved, "float32": rate32 / max(self.flops32, 1)}
        return bounds | {"float64": rate64 / max(self.flops64, 1), "local bytes": bandwidth / max(self.local, 1)}


def _multiplications(arrays: dict[str, float], prefixes: tuple[str, ...]) -> float:
    return sum(size for name, size in arrays.items() if name.startswith(prefixes))


@cache
def _code(path: str) -> dict[str, tuple[int, int]]:
    """(operations, bytes) of every function of the straight-line code."""
    source = _native.Solver.open(path).generate_code()
    parts = re.split(r"static void (\w+)\(", source)
    found = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        text = re.sub(r"\[[^]]*\]", "[]", body.partition("{")[2])
        text = re.sub(r"const Vec\* \w+ = .*?;|Vec\* \w+ = .*?;|PCS_KEEP\(.*?\);|asm\(.*?\);", "", text)
        operations = len(re.findall(r"(?<=[\w\])]) [-+*/] |[-+*/]= ", text))
        found[name] = operations, 8 * text.count("[]")
    return found


def work(model: str) -> dict[str, Work]:
    """The work of every learned path of a shipped model, by the path's name ("" where the model has one)."""
    file = ModelFile.read(model)
    return {path: _work(str(file.path), file.of_path(path) if path else file) for path in file.paths}


def _work(path: str, file: ModelFile) -> Work:
    network = file.network()
    tables = network.tables()
    species = network.n_species
    sizes = {
        name.removeprefix("surrogate/"): float(array.size)
        for name, array in file.arrays.items()
        if name.startswith("surrogate/")
    }
    kind = file.text("surrogate/kind").strip()
    nets = _multiplications(sizes, ("encode_w", "decode_w", "head_w", "centres"))
    experts = file.arrays.get("surrogate/expert_w0")
    if experts is not None:
        nets += _multiplications(sizes, ("expert_w",)) / len(experts)
    if "ode_steps" in sizes:  # a cell's last step is shorter: half of them on average, and one more
        nets += 4 * (float(file.arrays["surrogate/ode_steps"]) / 2 + 1) * _multiplications(sizes, ("ode_w",))
    steps = int(file.arrays.get("surrogate/finish_steps", 0))
    shares = int(file.arrays["surrogate/prepare_shares"].size) if kind == "jump" else 0
    held = int((tables.composition != 0).sum())
    projections = 1 + (steps > 0)
    flops64 = projections * NEWTON_STEPS * (NEWTON * held + EXP * 10)
    local = 8.0 * projections * NEWTON_STEPS * 4 * held
    if kind != "latent":
        code, reactions = _code(path), len(tables.law)
        # Coefficients that differ by a factor alone share what depends on temperature.
        shapes = len(np.unique(np.column_stack([tables.law, tables.parameters[:, 1:]]), axis=0))
        flops64 += LOG + (EXP + SHAPE) * shapes + reactions + code["gain_and_frequency"][0]
        local += 8 * 2 * reactions + code["gain_and_frequency"][1]
        for name in ("gain_and_frequency", "factorise", "solve"):  # of an implicit Euler step
            flops64, local = flops64 + shares * code[name][0], local + shares * code[name][1]
        for name, calls in {"rhs": 3, "factorise": 1, "solve": 4}.items():  # of a Rodas3 step
            flops64, local = flops64 + steps * calls * code[name][0], local + steps * calls * code[name][1]
    moved = 8 * (2 * species + 2 + len(network.conditions)) + 1
    return Work(2 * nets, flops64, moved, local)


def main() -> None:
    """Print the table."""
    head = "model", "float32 kFLOP", "float64 kFLOP", "bytes moved", "local kB"
    print(f"{head[0]:32}" + "".join(f"{word:>15}" for word in head[1:]))
    for model in shipped_models():
        for path, w in work(model).items():
            name = f"{model} {path}".strip()
            row = f"{w.flops32 / 1e3:15.1f}{w.flops64 / 1e3:15.1f}{w.moved:15d}{w.local / 1e3:15.1f}"
            print(f"{name:32}{row}")


if __name__ == "__main__":
    main()
