// Molecular gas at 1e4 cm^-3 for 1e4 yr; prints n(CO). SPDX-License-Identifier: BSD-3-Clause
// Usage: host_cpp MODEL
#include <pcs.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 2 || pcs_abi_version() != PCS_ABI_VERSION) return 2;
    pcs_solver* solver = nullptr;
    if (pcs_open(argv[1], &solver) || pcs_set_option(solver, "mode", "exact")) {
        std::fprintf(stderr, "%s\n", pcs_last_error(nullptr));
        return 1;
    }
    const std::map<std::string, double> gas{{"H2", 5e3}, {"C+", 1.0}, {"e-", 1.0}, {"O", 3.0}};
    std::vector<double> n(pcs_n_species(solver));
    for (const auto& item : gas) n[pcs_species_index(solver, item.first.c_str())] = item.second;
    double dt = 3.15576e11, T = 20, zeta = 1e-16;
    if (pcs_step(solver, 1, &dt, 0, n.data(), pcs_n_species(solver), 1, &T, 0, &zeta, 0, 1, nullptr, nullptr)) return 1;
    std::printf("%.15e\n", n[pcs_species_index(solver, "CO")]);
    pcs_close(&solver);
    return 0;
}
