/* A host with OpenMP: one handle for all threads or one each, regions, tasks, nested regions, threads of its own.
 * SPDX-License-Identifier: BSD-3-Clause
 * Usage: openmp MODEL CELLS */
#define _GNU_SOURCE
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "cells.h"
#include "check.h"

enum { team = 3, blocks = 16 };

static const char* model;
static pcs_solver* shared;
static cell_file c;
static double* expected; /* by one thread, outside of any region */

/* ---------------------------------------------------------------- what a host can see of its threads */

typedef struct {
    int max_threads, dynamic, levels, limit, places, place, schedule, chunk;
    omp_proc_bind_t bind;
    cpu_set_t cores;
} settings;

static settings read_settings(void) {
    settings s;
    omp_sched_t schedule;
    memset(&s, 0, sizeof s);
    s.max_threads = omp_get_max_threads();
    s.dynamic = omp_get_dynamic();
    s.levels = omp_get_max_active_levels();
    s.limit = omp_get_thread_limit();
    s.places = omp_get_num_places();
    s.place = omp_get_place_num();
    s.bind = omp_get_proc_bind();
    omp_get_schedule(&schedule, &s.chunk);
    s.schedule = (int)schedule;
    sched_getaffinity(0, sizeof s.cores, &s.cores);
    return s;
}

static int same(settings a, settings b) { return memcmp(&a, &b, sizeof a) == 0; }

/* Threads of this process. */
static int threads_alive(void) {
    char line[256];
    int count = -1;
    FILE* file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Threads: %d", &count);
    if (file) fclose(file);
    return count;
}

/* Whether this process gets to have no more threads than that. Those of a nested region, or of a thread that ended, are
 * gone only some time after it: wait for them, ten seconds at most. */
static int falls_to(int threads) {
    for (int wait = 0; wait < 1000 && threads_alive() > threads; ++wait) usleep(10000);
    return threads_alive() <= threads;
}

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---------------------------------------------------------------- steps */

/* Step a copy of the cells first..last by a handle and say whether all bits are right. */
static int right_by(pcs_solver* solver, int64_t first, int64_t last) {
    const size_t bytes = (size_t)((last - first) * c.species) * sizeof(double);
    double* n = malloc(bytes);
    double cells = 0;
    int right = n != NULL;
    if (!n) return 0;
    memcpy(n, c.n + first * c.species, bytes);
    right &= pcs_step(solver, last - first, c.dt + first, 1, n, c.species, 1, c.temperature + first, 1,
                      c.condition + first * c.conditions, c.conditions, 1, NULL, NULL) == 0;
    right &= memcmp(n, expected + first * c.species, bytes) == 0;
    right &= pcs_report(solver, "cells", &cells) == 0 && cells == (double)(last - first); /* this thread's own */
    free(n);
    return right;
}

static int64_t begin(int block) { return c.cells * block / blocks; }

/* ---------------------------------------------------------------- tests */

/* One handle: the loop over blocks that a host has. Each call runs on its caller, so no thread is added. */
static void test_shared_handle(void) {
    int wrong = 0, within = 0;
#pragma omp parallel num_threads(team) reduction(+ : wrong)
    {
#pragma omp for schedule(dynamic)
        for (int b = 0; b < blocks; ++b) wrong += !right_by(shared, begin(b), begin(b + 1));
        wrong += !right_by(shared, 0, c.cells);
#pragma omp barrier
#pragma omp master
        within = falls_to(team);
    }
    CHECK(wrong == 0);
    CHECK(within);
}

/* A handle each, opened, set and closed by its thread. */
static void test_handle_per_thread(void) {
    int wrong = 0, other = 0;
#pragma omp parallel num_threads(team) reduction(+ : wrong, other)
    {
        pcs_solver* mine = NULL;
        wrong += pcs_open(model, &mine) != 0;
        wrong += pcs_set_option(mine, "mode", "exact") != 0;
        wrong += pcs_set_option(mine, "rtol", "1e-3") != 0; /* of this handle alone */
#pragma omp barrier
#pragma omp for schedule(dynamic)
        for (int b = 0; b < blocks; ++b) other += !right_by(mine, begin(b), begin(b + 1));
        wrong += pcs_set_option(mine, "rtol", "1e-2") != 0;
#pragma omp for schedule(dynamic)
        for (int b = 0; b < blocks; ++b) wrong += !right_by(mine, begin(b), begin(b + 1));
        pcs_close(&mine);
        wrong += mine != NULL;
    }
    CHECK(wrong == 0);
    CHECK(other > blocks / 2);
    CHECK(right_by(shared, 0, c.cells));
}

