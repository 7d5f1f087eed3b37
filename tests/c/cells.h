/* Cells from a file. SPDX-License-Identifier: BSD-3-Clause */
#ifndef CELLS_H
#define CELLS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Cells as the Python side writes them: three int64 sizes, then n[cell][species], dt, T and
 * conditions[cell][condition]. */
typedef struct {
    int64_t cells, species, conditions;
    double *n, *dt, *temperature, *condition;
} cell_file;

static double* read_doubles(FILE* file, int64_t count) {
    double* values = malloc((size_t)(count > 0 ? count : 1) * sizeof(double));
    if (!values || fread(values, sizeof(double), (size_t)count, file) != (size_t)count) {
        printf("the cell file is too short\n");
        exit(2);
    }
    return values;
}

static cell_file read_cells(const char* path) {
    cell_file c;
    int64_t sizes[3];
    FILE* file = fopen(path, "rb");
    if (!file || fread(sizes, sizeof(int64_t), 3, file) != 3) {
        printf("cannot read %s\n", path);
        exit(2);
    }
    c.cells = sizes[0], c.species = sizes[1], c.conditions = sizes[2];
    c.n = read_doubles(file, c.cells * c.species);
    c.dt = read_doubles(file, c.cells);
    c.temperature = read_doubles(file, c.cells);
    c.condition = read_doubles(file, c.cells * c.conditions);
    fclose(file);
    return c;
}

static void free_cells(cell_file* c) {
    free(c->n);
    free(c->dt);
    free(c->temperature);
    free(c->condition);
}

#endif
