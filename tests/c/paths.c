/* A model of two learned paths. SPDX-License-Identifier: BSD-3-Clause
 * Usage: paths MODEL CELLS OUT COSTS. Writes the new abundances [cell][species] and one status byte a cell to OUT.
 */
#include "cells.h"
#include "check.h"

int main(int argc, char** argv) {
    pcs_solver* solver;
    double costs[6] = {-1, -1, -1, -1, -1, -1};
    if (argc != 5) return 2;
    if (pcs_open(argv[1], &solver) != 0) {
        fprintf(stderr, "%s\n", pcs_last_error(NULL));
        return 3;
    }
    cell_file c = read_cells(argv[2]);
    int8_t* status = malloc((size_t)c.cells);
    if (!status) return 2;
    CHECK(pcs_set_option(solver, "audit", "0") == 0);
    CHECK_FAILS(solver, pcs_set_option(solver, "path", "slow"), PCS_E_OPTION, "has fast, accurate");
    CHECK_FAILS(solver, pcs_set_option(solver, "costs", "1,2,3,4"), PCS_E_OPTION, "5 numbers");
    CHECK(pcs_set_option(solver, "costs", argv[4]) == 0);
    CHECK(pcs_costs(solver, 4, costs) == 5 && costs[3] >= 0 && costs[4] == -1);
    CHECK(pcs_costs(solver, 6, costs) == 5 && costs[4] >= 0 && costs[5] == -1);
    CHECK(pcs_costs(solver, 0, NULL) == 5);
    CHECK(pcs_step(solver, c.cells, c.dt, 1, c.n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, NULL,
                   status) == 0);
    FILE* out = fopen(argv[3], "wb");
    CHECK(out && fwrite(c.n, sizeof(double), (size_t)(c.cells * c.species), out) == (size_t)(c.cells * c.species) &&
          fwrite(status, 1, (size_t)c.cells, out) == (size_t)c.cells);
    if (out) fclose(out);
    free(status);
    free_cells(&c);
    pcs_close(&solver);
    return finish();
}
