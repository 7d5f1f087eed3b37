/* A step or trajectory allocates nothing after the first call of a size. SPDX-License-Identifier: BSD-3-Clause
 * Usage: allocations MODEL CELLS. Counts by standing in for glibc's allocator. */
#include "cells.h"
#include "check.h"

extern void* __libc_malloc(size_t);
extern void* __libc_memalign(size_t, size_t);

static long allocations = 0;

void* malloc(size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* aligned_alloc(size_t alignment, size_t size) {
    ++allocations;
    return __libc_memalign(alignment, size);
}

int main(int argc, char** argv) {
    pcs_solver* solver = NULL;
    if (argc != 3) return 2;
    CHECK(pcs_open(argv[1], &solver) == 0);
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    CHECK(pcs_set_option(solver, "threads", "1") == 0);
    cell_file c = read_cells(argv[2]);
    enum { times = 3 };
    const double t[times] = {1e8, 1e9, 1e10};
    double* const out = malloc((size_t)(c.cells * times * c.species) * sizeof *out);
    long counted[3];
    for (int call = 0; call < 3; ++call) {
        const long before = allocations;
        CHECK(pcs_step(solver, c.cells - call, c.dt, 1, c.n, c.species, 1, c.temperature, 1, c.condition, c.conditions,
                       1, NULL, NULL) == 0);
        counted[call] = allocations - before;
    }
    CHECK(counted[0] > 0); /* the counter works */
    CHECK(counted[1] == 0);
    CHECK(counted[2] == 0);
    CHECK(pcs_set_option(solver, "mode", "auto") == 0); /* the gate refuses some: both paths */
    for (int call = 0; call < 3; ++call) {
        const long before = allocations;
        CHECK(pcs_trajectory(solver, c.cells - call, c.n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1,
                             times, t, out, 1, NULL, NULL) == 0);
        counted[call] = allocations - before;
    }
    CHECK(counted[0] > 0);
    CHECK(counted[1] == 0);
    CHECK(counted[2] == 0);
    free(out);
    pcs_close(&solver);
    free_cells(&c);
    return finish();
}
