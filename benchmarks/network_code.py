"""The network as straight-line C++ for cvode_driver.cpp: right-hand side, and Jacobian in compressed columns."""

from __future__ import annotations

from collections import defaultdict

from pychemsurrogate.network import Network


def network_code(network: Network) -> str:
    """Namespace `network`: sizes, pattern, rates(T, zeta, n_H, k), rhs(k, x, f), jacobian(k, x, J) and hydrogen(n).

    k is in 1/s and x = n / n_H. Serves the laws arrhenius and cosmic_ray, the latter with the condition zeta.
    """
    tables, S = network.tables(), network.n_species
    rates, terms = [], []
    gain: dict[int, list[str]] = defaultdict(list)
    entries: dict[tuple[int, int], list[str]] = defaultdict(list)  # (column, row)
    for r, reaction in enumerate(network.reactions):
        reactants = [network.species_index(s.name) for s in reaction.reactants]
        alpha, beta, gamma = (repr(float(p)) for p in tables.parameters[r, :3])
        if reaction.law.name == "arrhenius":
            k = f"{alpha} * std::exp({beta} * log_T300 - {gamma} * inverse_T)"
        elif reaction.law.name == "cosmic_ray":
            k = f"{alpha} * zeta"
        else:
            raise ValueError(f"no code for the rate law {reaction.law.name}: add it to network_code.py")
        rates.append(f"    k[{r}] = {' * '.join([k, *['n_H'] * (len(reactants) - 1)])};")
        terms.append(f"    const double r{r} = {' * '.join([f'k[{r}]', *(f'x[{i}]' for i in reactants)])};")
        net: dict[int, int] = defaultdict(int)
        for i in reactants:
            net[i] -= 1
        for s in reaction.products:
            net[network.species_index(s.name)] += 1
        for i, count in net.items():
            if count:
                gain[i].append(f"{count:+d} * r{r}")
                for slot, j in enumerate(reactants):
                    others = [f"x[{o}]" for s, o in enumerate(reactants) if s != slot]
                    entries[j, i].append(" * ".join([f"{count:+d}", f"k[{r}]", *others]))
    pattern = sorted({*entries, *((i, i) for i in range(S))})
    begin = [sum(column < i for column, _ in pattern) for i in range(S + 1)]
    hydrogen = [f"{w!r} * n[{i}]" for i, w in enumerate(tables.scale_weights.tolist()) if w]
    return "\n".join(
        [
            "#include <cmath>",
            "#include <cstdint>",
            "namespace network {",
            f"constexpr int n_species = {S}, n_reactions = {network.n_reactions}, n_entries = {len(pattern)};",
            f"constexpr std::int64_t column_begin[] = {{{', '.join(map(str, begin))}}};",
            f"constexpr std::int64_t row[] = {{{', '.join(str(i) for _, i in pattern)}}};",
            "inline void rates(double T, double zeta, double n_H, double* k) {",
            "    const double log_T300 = std::log(T / 300.0), inverse_T = 1.0 / T;",
            *rates,
            "}",
            "inline void rhs(const double* __restrict k, const double* __restrict x, double* __restrict f) {",
            *terms,
            *(f"    f[{i}] = {' '.join(gain[i]) or '0'};" for i in range(S)),
            "}",
            "inline void jacobian(const double* __restrict k, const double* __restrict x, double* __restrict J) {",
            *(f"    J[{e}] = {' '.join(entries[key]) or '0'};" for e, key in enumerate(pattern)),
            "}",
            f"inline double hydrogen(const double* n) {{ return {' + '.join(hydrogen)}; }}",
            "}  // namespace network",
            "",
        ]
    )
