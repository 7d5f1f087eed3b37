/* One batch through every layout of the arrays: the same bits. SPDX-License-Identifier: BSD-3-Clause
 * Usage: steps MODEL CELLS OUT [KERNELS]. Writes the new abundances [cell][species] and one status byte a cell to OUT.
 */
#include "cells.h"
#include "check.h"

enum { gap = 3 };

static pcs_solver* solver;
static cell_file c;
static double* expected;
static int8_t* status;

static double* new_array(int64_t count) {
    double* p = malloc((size_t)count * sizeof(double));
    if (!p) exit(2);
    return p;
}

/* Step a copy that lies at n[first + cell * cell_stride + species * species_stride], then compare it. */
static void test_layout(int64_t size, int64_t first, int64_t cell_stride, int64_t species_stride) {
    double* n = new_array(size);
    for (int64_t i = 0; i < size; ++i) n[i] = -1.5; /* between the cells: must stay */
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s)
            n[first + cell * cell_stride + s * species_stride] = c.n[cell * c.species + s];
    CHECK(pcs_step(solver, c.cells, c.dt, 1, n + first, cell_stride, species_stride, c.temperature, 1, c.condition,
                   c.conditions, 1, NULL, NULL) == 0);
    int64_t different = 0, outside = 0;
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s) {
            double* value = &n[first + cell * cell_stride + s * species_stride];
            different += memcmp(value, &expected[cell * c.species + s], sizeof *value) != 0;
            *value = -1.5;
        }
    for (int64_t i = 0; i < size; ++i) outside += n[i] != -1.5;
    CHECK(different == 0);
    CHECK(outside == 0);
    free(n);
}

/* Every per-cell quantity behind a stride of its own, read backwards. */
static void test_strided_conditions(void) {
    const int64_t last = c.cells - 1;
    double *n = new_array(c.cells * c.species), *dt = new_array(2 * c.cells), *T = new_array(gap * c.cells),
           *zeta = new_array(c.cells);
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        memcpy(n + (last - cell) * c.species, c.n + cell * c.species, (size_t)c.species * sizeof(double));
        dt[2 * (last - cell)] = c.dt[cell];
        T[gap * (last - cell)] = c.temperature[cell];
        zeta[last - cell] = c.condition[cell];
    }
    CHECK(pcs_step(solver, c.cells, dt + 2 * last, -2, n + last * c.species, -c.species, 1, T + gap * last, -gap,
                   zeta + last, -1, 0, NULL, NULL) == 0);
    for (int64_t cell = 0; cell < c.cells; ++cell)
        CHECK(memcmp(n + (last - cell) * c.species, expected + cell * c.species, (size_t)c.species * sizeof(double)) ==
              0);
    free(n), free(dt), free(T), free(zeta);
}

/* A stride of 0 is one value for all cells. */
static void test_one_value_for_all(void) {
    const int64_t size = c.cells * c.species;
    double *one = new_array(size), *each = new_array(size), *dt = new_array(c.cells), *T = new_array(c.cells),
           *zeta = new_array(c.cells);
    memcpy(one, c.n, (size_t)size * sizeof(double));
    memcpy(each, c.n, (size_t)size * sizeof(double));
    for (int64_t cell = 0; cell < c.cells; ++cell)
        dt[cell] = c.dt[0], T[cell] = c.temperature[0], zeta[cell] = c.condition[0];
    CHECK(pcs_step(solver, c.cells, c.dt, 0, one, c.species, 1, c.temperature, 0, c.condition, 0, 1, NULL, NULL) == 0);
    CHECK(pcs_step(solver, c.cells, dt, 1, each, c.species, 1, T, 1, zeta, 1, 1, NULL, NULL) == 0);
    CHECK(memcmp(one, each, (size_t)size * sizeof(double)) == 0);
    free(one), free(each), free(dt), free(T), free(zeta);
}

