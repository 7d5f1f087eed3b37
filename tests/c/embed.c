/* One step of any model with any options through libpcs_embed, from a host that traps floating-point exceptions.
 * SPDX-License-Identifier: BSD-3-Clause
 * Usage: embed MODEL CELLS OUT [KEY VALUE]... Writes the new abundances [cell][species] and one status byte a cell to
 * OUT, and the addresses of its arrays (n, dt, temperature, conditions, status) to standard output. A call that fails
 * ends it with exit code 3, its code and its message. */
#define _GNU_SOURCE
#include <fenv.h>
#include <locale.h>
#include <signal.h>

#include "cells.h"
#include "check.h"

static int tell(int code, const pcs_solver* solver) {
    printf("%d\n%s\n", code, pcs_last_error(solver));
    return 3;
}

int main(int argc, char** argv) {
    static const int signals[] = {SIGINT, SIGPIPE, SIGTERM, SIGSEGV, SIGFPE};
    const int traps = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
    pcs_solver* solver = NULL;
    char locale[64];
    struct sigaction before[sizeof signals / sizeof *signals], now;
    if (argc < 4 || argc % 2 != 0) return 2;
    snprintf(locale, sizeof locale, "%s", setlocale(LC_ALL, NULL));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; ++i) sigaction(signals[i], NULL, &before[i]);
    feenableexcept(traps);
    int code = pcs_open(argv[1], &solver);
    if (code != 0) return tell(code, NULL);
    for (int i = 4; i < argc; i += 2) {
        code = pcs_set_option(solver, argv[i], argv[i + 1]);
        if (code != 0) return tell(code, solver);
    }
    cell_file c = read_cells(argv[2]);
    const size_t size = (size_t)(c.cells * c.species);
    CHECK(pcs_n_species(solver) == c.species && pcs_n_conditions(solver) == c.conditions);
    double* n = malloc(size * sizeof *n); /* n[species][cell] */
    int8_t* status = malloc((size_t)c.cells);
    if (!n || !status) return 2;
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s) n[s * c.cells + cell] = c.n[cell * c.species + s];
    printf("%p %p %p %p %p\n", (void*)n, (void*)c.dt, (void*)c.temperature, (void*)c.condition, (void*)status);
    code =
        pcs_step(solver, c.cells, c.dt, 1, n, 1, c.cells, c.temperature, 1, c.condition, c.conditions, 1, NULL, status);
    if (code != 0) return tell(code, solver);
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s) c.n[cell * c.species + s] = n[s * c.cells + cell];
    FILE* out = fopen(argv[3], "wb");
    CHECK(out && fwrite(c.n, sizeof(double), size, out) == size &&
          fwrite(status, 1, (size_t)c.cells, out) == (size_t)c.cells);
    if (out) fclose(out);

    /* What belongs to the host is as it was. */
    double value = -1;
    CHECK(pcs_report(solver, "cells", &value) == 0 && value == (double)c.cells);
    CHECK(fegetexcept() == traps);
    CHECK(strcmp(locale, setlocale(LC_ALL, NULL)) == 0);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; ++i)
        CHECK(sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == before[i].sa_handler);
    pcs_close(&solver);
    free(n), free(status);
    free_cells(&c);
    return finish();
}
