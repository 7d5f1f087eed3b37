/* Handles that are null, closed, copied, garbage or in use elsewhere; errors and reports by handle and thread.
 * SPDX-License-Identifier: BSD-3-Clause
 * Usage: misuse MODEL CELLS */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "cells.h"
#include "check.h"

static cell_file c;

/* Every function on a handle that is none. */
static void test_refused(pcs_solver* none, const char* message) {
    double x[32] = {0}, value = -7;
    int32_t count = -7;
    int8_t status = -7;
    const double untouched[32] = {0};
    CHECK_FAILS(none, pcs_set_option(none, "mode", "exact"), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_n_species(none), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_species_index(none, "CO"), PCS_E_ARGUMENT, message);
    CHECK(pcs_species_name(none, 0) == NULL && strstr(pcs_last_error(none), message));
    CHECK_FAILS(none, pcs_species_mass_g(none, 0, &value), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_n_reactions(none), PCS_E_ARGUMENT, message);
    CHECK(pcs_reaction_equation(none, 0) == NULL && strstr(pcs_last_error(none), message));
    CHECK_FAILS(none, pcs_n_conditions(none), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_condition_index(none, "zeta"), PCS_E_ARGUMENT, message);
    CHECK(pcs_condition_name(none, 0) == NULL && strstr(pcs_last_error(none), message));
    CHECK_FAILS(none, pcs_n_conserved(none), PCS_E_ARGUMENT, message);
    CHECK(pcs_conserved_name(none, 0) == NULL && strstr(pcs_last_error(none), message));
    CHECK_FAILS(none, pcs_composition(none, 0, 0, &value), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_step(none, 1, x, 0, x, 29, 1, x, 0, x, 0, 1, NULL, &status), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_step_budget(none, 1, x, 0, x, 29, 1, x, 0, x, 0, 1, x, 1, NULL, &status), PCS_E_ARGUMENT,
                message);
    CHECK_FAILS(none, pcs_equilibrium(none, 1, 1e-4, 1e17, x, 29, 1, x, 0, x, 0, 1, NULL, &status), PCS_E_ARGUMENT,
                message);
    CHECK_FAILS(none, pcs_trajectory(none, 1, x, 29, 1, x, 0, x, 0, 1, 1, x, x, 1, NULL, &status), PCS_E_ARGUMENT,
                message);
    CHECK_FAILS(none, pcs_rate_coefficients(none, 1, x, 29, 1, x, 0, x, 0, 1, x, 1, 1, &status), PCS_E_ARGUMENT,
                message);
    CHECK_FAILS(none, pcs_rhs(none, 1, x, 29, 1, x, 0, x, 0, 1, x, 29, 1, &status), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_jacobian(none, 1, x, 29, 1, x, 0, x, 0, 1, x, 1, 1, 1, &status), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_cell_statistics(none, "steps", 1, &count), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_costs(none, 1, &value), PCS_E_ARGUMENT, message);
    CHECK_FAILS(none, pcs_report(none, "cells", &value), PCS_E_ARGUMENT, message);
    CHECK(value == -7 && count == -7 && status == -7 && memcmp(x, untouched, sizeof x) == 0);
}

static void test_handles(const char* model) {
    pcs_solver *solver = NULL, *copy, *next = NULL, *garbage[4];
    test_refused(NULL, "the solver handle is null");
    CHECK(pcs_open(model, &solver) == 0);
    copy = solver;
    CHECK(pcs_close(&solver) == 0 && solver == NULL && copy != NULL);
    CHECK(pcs_close(&solver) == 0);
    test_refused(copy, "is not open");
    CHECK_FAILS(copy, pcs_close(&copy), PCS_E_ARGUMENT, "is not open");
    /* Also where the next model took its place. */
    for (int i = 0; i < 3; ++i) {
        CHECK(pcs_open(model, &next) == 0 && next != copy);
        test_refused(copy, "is not open");
        CHECK(pcs_n_species(next) == c.species && strcmp(pcs_last_error(next), "") == 0);
        CHECK(pcs_close(&next) == 0);
    }
    garbage[0] = (pcs_solver*)&solver, garbage[1] = (pcs_solver*)(uintptr_t)1;
    garbage[2] = (pcs_solver*)UINTPTR_MAX, garbage[3] = (pcs_solver*)((uintptr_t)copy + 1);
    for (int i = 0; i < 4; ++i) {
        test_refused(garbage[i], "is not open");
        CHECK_FAILS(garbage[i], pcs_close(&garbage[i]), PCS_E_ARGUMENT, "is not open");
    }
}

