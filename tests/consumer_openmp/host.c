/* A host with OpenMP threads of its own: does the library's OpenMP know of them? SPDX-License-Identifier: BSD-3-Clause
 *   gcc -fopenmp host.c $(python -m pychemsurrogate --cflags --libs)
 * Prints what it found; the process's threads are counted in /proc. With -DPLUGIN it is a library that another program
 * loads and calls. */
#include <dirent.h>
#include <omp.h>
#include <pcs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 4000, SPECIES = 29 };

static int threads_of_process(void) {
    int count = 0;
    DIR* folder = opendir("/proc/self/task");
    for (const struct dirent* entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static double* fill(const pcs_solver* solver) {
    double* n = calloc((size_t)CELLS * SPECIES, sizeof *n);
    for (int cell = 0; n && cell < CELLS; ++cell) {
        const double n_H = 1e3 + 10.0 * cell;
        n[cell * SPECIES + pcs_species_index(solver, "H2")] = 0.5 * n_H;
        n[cell * SPECIES + pcs_species_index(solver, "O")] = 2e-4 * n_H;
        n[cell * SPECIES + pcs_species_index(solver, "C+")] = 1e-4 * n_H;
        n[cell * SPECIES + pcs_species_index(solver, "e-")] = 1e-4 * n_H;
    }
    return n;
}

static int step(pcs_solver* solver, double* n) {
    double dt = 3.15576e11, T = 20, zeta = 1e-16;
    return pcs_step(solver, CELLS, &dt, 0, n, SPECIES, 1, &T, 0, &zeta, 0, 1, NULL, NULL);
}

static int run(void) {
    pcs_solver* solver;
    if (pcs_open("osu_09_2008", &solver) || pcs_set_option(solver, "mode", "exact")) return 1;
    double *alone = fill(solver), *shared[2] = {fill(solver), fill(solver)}, *after = fill(solver);
    const size_t bytes = (size_t)CELLS * SPECIES * sizeof(double);
    int failed = !alone || !shared[0] || !shared[1] || !after;

    omp_set_num_threads(1); /* the host's wish for one thread, heard by a library that shares its OpenMP */
    failed |= step(solver, alone);
    printf("threads after a step with omp_set_num_threads(1): %d\n", threads_of_process());

    omp_set_num_threads(2);
#pragma omp parallel reduction(| : failed)
    failed |= step(solver, shared[omp_get_thread_num()]);
    printf("threads after steps inside a region of two: %d\n", threads_of_process());

    omp_set_num_threads(3);
    failed |= step(solver, after);
    printf("threads after a step with omp_set_num_threads(3): %d\n", threads_of_process());

    printf("same bits: %s\n",
           !memcmp(alone, shared[0], bytes) && !memcmp(alone, shared[1], bytes) && !memcmp(alone, after, bytes) ? "yes"
                                                                                                                : "no");
    free(alone), free(shared[0]), free(shared[1]), free(after);
    pcs_close(&solver);
    return failed;
}

#ifdef PLUGIN
int plugin_run(void) { return run(); }
#else
int main(void) { return run(); }
#endif
