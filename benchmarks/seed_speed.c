/* Times pcs_trajectory as a C host calls it. SPDX-License-Identifier: BSD-3-Clause
 *
 * Usage: seed_speed MODEL STATES N CONSERVE REPEATS CALLS. STATES: doubles, the times' number and the times [s], T [K],
 * zeta [1/s], then N states [cm^-3]. Prints the median and the least of REPEATS processor times of a call [s], each a
 * mean over CALLS, and how many (cell, time) pairs the surrogate served. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "pcs.h"
#include "timing.h"

static double* read_doubles(FILE* file, size_t count) {
    double* values = malloc(count * sizeof *values);
    if (!values || fread(values, sizeof *values, count, file) != count) exit(2);
    return values;
}

int main(int argc, char** argv) {
    pcs_solver* solver = NULL;
    if (argc != 7) return 2;
    const long n = atol(argv[3]), repeats = atol(argv[5]), calls = atol(argv[6]);
    const int conserve = atoi(argv[4]);
    if (pcs_open(argv[1], &solver) || pcs_set_option(solver, "mode", "surrogate") ||
        pcs_set_option(solver, "threads", "1")) {
        fprintf(stderr, "%s\n", pcs_last_error(NULL));
        return 1;
    }
    FILE* file = fopen(argv[2], "rb");
    if (!file) return 2;
    const size_t species = (size_t)pcs_n_species(solver);
    double* count = read_doubles(file, 1);
    const int64_t n_times = (int64_t)*count;
    double* times = read_doubles(file, (size_t)n_times);
    double* conditions = read_doubles(file, 2);
    double* states = read_doubles(file, species * (size_t)n);
    double* out = malloc(species * (size_t)(n * n_times) * sizeof *out);
    double* seconds = malloc((size_t)repeats * sizeof *seconds);
    if (!out || !seconds) return 2;
    for (long k = -1; k < repeats; ++k) { /* the first calls are not counted: they reserve memory */
        const double start = processor_seconds();
        for (long i = 0; i < calls; ++i)
            if (pcs_trajectory(solver, n, states, (int64_t)species, 1, conditions, 0, conditions + 1, 0, 1, n_times,
                               times, out, conserve, NULL, NULL)) {
                fprintf(stderr, "%s\n", pcs_last_error(solver));
                return 1;
            }
        if (k >= 0) seconds[k] = (processor_seconds() - start) / (double)calls;
    }
    double served = 0;
    pcs_report(solver, "surrogate", &served);
    const double middle = median(seconds, repeats);
    printf("%.9g %.9g %.0f\n", middle, seconds[0], served);
    free(count), free(times), free(conditions), free(states), free(out), free(seconds);
    fclose(file);
    pcs_close(&solver);
    return 0;
}
