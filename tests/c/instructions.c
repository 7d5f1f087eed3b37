/* A fixed piece of the exact integrator's work, for counting instructions. SPDX-License-Identifier: BSD-3-Clause
 * Usage: instructions MODEL. Two batches of 32 cells: from rest over long steps, then a short hydro-like step. */
#include "check.h"

enum { cells = 32, species = 29 };

int main(int argc, char** argv) {
    static double n[cells][species], dt[cells], temperature[cells], zeta[cells];
    static int8_t status[cells];
    pcs_solver* solver = NULL;
    if (argc != 2) return 2;
    CHECK(pcs_open(argv[1], &solver) == 0);
    CHECK(pcs_set_option(solver, "mode", "exact") == 0 && pcs_set_option(solver, "threads", "1") == 0);
    CHECK(pcs_n_species(solver) == species);
    double density = 1e2;
    for (int cell = 0; cell < cells; ++cell, density *= 1.3) {
        n[cell][pcs_species_index(solver, "H2")] = 0.5 * density;
        n[cell][pcs_species_index(solver, "O")] = 3e-4 * density;
        n[cell][pcs_species_index(solver, "C+")] = n[cell][pcs_species_index(solver, "e-")] = 1e-4 * density;
        temperature[cell] = 10 + 5 * cell;
        zeta[cell] = 1e-17 * (1 + cell);
        dt[cell] = 1e10 * (1 + 30 * cell);
    }
    for (int batch = 0; batch < 2; ++batch) {
        CHECK(pcs_step(solver, cells, dt, 1, *n, species, 1, temperature, 1, zeta, 1, 1, NULL, status) == 0);
        for (int cell = 0; cell < cells; ++cell) {
            CHECK(status[cell] == PCS_STATUS_EXACT_REQUESTED);
            dt[cell] = 3e7;
            temperature[cell] *= 1.05;
        }
    }
    pcs_close(&solver);
    return finish();
}
