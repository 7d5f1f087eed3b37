/* krome() and krome_batch() against pcs_step, in one process and in turns. SPDX-License-Identifier: BSD-3-Clause
 *
 * Usage: krome_calls MODEL CELLS COUNT REPEATS RTOL. CELLS: COUNT times T [K], zeta [1/s], dt [s], n [cm^-3] in KROME's
 * order. Prints the median processor time of a cell [us]: pcs_step cell by cell, krome cell by cell, pcs_step of all
 * cells, krome_batch of all cells; then the median ratios of the turns, native / krome. One thread, mode exact. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "krome.h"
#include "krome_user.h"
#include "pcs.h"
#include "timing.h"

/* Where KROME's i-th species is in the model. */
static int place(const pcs_solver* solver, const char* krome_name) {
    char name[32];
    if (strcmp(krome_name, "E") == 0) return pcs_species_index(solver, "e-");
    strcpy(name, krome_name); /* of H, C and O, capitals are the spelling of both */
    return pcs_species_index(solver, name);
}

int main(int argc, char** argv) {
    pcs_solver* solver = NULL;
    if (argc != 6) return 2;
    const long count = atol(argv[3]), repeats = atol(argv[4]);
    const size_t width = (size_t)krome_nmols, numbers = (size_t)count * width;
    if (pcs_open(argv[1], &solver) || pcs_set_option(solver, "mode", "exact") ||
        pcs_set_option(solver, "threads", "1") || pcs_set_option(solver, "rtol", argv[5]) || krome_init_ierr() ||
        krome_set_option("threads", "1") || krome_set_option("rtol", argv[5])) {
        fprintf(stderr, "%s %s\n", pcs_last_error(solver), krome_get_message());
        return 1;
    }
    double *T = malloc((size_t)count * sizeof *T), *zeta = malloc((size_t)count * sizeof *zeta);
    double *dt = malloc((size_t)count * sizeof *dt), *given = malloc(numbers * sizeof *given);
    double *ours = malloc(numbers * sizeof *ours), *n = malloc(numbers * sizeof *n);
    double *seconds[4], *ratio[2];
    for (int k = 0; k < 4; ++k) seconds[k] = malloc((size_t)repeats * sizeof(double));
    for (int k = 0; k < 2; ++k) ratio[k] = malloc((size_t)repeats * sizeof(double));
    FILE* file = fopen(argv[2], "rb");
    if (!file || !T || !zeta || !dt || !given || !ours || !n) return 2;
    for (long c = 0; c < count; ++c) {
        if (fread(T + c, 8, 1, file) + fread(zeta + c, 8, 1, file) + fread(dt + c, 8, 1, file) != 3 ||
            fread(given + (size_t)c * width, 8, width, file) != width)
            return 2;
        for (size_t i = 0; i < width; ++i)
            ours[(size_t)c * width + (size_t)place(solver, krome_names[i])] = given[(size_t)c * width + i];
    }
    const int64_t species = krome_nmols;
    for (long r = -1; r < repeats; ++r) { /* the first turn is not counted */
        double s[4], start;
        int failed = 0;
        int8_t status;
        memcpy(n, ours, numbers * sizeof *n);
        start = processor_seconds();
        for (long c = 0; c < count; ++c) {
            failed |= pcs_step(solver, 1, dt + c, 0, n + (size_t)c * width, species, 1, T + c, 1, zeta + c, 1, 1, NULL,
                               &status);
            failed |= status < 0;
        }
        s[0] = processor_seconds() - start;
        memcpy(n, given, numbers * sizeof *n);
        start = processor_seconds();
        for (long c = 0; c < count; ++c) {
            int ierr;
            krome_set_user_crate(zeta[c]);
            krome(n + (size_t)c * width, T + c, dt + c, &ierr);
            failed |= ierr;
        }
        s[1] = processor_seconds() - start;
        memcpy(n, ours, numbers * sizeof *n);
        start = processor_seconds();
        failed |= pcs_step(solver, count, dt, 0, n, species, 1, T, 1, zeta, 1, 1, NULL, NULL);
        s[2] = processor_seconds() - start;
        memcpy(n, given, numbers * sizeof *n);
        start = processor_seconds();
        failed |= krome_batch((int)count, n, T, dt[0], zeta, NULL);
        s[3] = processor_seconds() - start;
        if (failed) {
            fprintf(stderr, "a cell failed: %s\n", krome_get_message());
            return 1;
        }
        if (r < 0) continue;
        for (int k = 0; k < 4; ++k) seconds[k][r] = s[k];
        ratio[0][r] = s[0] / s[1];
        ratio[1][r] = s[2] / s[3];
    }
    for (int k = 0; k < 4; ++k) printf("%.4f ", 1e6 * median(seconds[k], repeats) / (double)count);
    printf("%.4f %.4f\n", median(ratio[0], repeats), median(ratio[1], repeats));
    return 0;
}
