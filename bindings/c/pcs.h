/* pychemsurrogate: the C interface (C99). SPDX-License-Identifier: BSD-3-Clause
 *
 * Units are CGS: number densities in cm^-3, temperature in K, times in s, rates in 1/s.
 * Strides count elements (doubles), not bytes; a stride of 0 means one value for all cells.
 * A function that returns int returns 0 for success or one of the negative PCS_E... codes below;
 * what happened to a single cell is told by its status (pcs_status.h), never by the return code.
 * The library prints nothing, never exits and never throws.
 *
 * Threads: a handle is read-only after set-up, so many threads may call pcs_step on one handle;
 * pcs_set_option and pcs_close need the handle alone. A call from inside an OpenMP parallel region
 * runs on the calling thread only. pcs_report and pcs_last_error speak of the calling thread's last call.
 */
#ifndef PCS_H
#define PCS_H

#include <stdint.h>

#include "pcs_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PCS_API __attribute__((visibility("default")))
#else
#define PCS_API
#endif

/* Raised whenever a function's signature or meaning changes. Compare with pcs_abi_version(). */
#define PCS_ABI_VERSION 2

/* Errors of a call (not of a cell). */
#define PCS_E_ARGUMENT (-101) /* a null handle or pointer, a negative size, a bad stride */
#define PCS_E_FILE (-102)     /* a model file (or compiled kernels) is missing, damaged or foreign */
#define PCS_E_OPTION (-103)   /* unknown option, or a value it does not take */
#define PCS_E_NAME (-104)     /* unknown species, condition or report key */
#define PCS_E_MEMORY (-105)   /* out of memory */
#define PCS_E_INTERNAL (-106) /* a defect of the library: please report it */
#define PCS_E_PYTHON (-108)   /* libpcs_embed alone: no Python, or an exception in it, whose traceback is told */

typedef struct pcs_solver pcs_solver; /* opaque */

/* The ABI version that the library was built with. */
PCS_API int pcs_abi_version(void);

/* Open a model: a path to a .pcs file, or the name of a shipped model ("osu_09_2008"), which is looked for in
 * $PCS_MODEL_PATH (a list separated by ':') and beside the library. *out is NULL on failure. */
PCS_API int pcs_open(const char* model, pcs_solver** out);

/* Close the handle and set it to NULL. A null handle is fine. */
PCS_API void pcs_close(pcs_solver** solver);

/* Set an option by name:
 * - mode: auto, surrogate or exact: which path serves a cell (default auto; exact without a surrogate)
 * - path: the one learned path that may serve, of a model that names several; empty: all of them (default). Mode
 *   surrogate, and a trajectory, use the last, which is the most accurate
 * - integrator: native or host; host: cells of the exact path keep their input and a status of 10 or above, for the
 *   host to solve (default native)
 * - target_error_dex: of 100 cells one may err by more in its worst species (1e-6 to 1; default 0.1 in mode auto). It
 *   picks rtol and atol unless these are given (mode exact takes either), and the gate's thresholds; below what the
 *   model is calibrated for, all cells are exact
 * - rtol: relative tolerance of the exact integrator (default 1e-2 in mode exact)
 * - atol: its absolute tolerance, in n / n_H (default 1e-15)
 * - error_budget_dex: what a cell of pcs_step_budget may carry (default: the target error)
 * - exact_every: without such a budget one of so many cells takes the exact path, chosen by the bits of its own input;
 *   0: none (default 100)
 * - audit: share of the trusted cells that are solved exactly and compared; bins of conditions in which too many are
 *   wrong are tightened, then closed (default 0.001)
 * - costs: measure, or numbers of microseconds (cell,step,eviction,learned; of several paths a last one for each) as
 *   pcs_costs tells them: then the choice of path, hence every bit, is the same on all machines (default measure: at
 *   the first step)
 * - max_steps: steps per cell before status -2 (default 2000)
 * - threads: number of threads, 0: OpenMP's own choice (default 0)
 * - repair: none, floor, electrons or floor,electrons (default none)
 * - kernels: auto, tables or compiled. auto: straight-line code if the library has it for this network (the shipped
 *   one), else tables; compiled: straight-line code, which `pychemsurrogate model compile MODEL` has put into the
 *   user's cache: it is loaded here, never compiled, and PCS_E_FILE if it is missing or could be another user's
 *   (default auto)
 * - statistics: off or on: count for pcs_cell_statistics (default off)
 * - species: the host's species in order, comma-separated: refused unless they are the model's */
PCS_API int pcs_set_option(pcs_solver* solver, const char* key, const char* value);

/* Species, in the order of the arrays. pcs_species_index: 0-based, or PCS_E_NAME. pcs_species_name: NULL if out of
 * range. */
PCS_API int pcs_n_species(const pcs_solver* solver);
PCS_API int pcs_species_index(const pcs_solver* solver, const char* name);
PCS_API const char* pcs_species_name(const pcs_solver* solver, int species);

