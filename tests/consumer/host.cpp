// Molecular gas at 1e4 cm^-3 for 1e4 yr; prints n(CO). SPDX-License-Identifier: BSD-3-Clause
// Usage: host_cpp MODEL
#include <cstdio>
#include <map>
#include <pcs.hpp>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 2) return 2;
    pcs::Solver solver(argv[1]);
    solver.set("mode", "exact");
    std::vector<double> n(solver.species());
    const std::map<std::string, double> gas{{"H2", 5e3}, {"C+", 1.0}, {"e-", 1.0}, {"O", 3.0}};
    for (const auto& [name, value] : gas) n[solver.species_index(name)] = value;
    double T = 20;
    const double zeta = 1e-16;
    solver.step(pcs::contiguous(1, n.data(), solver.species(), &T, &zeta, 1), 3.15576e11);
    std::printf("%.15e\n", n[solver.species_index("CO")]);
    return 0;
} catch (const pcs::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