/* Two handles of one thread: neither errors nor reports mix. */
static void test_two_handles(const char* model) {
    pcs_solver *a = NULL, *b = NULL;
    double dt = 1e10, T = 20, zeta = 1e-16, n[2][29] = {{0}}, value;
    int32_t steps[2];
    CHECK(pcs_open(model, &a) == 0 && pcs_open(model, &b) == 0);
    CHECK(pcs_set_option(a, "mode", "exact") == 0 && pcs_set_option(a, "statistics", "on") == 0);
    for (int cell = 0; cell < 2; ++cell) n[cell][pcs_species_index(a, "H2")] = 100;
    CHECK(pcs_report(a, "cells", &value) == 0 && value == 0);
    CHECK(pcs_step(a, 2, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, NULL) == 0);
    CHECK(pcs_step(b, 1, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, NULL) == 0);
    CHECK(pcs_report(a, "cells", &value) == 0 && value == 2);
    CHECK(pcs_report(b, "cells", &value) == 0 && value == 1);
    CHECK(pcs_cell_statistics(a, "steps", 2, steps) == 0 && steps[0] > 0);
    CHECK_FAILS(b, pcs_cell_statistics(b, "steps", 1, steps), PCS_E_ARGUMENT, "statistics was off");
    CHECK_FAILS(a, pcs_species_index(a, "Xa"), PCS_E_NAME, "'Xa'");
    CHECK_FAILS(b, pcs_species_index(b, "Xb"), PCS_E_NAME, "'Xb'");
    CHECK_FAILS(NULL, pcs_open("atlantis", &(pcs_solver*){NULL}), PCS_E_FILE, "'atlantis'");
    CHECK(strstr(pcs_last_error(a), "'Xa'") && strstr(pcs_last_error(b), "'Xb'"));
    CHECK(pcs_close(&a) == 0);
    CHECK(strstr(pcs_last_error(b), "'Xb'") && strstr(pcs_last_error(NULL), "'atlantis'"));
    CHECK(pcs_close(&b) == 0);
}

/* More handles than a thread remembers closed ones. */
static void test_many_handles(const char* model) {
    enum { many = 300 };
    pcs_solver *open[many], *copy;
    char name[16];
    for (int i = 0; i < many; ++i) {
        CHECK(pcs_open(model, &open[i]) == 0);
        copy = open[i];
        snprintf(name, sizeof name, "X%d", i);
        CHECK_FAILS(copy, pcs_species_index(copy, name), PCS_E_NAME, name);
        if (i % 2) CHECK(pcs_close(&open[i]) == 0);
        if (i % 2) CHECK_FAILS(copy, pcs_species_index(copy, name), PCS_E_ARGUMENT, "is not open");
    }
    for (int i = 0; i < many; i += 2) {
        snprintf(name, sizeof name, "'X%d'", i);
        CHECK(strstr(pcs_last_error(open[i]), name));
        CHECK(pcs_close(&open[i]) == 0);
    }
}

/* A thread that steps for a while, and what others may do meanwhile. */
static pcs_solver* shared;
static atomic_int working, stop;

enum { most_tries = 100000 };

static void rest(void) {
    const struct timespec pause = {0, 300000};
    nanosleep(&pause, NULL);
}

