/* What libpcs_embed and its Python side (pychemsurrogate/embed) say to each other, in the C that cffi reads: the
 * library hands this text to Python, which fills the functions of pcs_bridge. SPDX-License-Identifier: BSD-3-Clause
 *
 * A function that returns int returns 0, or the PCS_E... code of an error whose message it has handed to `fail`. */
#ifndef PCS_BRIDGE_H
#define PCS_BRIDGE_H

#include <stdint.h>

#define PCS_BRIDGE_VERSION 1 /* raised whenever anything below changes */

/* The cells of a call, as in pcs.h; strides count elements, and status, mask and counts are contiguous. A null pointer
 * means that the call reads none, or that nobody asked. */
typedef struct pcs_bridge_cells {
    int64_t n_cells;
    double* n_cm3;
    int64_t cell_stride, species_stride;
    const double* temperature_K;
    int64_t temperature_stride;
    const double* conditions;
    int64_t condition_cell_stride, condition_stride;
    const double* dt_s;
    int64_t dt_stride;
    const int8_t* mask;
    int8_t* status;
    int32_t* counts; /* (cells, 3): added to */
    double* error_dex;
    int64_t error_stride;
} pcs_bridge_cells;

/* Where a derivative goes: values[cell * cell_stride + row * row_stride + column * column_stride]. kind: 0 rate
 * coefficients, one row a reaction; 1 dn/dt, one row a species; 2 its Jacobian, one column a species as well. */
typedef struct pcs_bridge_derivative {
    int32_t kind;
    double* values;
    int64_t cell_stride, row_stride, column_stride;
} pcs_bridge_derivative;

/* What an open model says of itself; the lists hold one name a line, and all of it lives until the next call of `open`
 * or `set_option` for the model. */
typedef struct pcs_bridge_model {
    int64_t id;
    const char *species, *conditions, *conserved, *equations;
    int32_t n_composition;     /* conserved quantities x species, or 0 where the model does not tell */
    const double* composition; /* (conserved, species) */
    int32_t n_masses;          /* species, or 0 */
    const double* mass_g;      /* (species), NaN: not known */
} pcs_bridge_model;

typedef struct pcs_bridge {
    /* Of Python. `figures` are the numbers of a report, in the order of the names that `serve` got. */
    int (*open)(const char* model, pcs_bridge_model* out);
    int (*close)(int64_t id);
    int (*set_option)(int64_t id, const char* key, const char* value, pcs_bridge_model* out);
    int (*step)(int64_t id, const pcs_bridge_cells* cells, double* figures);
    int (*equilibrium)(int64_t id, const pcs_bridge_cells* cells, double tolerance, double duration_s, double* figures);
    /* (cells, times): mask, status (both may be null); out_cm3: (cells, times, species) */
    int (*trajectory)(int64_t id, const pcs_bridge_cells* cells, int64_t n_times, const double* times_s,
                      double* out_cm3, int conserve, const int8_t* mask, int8_t* status, double* figures);
    int (*derive)(int64_t id, const pcs_bridge_cells* cells, const pcs_bridge_derivative* to);
    int (*costs)(int64_t id, int n, double* costs_us, int* count);
    /* Of the library: keeps the message of the calling thread's error. */
    void (*fail)(const char* message);
} pcs_bridge;

#endif
