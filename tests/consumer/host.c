/* Molecular gas at 1e4 cm^-3 for 1e4 yr; prints n(CO). SPDX-License-Identifier: BSD-3-Clause
 * Usage: host_c MODEL */
#include <pcs.h>
#include <stdio.h>

int main(int argc, char** argv) {
    static const struct {
        const char* name;
        double n;
    } gas[] = {{"H2", 5e3}, {"C+", 1.0}, {"e-", 1.0}, {"O", 3.0}};
    double n[64] = {0}, dt = 3.15576e11, T = 20, zeta = 1e-16;
    pcs_solver* solver;
    if (argc != 2 || pcs_abi_version() != PCS_ABI_VERSION) return 2;
    if (pcs_open(argv[1], &solver) || pcs_set_option(solver, "mode", "exact")) {
        fprintf(stderr, "%s\n", pcs_last_error(NULL));
        return 1;
    }
    for (int i = 0; i < 4; ++i) n[pcs_species_index(solver, gas[i].name)] = gas[i].n;
    if (pcs_step(solver, 1, &dt, 0, n, 64, 1, &T, 0, &zeta, 0, 1, NULL, NULL)) return 1;
    printf("%.15e\n", n[pcs_species_index(solver, "CO")]);
    pcs_close(&solver);
    return 0;
}
