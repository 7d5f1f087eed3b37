/* pychemsurrogate: the C interface (C99). SPDX-License-Identifier: BSD-3-Clause
 *
 * Units are CGS: number densities in cm^-3 (or what the option `units` says), temperature in K, times in s, rates in
 * 1/s. Strides count elements (doubles), not bytes; a stride of 0 means one value for all cells, and a negative one is
 * as good as a positive one: the pointer is to cell 0. Strides that leave the address space, or that would put two of
 * the abundances into one place, are refused. A function that returns int returns 0 for success or one of the negative
 * PCS_E... codes below; what happened to a single cell is told by its status (pcs_status.h), never by the return code.
 * The library prints nothing, never exits and never throws.
 *
 * Handles: what pcs_open gives is a ticket, not an address. A null one, one that was closed (in any copy) and one that
 * never was a handle are told apart from open ones: PCS_E_ARGUMENT, or NULL where a name is asked for.
 *
 * Threads: a handle is read-only after set-up, so many threads may call pcs_step on one handle; pcs_set_option and
 * pcs_close need the handle alone: while another thread is in a call on it they return PCS_E_BUSY and change nothing.
 * (So does a call that meets another thread's pcs_set_option.) A call from inside an OpenMP parallel region runs on the
 * calling thread only. pcs_report, pcs_cell_statistics and pcs_last_error speak of the calling thread's calls on that
 * handle: no thread sees another's, and two handles of one thread do not mix.
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

/* Raised whenever a function's signature or meaning changes. Compare with pcs_abi_version() before you open a model. */
#define PCS_ABI_VERSION 3

/* Errors of a call (not of a cell). [generated: errors] */
#define PCS_E_ARGUMENT (-101) /* a handle that is null or not open, a null pointer, a size or stride that cannot be */
#define PCS_E_FILE (-102)     /* a model file (or compiled kernels) is missing, damaged or foreign */
#define PCS_E_OPTION (-103)   /* unknown option, or a value it does not take */
#define PCS_E_NAME (-104)     /* unknown species, condition or report key */
#define PCS_E_MEMORY (-105)   /* out of memory, or a batch that no memory holds */
#define PCS_E_INTERNAL (-106) /* a defect of the library, or one of another ABI version */
#define PCS_E_BUSY (-107)     /* another thread is in a call on this handle, or setting an option of it */
#define PCS_E_PYTHON (-108)   /* libpcs_embed: no Python that serves, or an exception in it, with its traceback */
#define PCS_E_DEVICE (-109)   /* no GPU or no libpcs_cuda, a lost GPU, or memory or a stream that is not its own */
/* [end of generated] */

typedef struct pcs_solver pcs_solver; /* opaque */

/* The ABI version that the library was built with. */
PCS_API int pcs_abi_version(void);

/* Open a model: a path to a .pcs file, or the name of a shipped model ("osu_09_2008"), which is looked for in
 * $PCS_MODEL_PATH (a list separated by ':') and beside the library. *out is NULL on failure. */
PCS_API int pcs_open(const char* model, pcs_solver** out);

/* Close the handle and set it to NULL. A null handle is fine. PCS_E_BUSY: another thread is in a call on it; it stays
 * open. PCS_E_ARGUMENT: it is not open (a copy of it was closed). */
PCS_API int pcs_close(pcs_solver** solver);

