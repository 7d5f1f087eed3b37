/* A process that forks after its Python has started. SPDX-License-Identifier: BSD-3-Clause
 * Usage: embed_fork MODEL */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int step(pcs_solver* solver) {
    double n[29], dt = 1e9, T = 30, zeta = 1e-16;
    for (int i = 0; i < 29; ++i) n[i] = 1e-6;
    n[pcs_species_index(solver, "H2")] = 1e4;
    return pcs_step(solver, 1, &dt, 0, n, 0, 1, &T, 0, &zeta, 0, 1, NULL, NULL);
}

int main(int argc, char** argv) {
    pcs_solver *solver = NULL, *other = NULL;
    int result = -1;
    if (argc != 2) return 2;
    CHECK(pcs_open(argv[1], &solver) == 0);
    CHECK(step(solver) == 0);
    const pid_t child = fork();
    if (child == 0) {
        CHECK(step(solver) == PCS_E_PYTHON && strstr(pcs_last_error(solver), "forked") != NULL);
        CHECK(pcs_open(argv[1], &other) == PCS_E_PYTHON && strstr(pcs_last_error(NULL), "fork first") != NULL);
        pcs_close(&solver);
        CHECK(solver == NULL);
        if (failures) fflush(stdout);
        _exit(failures);
    }
    CHECK(child > 0 && waitpid(child, &result, 0) == child && result == 0);
    CHECK(step(solver) == 0);
    pcs_close(&solver);
    return finish();
}
