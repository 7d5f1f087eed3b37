/* Times pcs_step as a C host calls it, linked to either library. SPDX-License-Identifier: BSD-3-Clause
 *
 * Usage: embed_calls MODEL STATES N REPEATS CALLS [KEY VALUE]...
 * STATES: of N cells dt [s], then T [K], zeta [1/s] and n[cell][species] [cm^-3], as doubles. Prints the median and the
 * least of REPEATS processor times of a call [s], each a mean over CALLS, and how many cells the surrogate and the
 * integrator served in the last. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pcs.h"
#include "timing.h"

static void must(int code, const pcs_solver* solver) {
    if (code == 0) return;
    fprintf(stderr, "%s\n", pcs_last_error(solver));
    exit(2);
}

int main(int argc, char** argv) {
    pcs_solver* solver;
    if (argc < 6) return 2;
    const int64_t cells = atoll(argv[3]);
    const int repeats = atoi(argv[4]), calls = atoi(argv[5]);
    must(pcs_open(argv[1], &solver), NULL);
    for (int i = 6; i + 1 < argc; i += 2) must(pcs_set_option(solver, argv[i], argv[i + 1]), solver);
    const int64_t species = pcs_n_species(solver), size = cells * (3 + species);
    double *given = malloc((size_t)size * sizeof *given), *state = malloc((size_t)size * sizeof *state);
    double* seconds = malloc((size_t)repeats * sizeof *seconds);
    FILE* file = fopen(argv[2], "rb");
    if (!given || !state || !seconds || !file || fread(given, sizeof *given, (size_t)size, file) != (size_t)size)
        return 2;
    fclose(file);
    for (int repeat = -1; repeat < repeats; ++repeat) { /* the first one warms up */
        double start = 0, spent = 0;
        for (int call = 0; call < calls; ++call) {
            memcpy(state, given, (size_t)size * sizeof *state);
            start = processor_seconds();
            must(pcs_step(solver, cells, state, 1, state + 3 * cells, species, 1, state + cells, 1, state + 2 * cells,
                          1, 1, NULL, NULL),
                 solver);
            spent += processor_seconds() - start;
        }
        if (repeat >= 0) seconds[repeat] = spent / calls;
    }
    double surrogate = 0, exact = 0;
    must(pcs_report(solver, "surrogate", &surrogate), solver);
    must(pcs_report(solver, "exact", &exact), solver);
    const double middle = median(seconds, repeats);
    printf("%.9e %.9e %.0f %.0f\n", middle, seconds[0], surrogate, exact);
    pcs_close(&solver);
    free(given), free(state), free(seconds);
    return 0;
}