static void test_tasks(void) {
    int wrong = 0;
#pragma omp parallel num_threads(team)
#pragma omp single
    for (int b = 0; b < blocks; ++b) {
#pragma omp task firstprivate(b) shared(wrong)
        {
            const int bad = !right_by(shared, begin(b), begin(b + 1));
#pragma omp atomic
            wrong += bad;
        }
    }
    CHECK(wrong == 0);
}

/* Two levels of the host's own; a third, of the library, would be possible and is not made. */
static void test_nested_regions(void) {
    int wrong = 0, within = 0;
    const int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(3);
#pragma omp parallel num_threads(2) reduction(+ : wrong)
    {
#pragma omp parallel num_threads(2) reduction(+ : wrong)
        wrong += !right_by(shared, omp_get_thread_num(), c.cells);
#pragma omp barrier
#pragma omp master
        within = falls_to(4); /* the inner teams may have ended theirs */
    }
    omp_set_max_active_levels(levels);
    CHECK(wrong == 0);
    CHECK(within);
}

/* Outside of a region the library's team is made of the threads that the host has: none are added, none are lost, and
 * none burn time when the call is over. */
static void test_pool_of_the_host(void) {
    const char* counts[] = {"0", "1"};
    int seen = 0, lost = 0;
    static int own;
#pragma omp threadprivate(own)
    if (omp_get_dynamic()) return; /* then OpenMP chooses the size of every team, by the machine's load */
    omp_set_num_threads(team);
#pragma omp parallel
    own = 100 + omp_get_thread_num();
    CHECK(falls_to(team));
    CHECK(threads_alive() == team);
    for (int k = 0; k < 2; ++k) {
        CHECK(pcs_set_option(shared, "threads", counts[k]) == 0);
        for (int64_t cells = 1; cells <= c.cells && cells < 160; cells += 6) {
            CHECK(right_by(shared, 0, cells));
            CHECK(threads_alive() == team);
        }
    }
    CHECK(pcs_set_option(shared, "threads", "0") == 0);
    /* A host's threadprivate data live in its pool. */
#pragma omp parallel reduction(+ : lost, seen)
    {
        lost += own != 100 + omp_get_thread_num();
        ++seen;
    }
    CHECK(lost == 0);
    CHECK(seen == team);
    usleep(100000); /* idle threads spin for some milliseconds, then sleep */
    const double before = processor_seconds();
    usleep(300000);
    CHECK(processor_seconds() - before < 0.1);
}

/* Threads that OpenMP did not start: each may open a team of its own, which ends with it. */
static void* work(void* result) {
    const settings before = read_settings();
    int* right = result;
    *right = right_by(shared, 0, c.cells);
    *right &= same(before, read_settings());
    return NULL;
}

static void test_threads_of_the_host(void) {
    pthread_t thread[team];
    int right[team];
    const int alive = threads_alive();
    for (int i = 0; i < team; ++i) CHECK(pthread_create(&thread[i], NULL, work, &right[i]) == 0);
    for (int i = 0; i < team; ++i) pthread_join(thread[i], NULL);
    for (int i = 0; i < team; ++i) CHECK(right[i]);
    CHECK(falls_to(alive));
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    model = argv[1];
    c = read_cells(argv[2]);
    CHECK(pcs_open(model, &shared) == 0);
    CHECK(pcs_set_option(shared, "mode", "exact") == 0);
    const size_t bytes = (size_t)(c.cells * c.species) * sizeof(double);
    expected = malloc(bytes);
    if (!shared || !expected) return finish();
    memcpy(expected, c.n, bytes);
    CHECK(pcs_set_option(shared, "threads", "1") == 0);
    CHECK(pcs_step(shared, c.cells, c.dt, 1, expected, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1,
                   NULL, NULL) == 0);
    CHECK(threads_alive() == 1); /* neither opening nor a step of one thread starts any */
    CHECK(pcs_set_option(shared, "threads", "0") == 0);

    void (*const tests[])(void) = {test_shared_handle,  test_handle_per_thread, test_tasks,
                                   test_nested_regions, test_pool_of_the_host,  test_threads_of_the_host};
    const int dynamic[] = {0, 1};
    for (int k = 0; k < 2; ++k) {
        omp_set_dynamic(dynamic[k]);
        omp_set_schedule(omp_sched_guided, 5);
        omp_set_num_threads(team);
        const settings before = read_settings();
        for (size_t i = 0; i < sizeof tests / sizeof *tests; ++i) tests[i]();
        CHECK(same(before, read_settings()));
    }
    pcs_close(&shared);
    free(expected);
    free_cells(&c);
    return finish();
}