/* [generated: options] by tools/generate_interfaces.py */
/* The options:
 * - mode (auto, surrogate, exact; default auto): which path serves a cell; a model that holds a network alone is exact
 * - path (a learned path of the model, or empty: all of them; default empty): the one learned path that may serve, of a
 *   model that names several. Mode surrogate, and a trajectory, use the last, which is the most accurate
 * - integrator (native, host; default native): host: cells of the exact path keep their input and a status of 10 or
 *   above, for the host to solve
 * - units (number_density, hydrogen_fraction, mass_fraction; default number_density): what the abundances of every call
 *   are: n [cm^-3]; n/n_H, with a last condition more, n_H [cm^-3]; or shares of the mass, with a last condition more,
 *   rho [g cm^-3]
 * - target_error_dex (1e-6 to 1; default 0.1): of 100 cells one may err by more in its worst species (default in mode
 *   auto). It picks rtol and atol unless these are given (mode exact takes either), and the gate's thresholds; below
 *   what the model is calibrated for, all cells are exact
 * - rtol (1e-12 to 0.1; default 1e-2): relative tolerance of the exact integrator (default in mode exact)
 * - atol (1e-30 to 1e-3; default 1e-15): its absolute tolerance, in n / n_H (default in mode exact)
 * - error_budget_dex (0 to 100; default target_error_dex): what a cell of pcs_step_budget may carry
 * - exact_every (0 to 1e15; default 100): without such a budget one of so many cells takes the exact path, chosen by
 *   the bits of its own input; 0: none
 * - audit (0 to 1; default 0.001): share of the trusted cells that are solved exactly and compared; bins of conditions
 *   in which too many are wrong are tightened, then closed
 * - costs (model, measure, or numbers of microseconds: cell,step,eviction,learned (of several paths a last one for
 *   each); default model): what pcs_costs tells. model: those of the model file, so that the choice of path, hence
 *   every bit, is the same on all ranks; where the file has none, on a GPU, and with measure they are measured at the
 *   first step
 * - max_steps (1 to 1e9; default 2000): steps per cell before status -2
 * - threads (0 to 4096; default 0): number of threads, 0: OpenMP's own choice; at most 256 or four a processor, no more
 *   than the process can start, and one in a forked child of a process that had threads
 * - repair (none; floor; electrons; floor,electrons; default none): floor sets small negatives to 0, electrons makes e-
 *   neutralise the cell
 * - kernels (auto, tables, compiled; default auto): auto: straight-line code if the library has it for this network
 *   (the shipped one), else tables; compiled: straight-line code, which `pychemsurrogate model compile MODEL` has put
 *   into the user's cache: it is loaded here, never compiled, and PCS_E_FILE if it is missing or could be another
 *   user's
 * - statistics (off, on; default off): count for pcs_cell_statistics
 * - species (the host's species in order, comma-separated; default empty): refused unless they are the model's
 * - engine (native, torch; default native): torch: the surrogate by PyTorch; libpcs_embed alone has it, which serves
 *   integrator=scipy as well (docs/hosts/embed.md)
 * - device (cpu, cuda or cuda:k; default cpu): where steps and trajectories are worked out: cuda is a GPU, by
 *   libpcs_cuda, which is loaded then (docs/hosts/gpu.md). With engine torch, which libpcs_embed alone has, any device
 *   of PyTorch (default there, off the cpu)
 * - memory (host, device; default host): where the arrays of a call are, with device cuda. device: all in the GPU's
 *   memory, and nothing is waited for; an argument that is one value for all cells may be the host's, and times are.
 *   host: they are copied there and back
 * - stream (an address, decimal or after 0x; default 0): the CUDA stream of the calls with device cuda (a cudaStream_t
 *   as an integer); 0: the default stream */
/* [end of generated] */

/* Set an option by name, as listed above. PCS_E_OPTION: an unknown name or a value that it does not take; all options
 * are then as before. */
PCS_API int pcs_set_option(pcs_solver* solver, const char* key, const char* value);

/* Species, in the order of the arrays. pcs_species_index: 0-based, or PCS_E_NAME. pcs_species_name: NULL if out of
 * range. */
PCS_API int pcs_n_species(const pcs_solver* solver);
PCS_API int pcs_species_index(const pcs_solver* solver, const char* name);
PCS_API const char* pcs_species_name(const pcs_solver* solver, int species);

/* The mass of one particle [g], the electrons of its charge counted. PCS_E_FILE: the model does not say (a file of an
 * older version, with particles of no element). */
PCS_API int pcs_species_mass_g(const pcs_solver* solver, int species, double* mass_g);

/* Reactions, in the order of the rate coefficients. pcs_reaction_equation: "C+ + e- -> C"; NULL if out of range. */
PCS_API int pcs_n_reactions(const pcs_solver* solver);
PCS_API const char* pcs_reaction_equation(const pcs_solver* solver, int reaction);

