/* Calls in a host's floating-point environment, and in a forked child. SPDX-License-Identifier: BSD-3-Clause
 * Usage: environment MODEL CELLS */
#define _GNU_SOURCE
#include <fenv.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cells.h"
#include "check.h"

static cell_file c;
static double *expected, *made;

static unsigned control(void) {
#ifdef __SSE__
    return _mm_getcsr();
#else
    return 0;
#endif
}

static void set_control(unsigned value) {
#ifdef __SSE__
    _mm_setcsr(value);
#else
    (void)value;
#endif
}

static int step(const char* model, const char* threads, double* n) {
    pcs_solver* solver = NULL;
    const size_t bytes = (size_t)(c.cells * c.species) * sizeof(double);
    double costs[8], rates[1024];
    int code = pcs_open(model, &solver);
    if (code == 0) code = pcs_set_option(solver, "threads", threads);
    if (code == 0 && pcs_n_reactions(solver) <= 1024)
        code = pcs_rate_coefficients(solver, 1, NULL, 0, 0, c.temperature, 0, c.condition, 0, 1, rates, 0, 1, NULL);
    memcpy(n, c.n, bytes);
    if (code == 0)
        code = pcs_step(solver, c.cells, c.dt, 1, n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, NULL,
                        NULL);
    if (code == 0 && pcs_set_option(solver, "costs", "measure") == 0 && pcs_costs(solver, 8, costs) < 0 &&
        pcs_costs(solver, 8, costs) != PCS_E_OPTION)
        code = -1;
    pcs_close(&solver);
    return code;
}

static int same(const char* model, const char* threads) {
    const size_t bytes = (size_t)(c.cells * c.species) * sizeof(double);
    return step(model, threads, made) == 0 && memcmp(made, expected, bytes) == 0;
}

static void test_environments(const char* model, const char* threads) {
    static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    fenv_t usual;
    fegetenv(&usual);
    const unsigned before = control();
    for (size_t k = 0; k < sizeof roundings / sizeof *roundings; ++k) {
        CHECK(fesetround(roundings[k]) == 0);
        CHECK(same(model, threads));
        CHECK(fegetround() == roundings[k]);
        fesetenv(&usual);
    }
    set_control(before | 0x8040); /* flush to zero, denormals are zero */
    const unsigned flushing = control();
    CHECK(same(model, threads));
    CHECK(control() == flushing);
    set_control(before);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_INEXACT);
    CHECK(feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) != -1);
    CHECK(same(model, threads));
    CHECK(fegetexcept() == (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW));
    CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_INEXACT);
    fesetenv(&usual);
}

/* The parent has stepped with several threads: its child has none of them. */
static void test_fork(const char* model) {
    CHECK(same(model, "4"));
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(same(model, "4") ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(same(model, "4"));
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    c = read_cells(argv[2]);
    expected = malloc((size_t)(c.cells * c.species) * sizeof(double));
    made = malloc((size_t)(c.cells * c.species) * sizeof(double));
    if (!expected || !made) return 2;
    CHECK(step(argv[1], "1", expected) == 0);
    test_environments(argv[1], "1");
    test_environments(argv[1], "4");
    test_fork(argv[1]);
    free(expected);
    free(made);
    free_cells(&c);
    return finish();
}
