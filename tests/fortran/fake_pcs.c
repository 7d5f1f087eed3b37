/* A libpcs that only counts its open handles and may be of another ABI version (-DFAKE_ABI=n). */
#include <stddef.h>

#include "pcs.h"

struct pcs_solver {
    int unused;
};
static struct pcs_solver handles[8];
static int opened = 0, closed = 0;

int fake_open_handles(void) { return opened - closed; }

int pcs_abi_version(void) { return FAKE_ABI; }
int pcs_open(const char* model, pcs_solver** out) {
    (void)model;
    *out = &handles[opened++ % 8];
    return 0;
}
int pcs_close(pcs_solver** solver) {
    if (solver && *solver) {
        ++closed;
        *solver = NULL;
    }
    return 0;
}
int pcs_set_option(pcs_solver* solver, const char* key, const char* value) {
    return (void)solver, (void)key, (void)value, 0;
}
int pcs_n_species(const pcs_solver* solver) { return solver ? 1 : PCS_E_ARGUMENT; }
int pcs_species_index(const pcs_solver* solver, const char* name) { return (void)solver, (void)name, PCS_E_NAME; }
const char* pcs_species_name(const pcs_solver* solver, int species) { return (void)solver, (void)species, NULL; }
int pcs_n_conditions(const pcs_solver* solver) { return (void)solver, 0; }
int pcs_condition_index(const pcs_solver* solver, const char* name) { return (void)solver, (void)name, PCS_E_NAME; }
const char* pcs_condition_name(const pcs_solver* solver, int condition) { return (void)solver, (void)condition, NULL; }
int pcs_n_conserved(const pcs_solver* solver) { return (void)solver, 0; }
const char* pcs_conserved_name(const pcs_solver* solver, int quantity) { return (void)solver, (void)quantity, NULL; }
int pcs_composition(const pcs_solver* solver, int quantity, int species, double* value) {
    return (void)solver, (void)quantity, (void)species, (void)value, PCS_E_ARGUMENT;
}
int pcs_step_budget(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
                    int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
                    const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* error_dex,
                    int64_t error_stride, const int8_t* mask, int8_t* status) {
    (void)solver, (void)n_cells, (void)dt_s, (void)dt_stride, (void)n_cm3, (void)cell_stride, (void)species_stride;
    (void)temperature_K, (void)temperature_stride, (void)conditions, (void)cond_cell_stride, (void)cond_stride;
    (void)error_dex, (void)error_stride, (void)mask, (void)status;
    return 0;
}
int pcs_costs(const pcs_solver* solver, int n, double* costs_us) {
    return (void)solver, (void)n, (void)costs_us, PCS_E_ARGUMENT;
}
int pcs_equilibrium(pcs_solver* solver, int64_t n_cells, double tolerance, double duration_s, double* n_cm3,
                    int64_t cell_stride, int64_t species_stride, const double* temperature_K,
                    int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride, int64_t cond_stride,
                    const int8_t* mask, int8_t* status) {
    (void)solver, (void)n_cells, (void)tolerance, (void)duration_s, (void)n_cm3, (void)cell_stride;
    (void)species_stride, (void)temperature_K, (void)temperature_stride, (void)conditions, (void)cond_cell_stride;
    (void)cond_stride, (void)mask, (void)status;
    return 0;
}
int pcs_trajectory(pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                   int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                   const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, int64_t n_times,
                   const double* times_s, double* out_cm3, int conserve, const int8_t* mask, int8_t* status) {
    (void)n_cells, (void)n_cm3, (void)cell_stride, (void)species_stride, (void)temperature_K, (void)temperature_stride;
    (void)conditions, (void)cond_cell_stride, (void)cond_stride, (void)n_times, (void)times_s, (void)out_cm3;
    (void)conserve, (void)mask, (void)status;
    return (void)solver, 0;
}
int pcs_species_mass_g(const pcs_solver* solver, int species, double* mass_g) {
    return (void)solver, (void)species, (void)mass_g, PCS_E_ARGUMENT;
}
int pcs_n_reactions(const pcs_solver* solver) { return (void)solver, 0; }
const char* pcs_reaction_equation(const pcs_solver* solver, int reaction) { return (void)solver, (void)reaction, NULL; }
int pcs_rate_coefficients(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                          int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                          const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* k,
                          int64_t k_cell_stride, int64_t k_reaction_stride, int8_t* status) {
    (void)n_cells, (void)n_cm3, (void)cell_stride, (void)species_stride, (void)temperature_K, (void)temperature_stride;
    (void)conditions, (void)cond_cell_stride, (void)cond_stride, (void)k, (void)k_cell_stride, (void)k_reaction_stride;
    return (void)solver, (void)status, 0;
}
int pcs_rhs(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride, int64_t species_stride,
            const double* temperature_K, int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride,
            int64_t cond_stride, double* dndt, int64_t rhs_cell_stride, int64_t rhs_species_stride, int8_t* status) {
    return pcs_rate_coefficients(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride,
                                 conditions, cond_cell_stride, cond_stride, dndt, rhs_cell_stride, rhs_species_stride,
                                 status);
}
int pcs_jacobian(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                 int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                 const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* jacobian,
                 int64_t jac_cell_stride, int64_t jac_row_stride, int64_t jac_column_stride, int8_t* status) {
    (void)jac_column_stride;
    return pcs_rate_coefficients(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride,
                                 conditions, cond_cell_stride, cond_stride, jacobian, jac_cell_stride, jac_row_stride,
                                 status);
}
int pcs_cell_statistics(const pcs_solver* solver, const char* key, int64_t n_cells, int32_t* values) {
    return (void)solver, (void)key, (void)n_cells, (void)values, PCS_E_NAME;
}
int pcs_report(const pcs_solver* solver, const char* key, double* value) {
    return (void)solver, (void)key, (void)value, PCS_E_NAME;
}
const char* pcs_last_error(const pcs_solver* solver) { return (void)solver, ""; }
const char* pcs_status_message(int status) { return (void)status, ""; }