/* Conditions beside the temperature ("zeta": cosmic-ray ionisation rate per H2 molecule, 1/s); with the option units
 * one more, the last: "n_H" [cm^-3] or "rho" [g cm^-3]. */
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
 * - conditions: conditions[cell * cond_cell_stride + condition * cond_stride]; NULL only if there are none
 * - mask: NULL, or one value per cell; 0: leave this cell alone
 * - status: NULL, or one code per cell (pcs_status.h)
 * With device=cuda and memory=device all of these lie in the GPU's memory (or CUDA's managed memory), statuses too, but
 * that dt_s, temperature_K and conditions may be the host's where one value is for all cells (a stride of 0). The call
 * returns once the work is in the stream; what fails there later is told by pcs_report, or by the next call. */
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

/* What a host needs that integrates itself, or that looks at the chemistry. Nothing is advanced: the arrays of cells
 * are those of pcs_step, and stay as they are (a cell_stride of 0 is one state for all cells). Any finite abundances
 * will do, negative ones too, whose n_H lies within the limits. A cell's status is PCS_STATUS_UNCHANGED, or below 0:
 * all its results are NaN then, and the other cells have theirs. Strides of results may be negative, but no two may
 * share a place. With the option units, rates of change are those of the numbers that the host keeps. */

/* Rate coefficients, k[cell * k_cell_stride + reaction * k_reaction_stride] [cm^(3(m-1)) / s] for m reactants (laws per
 * H nucleus: for the first reactant and n_H). n_cm3: NULL will do unless rates read n_H. */
PCS_API int pcs_rate_coefficients(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                                  int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                                  const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* k,
                                  int64_t k_cell_stride, int64_t k_reaction_stride, int8_t* status);

/* dn/dt of every species, dndt[cell * rhs_cell_stride + species * rhs_species_stride] [cm^-3 / s]. */
PCS_API int pcs_rhs(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                    int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                    const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* dndt,
                    int64_t rhs_cell_stride, int64_t rhs_species_stride, int8_t* status);

/* Its analytic Jacobian d(dn_row/dt)/dn_column [1/s], zeros included:
 * jacobian[cell * jac_cell_stride + row * jac_row_stride + column * jac_column_stride]. Where a rate reads n_H, which
 * no reaction changes, that is held fixed. */
PCS_API int pcs_jacobian(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                         int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                         const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* jacobian,
                         int64_t jac_cell_stride, int64_t jac_row_stride, int64_t jac_column_stride, int8_t* status);

/* Counts of every cell in the calling thread's last pcs_step or pcs_equilibrium on this handle, if its option
 * statistics was on: "steps", "rejected_steps" or "factorisations" of the exact integrator, all its tries together.
 * n_cells must be that call's number of cells. */
PCS_API int pcs_cell_statistics(const pcs_solver* solver, const char* key, int64_t n_cells, int32_t* values);

/* What a cell costs on this machine, one thread [us]: a cell that is integrated, without its steps; a step; a cell that
 * the integrator begins and hands to the surrogate; then the surrogate, of each learned path of the model (0 for one
 * without a router). The option's numbers, or what was measured (now, unless a step did already). The first n of them
 * go into costs_us[n]. Returns how many there are (4 for a model with one path), or PCS_E_OPTION where nothing is
 * routed. With device=cuda: the GPU's time over the number of cells that keep it busy. */
PCS_API int pcs_costs(const pcs_solver* solver, int n, double* costs_us);

/* A figure of the calling thread's last pcs_step, pcs_equilibrium or pcs_trajectory on this handle, by name (0 before
 * the first): cells, surrogate, unchanged, masked, exact, refused_box, refused_distance, refused_error,
 * refused_budget, routed, audited, violations, bins_tightened, bins_closed, second_try, failed, repaired, steps,
 * rejected_steps, seconds, seconds_surrogate, seconds_exact, defect_max.
 * With device=cuda and memory=device it waits for that call, and is told until 256 more have been made on the handle.
 * seconds is then the time on the GPU, the other seconds are 0, and audited cells move thresholds when it is asked. */
PCS_API int pcs_report(const pcs_solver* solver, const char* key, double* value);

/* What the calling thread's last failed call on this handle says; "" if none failed. NULL asks for the last failed
 * pcs_open, or call with a null handle. Valid until the thread's next failing call. */
PCS_API const char* pcs_last_error(const pcs_solver* solver);

/* The advice that belongs to a per-cell status code; never NULL. */
PCS_API const char* pcs_status_message(int status);

#ifdef __cplusplus
}
#endif
#endif