static void test_mask(void) {
    const int64_t size = c.cells * c.species;
    double *n = new_array(size), value = 0;
    int8_t* mask = malloc((size_t)c.cells);
    if (!mask) exit(2);
    memcpy(n, c.n, (size_t)size * sizeof(double));
    for (int64_t cell = 0; cell < c.cells; ++cell) mask[cell] = (int8_t)(cell % 3 == 0 ? 0 : cell % 2 ? 1 : -1);
    CHECK(pcs_step(solver, c.cells, c.dt, 1, n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, mask,
                   status) == 0);
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        const double* right = mask[cell] ? expected : c.n;
        CHECK(memcmp(n + cell * c.species, right + cell * c.species, (size_t)c.species * sizeof(double)) == 0);
        CHECK(status[cell] == (mask[cell] ? PCS_STATUS_EXACT_REQUESTED : PCS_STATUS_MASKED));
    }
    CHECK(pcs_report(solver, "masked", &value) == 0 && value == (double)((c.cells + 2) / 3));
    free(n), free(mask);
}

static void test_failed_cells(void) {
    const int64_t size = c.cells * c.species;
    double *n = new_array(size), *dt = new_array(c.cells), value = 0;
    memcpy(n, c.n, (size_t)size * sizeof(double));
    memcpy(dt, c.dt, (size_t)c.cells * sizeof(double));
    n[c.species + 4] = -1.0;
    dt[3] = -1.0;
    dt[5] = 1e30;
    dt[6] = 0.0;
    double* before = new_array(size);
    memcpy(before, n, (size_t)size * sizeof(double));
    CHECK(pcs_step(solver, c.cells, dt, 1, n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, NULL,
                   status) == 0);
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        const int8_t right = cell == 1 || cell == 3 ? PCS_STATUS_BAD_INPUT
                             : cell == 5            ? PCS_STATUS_UNSUPPORTED
                             : cell == 6            ? PCS_STATUS_UNCHANGED
                                                    : PCS_STATUS_EXACT_REQUESTED;
        const double* answer = right == PCS_STATUS_EXACT_REQUESTED ? expected : before;
        CHECK(status[cell] == right);
        CHECK(memcmp(n + cell * c.species, answer + cell * c.species, (size_t)c.species * sizeof(double)) == 0);
    }
    CHECK(pcs_report(solver, "failed", &value) == 0 && value == 3);
    CHECK(pcs_report(solver, "unchanged", &value) == 0 && value == 1);
    free(n), free(dt), free(before);
}

int main(int argc, char** argv) {
    if (argc < 4 || argc > 5) return 2;
    if (pcs_open(argv[1], &solver) != 0 || (argc == 5 && pcs_set_option(solver, "kernels", argv[4]) != 0)) {
        fprintf(stderr, "%s\n", pcs_last_error(solver));
        return 3;
    }
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    c = read_cells(argv[2]);
    CHECK(c.species == pcs_n_species(solver) && c.conditions == pcs_n_conditions(solver) && c.cells > 8);
    expected = new_array(c.cells * c.species);
    status = malloc((size_t)c.cells);
    if (!status) return 2;
    memcpy(expected, c.n, (size_t)(c.cells * c.species) * sizeof(double));
    CHECK(pcs_step(solver, c.cells, c.dt, 1, expected, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1,
                   NULL, status) == 0);

    FILE* out = fopen(argv[3], "wb");
    CHECK(out &&
          fwrite(expected, sizeof(double), (size_t)(c.cells * c.species), out) == (size_t)(c.cells * c.species) &&
          fwrite(status, 1, (size_t)c.cells, out) == (size_t)c.cells);
    if (out) fclose(out);

    const int64_t N = c.cells, S = c.species;
    test_layout(N * S, 0, S, 1);               /* array of structures */
    test_layout(N * S, 0, 1, N);               /* structure of arrays */
    test_layout(N * (S + gap), 0, S + gap, 1); /* with ghost entries */
    test_layout(gap * N * S, 0, gap * S, gap); /* gaps everywhere */
    test_layout(N * S, N * S - 1, -S, -1);     /* both backwards */
    test_layout(N * S, N - 1, -1, N);          /* cells backwards */
    test_strided_conditions();
    test_one_value_for_all();
    test_mask();
    test_failed_cells();
    pcs_close(&solver);
    free(expected), free(status);
    free_cells(&c);
    return finish();
}
