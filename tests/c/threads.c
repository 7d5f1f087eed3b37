/* Many threads on one handle, and a call from inside a parallel region. SPDX-License-Identifier: BSD-3-Clause
 * Usage: threads MODEL CELLS */
#define _POSIX_C_SOURCE 200809L
#include <fenv.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>

#include "cells.h"
#include "check.h"

enum { workers = 6, rounds = 4 };

static pcs_solver* solver;
static cell_file c;
static double* expected;
static pthread_mutex_t check_lock = PTHREAD_MUTEX_INITIALIZER;

/* Step a copy of the cells first..last and say whether all bits are right. */
static int part_is_right(int64_t first, int64_t last) {
    const size_t bytes = (size_t)((last - first) * c.species) * sizeof(double);
    double *n = malloc(bytes), cells = 0, failed = -1;
    int right = n != NULL;
    if (!n) return 0;
    memcpy(n, c.n + first * c.species, bytes);
    right &= pcs_step(solver, last - first, c.dt + first, 1, n, c.species, 1, c.temperature + first, 1,
                      c.condition + first * c.conditions, c.conditions, 1, NULL, NULL) == 0;
    right &= memcmp(n, expected + first * c.species, bytes) == 0;
    /* The report is this thread's own. */
    right &= pcs_report(solver, "cells", &cells) == 0 && cells == (double)(last - first);
    right &= pcs_report(solver, "failed", &failed) == 0 && failed == 0;
    free(n);
    return right;
}

static void* work(void* argument) {
    const int me = *(const int*)argument;
    char name[32], message[64];
    int right = strcmp(pcs_last_error(solver), "") == 0; /* the main thread's error is not ours */
    snprintf(name, sizeof name, "nobody%d", me);
    snprintf(message, sizeof message, "unknown species '%s'", name);
    for (int round = 0; round < rounds; ++round) {
        right &= part_is_right(me, c.cells - 3 * me);
        right &= pcs_species_index(solver, name) == PCS_E_NAME;
        right &= strstr(pcs_last_error(solver), message) != NULL;
    }
    pthread_mutex_lock(&check_lock);
    CHECK(right);
    pthread_mutex_unlock(&check_lock);
    return NULL;
}

static void test_threads(void) {
    pthread_t thread[workers];
    int number[workers];
    CHECK(pcs_species_index(solver, "mine") == PCS_E_NAME);
    for (int i = 0; i < workers; ++i) {
        number[i] = i;
        CHECK(pthread_create(&thread[i], NULL, work, &number[i]) == 0);
    }
    for (int i = 0; i < workers; ++i) pthread_join(thread[i], NULL);
    CHECK(strstr(pcs_last_error(solver), "unknown species 'mine'") != NULL);
}

#ifdef _OPENMP
static void test_parallel_region(void) {
    int wrong = 0, grown = 0;
    omp_set_max_active_levels(4); /* nested teams would be possible: the library must not make one */
#pragma omp parallel num_threads(4) reduction(+ : wrong, grown)
    {
        const int64_t me = omp_get_thread_num();
        wrong += !part_is_right(me, c.cells - me);
        grown += omp_get_num_threads() != 4;
    }
    omp_set_max_active_levels(1);
    CHECK(wrong == 0);
    CHECK(grown == 0);
}
#endif

/* The library leaves the host's settings as they are. */
static void test_host_settings(void) {
    volatile double tiny = 1e-310;
#ifdef _OPENMP
    omp_set_num_threads(3);
#endif
    fesetround(FE_TONEAREST);
    CHECK(part_is_right(0, c.cells));
#ifdef _OPENMP
    CHECK(omp_get_max_threads() == 3);
#endif
    CHECK(fegetround() == FE_TONEAREST);
    CHECK(tiny / 2 > 0); /* denormal numbers still exist */
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    CHECK(pcs_open(argv[1], &solver) == 0);
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    c = read_cells(argv[2]);
    const size_t bytes = (size_t)(c.cells * c.species) * sizeof(double);
    expected = malloc(bytes);
    if (!solver || !expected) return finish();
    memcpy(expected, c.n, bytes);
    CHECK(pcs_set_option(solver, "threads", "1") == 0);
    CHECK(pcs_step(solver, c.cells, c.dt, 1, expected, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1,
                   NULL, NULL) == 0);
    for (int threads = 0; threads < 4; threads += 2) {
        char value[8];
        snprintf(value, sizeof value, "%d", threads);
        CHECK(pcs_set_option(solver, "threads", value) == 0);
        test_threads();
#ifdef _OPENMP
        test_parallel_region();
#endif
        test_host_settings();
    }
    pcs_close(&solver);
    free(expected);
    free_cells(&c);
    return finish();
}