/* Conditions beside the temperature ("zeta": cosmic-ray ionisation rate per H2 molecule, 1/s). */
PCS_API int pcs_n_conditions(const pcs_solver* solver);
PCS_API int pcs_condition_index(const pcs_solver* solver, const char* name);
PCS_API const char* pcs_condition_name(const pcs_solver* solver, int condition);

/* Conserved quantities: the elements in order, then "charge". *value: how many of it one particle of the species holds.
 */
PCS_API int pcs_n_conserved(const pcs_solver* solver);
PCS_API const char* pcs_conserved_name(const pcs_solver* solver, int quantity);
PCS_API int pcs_composition(const pcs_solver* solver, int quantity, int species, double* value);

/* Advance every cell by its dt, in place. A failed cell keeps its input bit for bit.
 * - dt_s [s]: dt_s[cell * dt_stride]
 * - n_cm3 [cm^-3]: n_cm3[cell * cell_stride + species * species_stride]
 * - temperature_K [K]: temperature_K[cell * temperature_stride]; in (in/out once networks have thermal terms)
 * - conditions: conditions[cell * cond_cell_stride + condition * cond_stride]; NULL only if the network has none
 * - mask: NULL, or one value per cell; 0: leave this cell alone
 * - status: NULL, or one code per cell (pcs_status.h) */
PCS_API int pcs_step(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
                     int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
                     const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, const int8_t* mask,
                     int8_t* status);

/* The same for a host that keeps, for every cell, the error that it carries: error_dex[cell * error_stride] [dex], 0 at
 * first, in and out. A trusted cell adds its predicted error to what is left of the former one; a cell whose budget
 * (option error_budget_dex) would be spent is solved exactly. NULL: as pcs_step. Advect it like an abundance. */
PCS_API int pcs_step_budget(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
                            int64_t cell_stride, int64_t species_stride, double* temperature_K,
                            int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride,
                            int64_t cond_stride, double* error_dex, int64_t error_stride, const int8_t* mask,
                            int8_t* status);

/* Bring every cell to the equilibrium that it would reach in time, in place: the state in which no species above atol
 * changes by more than `tolerance` (1e-10 to 0.1, 1e-4 is usual) of itself over `duration_s` (1e17 s is usual). The
 * exact integrator does it, whatever the mode, in at most 30 rounds of that duration. A cell that still changes keeps
 * its input and has PCS_STATUS_NO_EQUILIBRIUM. The other arguments are those of pcs_step. */
PCS_API int pcs_equilibrium(pcs_solver* solver, int64_t n_cells, double tolerance, double duration_s, double* n_cm3,
                            int64_t cell_stride, int64_t species_stride, const double* temperature_K,
                            int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride,
                            int64_t cond_stride, const int8_t* mask, int8_t* status);

/* The state of every cell at each of n_times elapsed times, counted from the given state, which stays as it is.
 * - times_s [s]: ascending, from 0 to 1e20, the same for all cells
 * - out_cm3 [cm^-3]: (cells, times, species), contiguous, apart from n_cm3; a pair that fails gets the given state
 * - conserve: 0: mode surrogate leaves out the projection on elements and charge; else 1
 * - mask, status: NULL, or one value per (cell, time)
 *
 * The surrogate encodes a cell once; the exact integrator goes from time to time. pcs_report counts (cell, time) pairs.
 * The other arguments are those of pcs_step. */
PCS_API int pcs_trajectory(pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                           int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                           const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, int64_t n_times,
                           const double* times_s, double* out_cm3, int conserve, const int8_t* mask, int8_t* status);

/* Counts of every cell in the calling thread's last pcs_step or pcs_equilibrium, if the handle's option statistics was
 * on: "steps", "rejected_steps" or "factorisations" of the exact integrator, all its tries together. n_cells must be
 * that call's number of cells. */
PCS_API int pcs_cell_statistics(const pcs_solver* solver, const char* key, int64_t n_cells, int32_t* values);

/* What a cell costs on this machine, one thread [us]: a cell that is integrated, without its steps; a step; a cell that
 * the integrator begins and hands to the surrogate; then the surrogate, of each learned path of the model (0 for one
 * without a router). The option's numbers, or what was measured (now, unless a step did already). The first n of them
 * go into costs_us[n]. Returns how many there are (4 for a model with one path), or PCS_E_OPTION where nothing is
 * routed. */
PCS_API int pcs_costs(const pcs_solver* solver, int n, double* costs_us);

/* A figure of the calling thread's last step on any handle, by name:
 *   cells, surrogate, unchanged, masked, exact, refused_box, refused_error, refused_budget, routed, audited,
 *   violations, bins_tightened, bins_closed, second_try, failed, repaired, steps, rejected_steps, seconds,
 * seconds_surrogate, seconds_exact, defect_max */
PCS_API int pcs_report(const pcs_solver* solver, const char* key, double* value);

/* What the calling thread's last failed call says; "" if none failed. NULL asks for the last failed pcs_open.
 * Valid until the thread's next failing call. */
PCS_API const char* pcs_last_error(const pcs_solver* solver);

/* The advice that belongs to a per-cell status code; never NULL. */
PCS_API const char* pcs_status_message(int status);

#ifdef __cplusplus
}
#endif
#endif