static void* work(void* argument) {
    double* n = argument;
    int right = 1;
    while (!atomic_load(&stop)) {
        memcpy(n, c.n, (size_t)(c.cells * c.species) * sizeof(double));
        const int code = pcs_step(shared, c.cells, c.dt, 1, n, c.species, 1, c.temperature, 1, c.condition,
                                  c.conditions, 1, NULL, NULL);
        right &= code == 0 || code == PCS_E_BUSY; /* another thread sets an option just then */
        atomic_store(&working, 1);
    }
    return right ? argument : NULL;
}

static void test_busy(const char* model) {
    pthread_t thread;
    void* right = NULL;
    double *n = malloc((size_t)(c.cells * c.species) * sizeof(double)), value;
    int busy = 0, others = 0;
    if (!n) exit(2);
    CHECK(pcs_open(model, &shared) == 0);
    CHECK(pcs_set_option(shared, "mode", "exact") == 0);
    CHECK(pthread_create(&thread, NULL, work, n) == 0);
    while (!atomic_load(&working)) rest();
    for (int i = 0; i < most_tries && busy < 3; ++i) {
        const int code = pcs_set_option(shared, "rtol", "never"); /* between two steps the handle is free */
        others += code != PCS_E_BUSY && code != PCS_E_OPTION;
        if (code == PCS_E_BUSY) {
            ++busy;
            CHECK(strstr(pcs_last_error(shared), "another thread is in a call on this handle") != NULL);
            CHECK(pcs_report(shared, "cells", &value) == 0 && pcs_n_species(shared) == c.species); /* may share it */
        }
        rest();
    }
    CHECK(busy == 3 && others == 0);
    atomic_store(&stop, 1);
    pthread_join(thread, &right);
    CHECK(right == n);
    CHECK(pcs_set_option(shared, "rtol", "1e-3") == 0);
    CHECK(pcs_close(&shared) == 0 && shared == NULL);
    free(n);
}

/* Closing while another steps: refused until it rests; its next call is told. */
static void* step_until_closed(void* argument) {
    pcs_solver* const mine = shared;
    double* n = argument;
    for (int i = 0; i < most_tries; ++i) {
        memcpy(n, c.n, (size_t)(c.cells * c.species) * sizeof(double));
        const int code = pcs_step(mine, c.cells, c.dt, 1, n, c.species, 1, c.temperature, 1, c.condition, c.conditions,
                                  1, NULL, NULL);
        atomic_fetch_add(&working, 1);
        if (code == PCS_E_ARGUMENT) return strstr(pcs_last_error(mine), "is not open") ? argument : NULL;
        if (code != 0 && code != PCS_E_BUSY) return NULL;
        rest();
    }
    return NULL;
}

static void test_close_in_use(const char* model) {
    pthread_t thread;
    double* n = malloc((size_t)(c.cells * c.species) * sizeof(double));
    void* right = NULL;
    int busy = 0, code = PCS_E_BUSY;
    if (!n) exit(2);
    atomic_store(&working, 0);
    CHECK(pcs_open(model, &shared) == 0);
    CHECK(pcs_set_option(shared, "mode", "exact") == 0 && pcs_set_option(shared, "threads", "1") == 0);
    pcs_solver* mine = shared;
    CHECK(pthread_create(&thread, NULL, step_until_closed, n) == 0);
    while (atomic_load(&working) < 2) rest();
    for (int i = 0; i < most_tries && !busy; ++i) {
        busy = pcs_set_option(mine, "rtol", "never") == PCS_E_BUSY;
        if (!busy) rest(); /* the other thread may wait for a processor */
    }
    for (int i = 0; i < 1000 * most_tries && code == PCS_E_BUSY; ++i) {
        code = pcs_close(&mine);
        CHECK(code == 0 || mine == shared);
    }
    CHECK(busy && code == 0 && mine == NULL);
    CHECK(pthread_join(thread, &right) == 0 && right == n);
    free(n);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    c = read_cells(argv[2]);
    test_handles(argv[1]);
    test_two_handles(argv[1]);
    test_many_handles(argv[1]);
    test_busy(argv[1]);
    test_close_in_use(argv[1]);
    free_cells(&c);
    return finish();
}
