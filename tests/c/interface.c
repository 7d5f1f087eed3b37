/* Every function of pcs.h and every way it can fail. SPDX-License-Identifier: BSD-3-Clause
 * Usage: interface MODEL FOLDER, the folder with the broken model files that the Python side makes. */
#include "check.h"

static void test_open(const char* model, const char* folder) {
    static const struct {
        const char *file, *message;
    } broken[] = {{"missing.pcs", "does not exist"},
                  {"empty.pcs", "not a pychemsurrogate model"},
                  {"foreign.pcs", "not a pychemsurrogate model"},
                  {"short.pcs", "not a pychemsurrogate model"},
                  {"truncated.pcs", "truncated"},
                  {"longer.pcs", "bytes appended"},
                  {"damaged.pcs", "checksum"},
                  {"version.pcs", "format version 99"},
                  {"directory.pcs", "directory out of bounds"},
                  {"outside.pcs", "lies out of bounds"},
                  {"type.pcs", "unknown type or rank"},
                  {"large.pcs", "is too large"},
                  {"unbalanced.pcs", "no valid network"},
                  {"without_network.pcs", "has no array 'network/"}};
    pcs_solver* solver = (pcs_solver*)&failures; /* must become NULL */
    char path[4096];
    for (size_t i = 0; i < sizeof broken / sizeof *broken; ++i) {
        snprintf(path, sizeof path, "%s/%s", folder, broken[i].file);
        CHECK_FAILS(NULL, pcs_open(path, &solver), PCS_E_FILE, broken[i].message);
        CHECK(solver == NULL);
        CHECK(strstr(pcs_last_error(NULL), broken[i].file) != NULL);
    }
    CHECK_FAILS(NULL, pcs_open(folder, &solver), PCS_E_FILE, "not a file");
    CHECK_FAILS(NULL, pcs_open(NULL, &solver), PCS_E_FILE, "no model given");
    CHECK_FAILS(NULL, pcs_open("", &solver), PCS_E_FILE, "no model given");
    CHECK_FAILS(NULL, pcs_open("atlantis", &solver), PCS_E_FILE, "set PCS_MODEL_PATH");
    CHECK_FAILS(NULL, pcs_open(model, NULL), PCS_E_ARGUMENT, "null");

    pcs_close(NULL);
    pcs_close(&solver);
    CHECK(pcs_open("osu_09_2008", &solver) == 0);
    pcs_close(&solver);
    CHECK(solver == NULL);
    pcs_close(&solver);
}

static void test_names(const pcs_solver* solver) {
    const int species = pcs_n_species(solver), conserved = pcs_n_conserved(solver);
    double value = -7;
    CHECK(species == 29);
    for (int i = 0; i < species; ++i) CHECK(pcs_species_index(solver, pcs_species_name(solver, i)) == i);
    CHECK(pcs_species_name(solver, -1) == NULL && pcs_species_name(solver, species) == NULL);
    CHECK_FAILS(solver, pcs_species_index(solver, "E"), PCS_E_NAME, "unknown species 'E'; known are: ");
    CHECK_FAILS(solver, pcs_species_index(solver, NULL), PCS_E_ARGUMENT, "name is null");

    CHECK(pcs_n_conditions(solver) == 1);
    CHECK(pcs_condition_index(solver, "zeta") == 0);
    CHECK(strcmp(pcs_condition_name(solver, 0), "zeta") == 0);
    CHECK(pcs_condition_name(solver, 1) == NULL && pcs_condition_name(solver, -1) == NULL);
    CHECK_FAILS(solver, pcs_condition_index(solver, "A_V"), PCS_E_NAME, "known are: zeta");
    CHECK_FAILS(solver, pcs_condition_index(solver, NULL), PCS_E_ARGUMENT, "name is null");

    CHECK(conserved == 4);
    CHECK(strcmp(pcs_conserved_name(solver, conserved - 1), "charge") == 0);
    CHECK(pcs_conserved_name(solver, conserved) == NULL && pcs_conserved_name(solver, -1) == NULL);
    CHECK(pcs_composition(solver, conserved - 1, pcs_species_index(solver, "e-"), &value) == 0 && value == -1);
    for (int q = 0; q < conserved; ++q)
        if (strcmp(pcs_conserved_name(solver, q), "H") == 0)
            CHECK(pcs_composition(solver, q, pcs_species_index(solver, "H2O"), &value) == 0 && value == 2);
    CHECK_FAILS(solver, pcs_composition(solver, conserved, 0, &value), PCS_E_ARGUMENT, "out of range");
    CHECK_FAILS(solver, pcs_composition(solver, 0, -1, &value), PCS_E_ARGUMENT, "out of range");
    CHECK_FAILS(solver, pcs_composition(solver, 0, 0, NULL), PCS_E_ARGUMENT, "null");
}

static void test_options(pcs_solver* solver) {
    static const struct {
        const char *key, *value, *message;
    } wrong[] = {{"speed", "1", "unknown option 'speed': the options are mode"},
                 {"", "1", "unknown option"},
                 {"mode", "fast", "must be one of auto, surrogate, exact"},
                 {"repair", "all", "must be one of none, floor, electrons"},
                 {"rtol", "0", "must be a number between"},
                 {"rtol", "1e-2 ", "must be a number between"},
                 {"rtol", "", "must be a number between"},
                 {"atol", "-1", "must be a number between"},
                 {"max_steps", "none", "must be a number between"},
                 {"max_steps", "nan", "must be a number between"},
                 {"threads", "-2", "must be a number between"},
                 {"error_budget_dex", "-1", "must be a number between"},
                 {"exact_every", "-1", "must be a number between"},
                 {"audit", "2", "must be a number between"},
                 {"costs", "1,2,3", "must be model, measure, or 4 numbers"},
                 {"path", "fast", "names no paths: leave it empty"},
                 {"costs", "1,2,3,x", "must be a number between"},
                 {"statistics", "some", "must be one of off, on"}};
    static const char* const right[][2] = {{"mode", "auto"},     {"mode", "exact"},       {"rtol", "1e-3"},
                                           {"atol", "1e-18"},    {"max_steps", "500"},    {"threads", "2"},
                                           {"repair", "floor"},  {"repair", "electrons"}, {"repair", "floor,electrons"},
                                           {"repair", "none"},   {"statistics", "on"},    {"statistics", "off"},
                                           {"exact_every", "0"}, {"audit", "0.5"},        {"error_budget_dex", "1"},
                                           {"costs", "1,2,3,4"}, {"costs", "measure"},    {"path", ""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
        CHECK_FAILS(solver, pcs_set_option(solver, wrong[i].key, wrong[i].value), PCS_E_OPTION, wrong[i].message);
    for (size_t i = 0; i < sizeof right / sizeof *right; ++i)
        CHECK(pcs_set_option(solver, right[i][0], right[i][1]) == 0);
    CHECK_FAILS(solver, pcs_set_option(solver, NULL, "1"), PCS_E_ARGUMENT, "null");
    CHECK_FAILS(solver, pcs_set_option(solver, "rtol", NULL), PCS_E_ARGUMENT, "null");
}

static void test_null_handle(void) {
    double x = 1, value;
    CHECK_FAILS(NULL, pcs_set_option(NULL, "rtol", "1"), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_n_species(NULL), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_species_index(NULL, "H"), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK(pcs_species_name(NULL, 0) == NULL);
    CHECK_FAILS(NULL, pcs_n_conditions(NULL), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_condition_index(NULL, "zeta"), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK(pcs_condition_name(NULL, 0) == NULL);
    CHECK_FAILS(NULL, pcs_n_conserved(NULL), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK(pcs_conserved_name(NULL, 0) == NULL);
    CHECK_FAILS(NULL, pcs_composition(NULL, 0, 0, &value), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_step(NULL, 1, &x, 0, &x, 1, 1, &x, 0, &x, 0, 0, NULL, NULL), PCS_E_ARGUMENT,
                "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_report(NULL, "cells", &value), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_costs(NULL, 1, &value), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK_FAILS(NULL, pcs_step_budget(NULL, 1, &x, 0, &x, 1, 1, &x, 0, &x, 0, 0, &x, 1, NULL, NULL), PCS_E_ARGUMENT,
                "open it with pcs_open");
}

static void test_step_arguments(pcs_solver* solver) {
    double n[2][29], dt = 1e9, T = 30, zeta = 1e-16, value = -7;
    double before[2][29];
    for (int i = 0; i < 29; ++i) n[0][i] = n[1][i] = 1e-6;
    n[0][pcs_species_index(solver, "H2")] = n[1][pcs_species_index(solver, "H2")] = 1e4;
    memcpy(before, n, sizeof n);
    CHECK(pcs_step(solver, 0, NULL, 0, NULL, 0, 0, NULL, 0, NULL, 0, 0, NULL, NULL) == 0);
    CHECK(pcs_report(solver, "cells", &value) == 0 && value == 0);
    CHECK_FAILS(solver, pcs_step(solver, -1, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "negative");
    CHECK_FAILS(solver, pcs_step(solver, 2, NULL, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "not be null");
    CHECK_FAILS(solver, pcs_step(solver, 2, &dt, 0, NULL, 29, 1, &T, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "not be null");
    CHECK_FAILS(solver, pcs_step(solver, 2, &dt, 0, *n, 29, 1, NULL, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "not be null");
    CHECK_FAILS(solver, pcs_step(solver, 2, &dt, 0, *n, 29, 1, &T, 0, NULL, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "conditions");
    CHECK_FAILS(solver, pcs_step(solver, 2, &dt, 0, *n, 0, 1, &T, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "cell stride");
    CHECK_FAILS(solver, pcs_step(solver, 2, &dt, 0, *n, 29, 0, &T, 0, &zeta, 0, 1, NULL, NULL), PCS_E_ARGUMENT,
                "species stride");
    CHECK(memcmp(before, n, sizeof n) == 0);
    CHECK(pcs_step(solver, 1, &dt, 0, *n, 0, 1, &T, 0, &zeta, 0, 0, NULL, NULL) ==
          0); /* one cell needs no cell stride */
    CHECK(memcmp(before[0], n[0], sizeof n[0]) != 0 && memcmp(before[1], n[1], sizeof n[1]) == 0);
    CHECK(T == 30 && dt == 1e9 && zeta == 1e-16);
}

static void test_equilibrium_and_statistics(pcs_solver* solver) {
    double n[2][29] = {{0}}, before[2][29], T = 30, zeta = 1e-16, dt = 1e9, value = -7;
    int8_t status[2] = {9, 9};
    int32_t steps[2] = {-1, -1}, more[2] = {-1, -1};
    for (int cell = 0; cell < 2; ++cell) {
        n[cell][pcs_species_index(solver, "H2")] = 5e3;
        n[cell][pcs_species_index(solver, "O")] = 3;
        n[cell][pcs_species_index(solver, "CO")] = cell;
        n[cell][pcs_species_index(solver, "C")] = 1 - cell;
    }
    n[1][pcs_species_index(solver, "O")] -= 1; /* the same elements in both */
    memcpy(before, n, sizeof n);
    CHECK_FAILS(NULL, pcs_equilibrium(NULL, 2, 1e-4, 1e17, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status), PCS_E_ARGUMENT,
                "open it with pcs_open");
    CHECK_FAILS(solver, pcs_equilibrium(solver, 2, 1, 1e17, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status),
                PCS_E_ARGUMENT, "tolerance");
    CHECK_FAILS(solver, pcs_equilibrium(solver, 2, 1e-4, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status),
                PCS_E_ARGUMENT, "duration");
    CHECK_FAILS(solver, pcs_equilibrium(solver, 2, 1e-4, 1e17, NULL, 29, 1, &T, 0, &zeta, 0, 1, NULL, status),
                PCS_E_ARGUMENT, "not be null");
    CHECK(memcmp(before, n, sizeof n) == 0);

    CHECK(pcs_set_option(solver, "statistics", "on") == 0);
    CHECK(pcs_equilibrium(solver, 2, 1e-4, 1e17, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status) == 0);
    CHECK(status[0] == PCS_STATUS_EXACT_REQUESTED && status[1] == PCS_STATUS_EXACT_REQUESTED);
    for (int i = 0; i < 29; ++i) CHECK(n[0][i] > 0 && n[0][i] < n[1][i] * 1.001 && n[1][i] < n[0][i] * 1.001);
    CHECK(pcs_report(solver, "steps", &value) == 0);
    CHECK(pcs_cell_statistics(solver, "steps", 2, steps) == 0 && value == steps[0] + steps[1] && steps[0] > 1);
    memcpy(before, n, sizeof n);
    CHECK(pcs_equilibrium(solver, 2, 1e-10, 1e3, *n, 0, 1, &T, 0, &zeta, 0, 1, NULL, NULL) == PCS_E_ARGUMENT);
    n[0][pcs_species_index(solver, "CO")] *= 0.5;
    memcpy(before, n, sizeof n);
    CHECK(pcs_equilibrium(solver, 2, 1e-10, 1e6, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status) == 0);
    CHECK(status[0] == PCS_STATUS_NO_EQUILIBRIUM && memcmp(before[0], n[0], sizeof n[0]) == 0);

    CHECK(pcs_step(solver, 2, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status) == 0);
    CHECK(pcs_cell_statistics(solver, "steps", 2, steps) == 0 && steps[0] > 0 && steps[1] > 0);
    CHECK(pcs_cell_statistics(solver, "rejected_steps", 2, more) == 0 && more[0] < steps[0] && more[0] >= 0);
    CHECK(pcs_cell_statistics(solver, "factorisations", 2, more) == 0 && more[0] <= steps[0] && more[0] > 0);
    CHECK_FAILS(solver, pcs_cell_statistics(solver, "joules", 2, steps), PCS_E_NAME, "known are: steps, ");
    CHECK_FAILS(solver, pcs_cell_statistics(solver, "steps", 3, steps), PCS_E_ARGUMENT, "another number of cells");
    CHECK_FAILS(solver, pcs_cell_statistics(solver, "steps", 2, NULL), PCS_E_ARGUMENT, "null");
    CHECK_FAILS(solver, pcs_cell_statistics(solver, NULL, 2, steps), PCS_E_ARGUMENT, "null");
    CHECK_FAILS(NULL, pcs_cell_statistics(NULL, "steps", 2, steps), PCS_E_ARGUMENT, "open it with pcs_open");
    CHECK(pcs_set_option(solver, "statistics", "off") == 0);
    CHECK(pcs_step(solver, 2, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status) == 0);
    CHECK_FAILS(solver, pcs_cell_statistics(solver, "steps", 2, steps), PCS_E_ARGUMENT, "statistics was off");
}

/* Every time of a trajectory is the step to it, in every mode that takes one step; strides as in a step. */
static void test_trajectory(const char* model) {
    enum { times = 4, gap = 31 };
    const double t[times] = {0, 1e10, 1e11, 2e11}, unsorted[2] = {2, 1}, T = 30, zeta = 1e-16;
    double n[2][gap] = {{0}}, before[2][gap], out[2][times][29], value = -7;
    int8_t status[2][times], mask[2][times] = {{1, 1, 1, 1}, {1, 1, 0, 1}};
    pcs_solver* solver = NULL;
    CHECK(pcs_open(model, &solver) == 0);
    for (int cell = 0; cell < 2; ++cell) {
        n[cell][pcs_species_index(solver, "H2")] = 5e3;
        n[cell][pcs_species_index(solver, "C")] = 0.5;
        n[cell][pcs_species_index(solver, "O")] = 1 + cell;
    }
    memcpy(before, n, sizeof n);
    static const char* const modes[] = {"auto", "surrogate", "exact"};
    for (int m = 0; m < 3; ++m) {
        CHECK(pcs_set_option(solver, "mode", modes[m]) == 0);
        CHECK(pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, times, t, **out, 1, *mask, *status) == 0);
        CHECK(memcmp(before, n, sizeof n) == 0);
        CHECK(pcs_report(solver, "cells", &value) == 0 && value == 2 * times);
        CHECK(pcs_report(solver, "masked", &value) == 0 && value == 1);
        CHECK(pcs_report(solver, "unchanged", &value) == 0 && value == 2);
        for (int cell = 0; cell < 2; ++cell)
            for (int k = 0; k < times; ++k) {
                double step[29], one_T = T;
                int8_t one = 99;
                memcpy(step, before[cell], sizeof step);
                if (mask[cell][k])
                    CHECK(pcs_step(solver, 1, &t[k], 0, step, 29, 1, &one_T, 0, &zeta, 0, 1, NULL, &one) == 0);
                else
                    one = PCS_STATUS_MASKED;
                CHECK(status[cell][k] == one);
                /* the integrator goes from time to time: its first one is a step */
                if (k < 2 || one < PCS_STATUS_EXACT_REQUESTED)
                    CHECK(memcmp(step, out[cell][k], sizeof step) == 0);
                else
                    CHECK(out[cell][k][pcs_species_index(solver, "CO")] > 0);
            }
    }
    CHECK_FAILS(solver, pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, times, t, **out, 0, NULL, NULL),
                PCS_E_OPTION, "mode surrogate alone");
    CHECK(pcs_set_option(solver, "mode", "surrogate") == 0);
    CHECK(pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, times, t, **out, 0, NULL, NULL) == 0);
    CHECK(pcs_report(solver, "surrogate", &value) == 0 && value == 6);
    CHECK(pcs_trajectory(solver, 0, NULL, 0, 0, NULL, 0, NULL, 0, 0, times, t, NULL, 1, NULL, NULL) == 0);
    CHECK(pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, 0, NULL, NULL, 1, NULL, NULL) == 0);
    CHECK_FAILS(solver, pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, -1, t, **out, 1, NULL, NULL),
                PCS_E_ARGUMENT, "negative");
    CHECK_FAILS(solver, pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, 2, unsorted, **out, 1, NULL, NULL),
                PCS_E_ARGUMENT, "later than the one before");
    CHECK_FAILS(solver, pcs_trajectory(solver, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, 2, NULL, **out, 1, NULL, NULL),
                PCS_E_ARGUMENT, "not be null");
    CHECK_FAILS(solver, pcs_trajectory(solver, 2, NULL, gap, 1, &T, 0, &zeta, 0, 1, 2, t, **out, 1, NULL, NULL),
                PCS_E_ARGUMENT, "not be null");
    CHECK_FAILS(NULL, pcs_trajectory(NULL, 2, *n, gap, 1, &T, 0, &zeta, 0, 1, 2, t, **out, 1, NULL, NULL),
                PCS_E_ARGUMENT, "open it with pcs_open");
    pcs_close(&solver);
}

static void test_target_error(const char* model) {
    pcs_solver* solver = NULL;
    CHECK(pcs_open(model, &solver) == 0);
    CHECK_FAILS(solver, pcs_set_option(solver, "target_error_dex", "0"), PCS_E_OPTION, "must be a number between");
    CHECK(pcs_set_option(solver, "target_error_dex", "0.01") == 0);
    CHECK(pcs_set_option(solver, "rtol", "1e-3") == 0); /* mode auto takes both: the target is the gate's as well */
    CHECK_FAILS(solver, pcs_set_option(solver, "mode", "exact"), PCS_E_OPTION, "not both");
    pcs_close(&solver);
    CHECK(pcs_open(model, &solver) == 0);
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    CHECK(pcs_set_option(solver, "target_error_dex", "1e-3") == 0);
    CHECK_FAILS(solver, pcs_set_option(solver, "rtol", "1e-3"), PCS_E_OPTION, "not both");
    CHECK_FAILS(solver, pcs_set_option(solver, "atol", "1e-18"), PCS_E_OPTION, "not both");
    pcs_close(&solver);
    CHECK(pcs_open(model, &solver) == 0);
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    CHECK(pcs_set_option(solver, "rtol", "1e-3") == 0);
    CHECK_FAILS(solver, pcs_set_option(solver, "target_error_dex", "0.01"), PCS_E_OPTION, "not both");
    pcs_close(&solver);
}

/* A budget that is spent, one with room, and one that is bad; every second number of the host's array is its own. */
static void test_budget(const char* model) {
    double n[3][29] = {{0}}, before[3][29], dt = 3e10, T = 50, zeta = 1e-16, costs[4] = {-1, -1, -1, -1}, value = -7;
    double error[6] = {0, 77, 10, 77, -1, 77};
    int8_t status[3];
    pcs_solver* solver = NULL;
    CHECK(pcs_open(model, &solver) == 0);
    CHECK(pcs_set_option(solver, "audit", "0") == 0);
    for (int cell = 0; cell < 3; ++cell) {
        n[cell][pcs_species_index(solver, "H2")] = 5e3;
        n[cell][pcs_species_index(solver, "O")] = 1;
        n[cell][pcs_species_index(solver, "C+")] = n[cell][pcs_species_index(solver, "e-")] = 0.5;
    }
    CHECK(pcs_set_option(solver, "mode", "exact") == 0);
    double age = 3e13;
    CHECK(pcs_step(solver, 3, &age, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, NULL, status) == 0);
    CHECK(pcs_set_option(solver, "mode", "auto") == 0);
    memcpy(before, n, sizeof n);
    CHECK(pcs_step_budget(solver, 3, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, error, 2, NULL, status) == 0);
    CHECK(status[0] == PCS_STATUS_SURROGATE && error[0] > 0 && error[0] < 0.1);
    CHECK(status[1] == PCS_STATUS_EXACT_BUDGET && error[2] <= 10);
    CHECK(status[2] == PCS_STATUS_BAD_INPUT && error[4] == -1 && memcmp(n[2], before[2], sizeof n[2]) == 0);
    CHECK(error[1] == 77 && error[3] == 77 && error[5] == 77);
    CHECK(pcs_report(solver, "refused_budget", &value) == 0 && value == 1);
    CHECK_FAILS(solver, pcs_step_budget(solver, 3, &dt, 0, *n, 29, 1, &T, 0, &zeta, 0, 1, error, 0, NULL, status),
                PCS_E_ARGUMENT, "error stride");
    CHECK_FAILS(solver, pcs_costs(solver, 4, costs), PCS_E_OPTION, "no router");
    CHECK_FAILS(solver, pcs_costs(solver, 4, NULL), PCS_E_ARGUMENT, "null");
    CHECK(costs[0] == -1);
    pcs_close(&solver);
}

static void test_report(pcs_solver* solver) {
    static const char* const keys[] = {"cells",          "surrogate",   "unchanged",         "masked",
                                       "exact",          "refused_box", "refused_distance",  "refused_error",
                                       "refused_budget", "routed",      "audited",           "violations",
                                       "bins_tightened", "failed",      "repaired",          "steps",
                                       "rejected_steps", "seconds",     "seconds_surrogate", "seconds_exact",
                                       "defect_max",     "second_try",  "bins_closed"};
    double value;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        value = -7;
        CHECK(pcs_report(solver, keys[i], &value) == 0 && value >= 0);
    }
    CHECK(pcs_report(solver, "exact", &value) == 0 && value == 1);
    value = -7;
    CHECK_FAILS(solver, pcs_report(solver, "speed", &value), PCS_E_NAME, "known are: cells, ");
    CHECK(value == -7);
    CHECK_FAILS(solver, pcs_report(solver, NULL, &value), PCS_E_ARGUMENT, "null");
    CHECK_FAILS(solver, pcs_report(solver, "cells", NULL), PCS_E_ARGUMENT, "null");
}

static void test_status_messages(void) {
    CHECK(strstr(pcs_status_message(PCS_STATUS_BAD_INPUT), "mend the cell") != NULL);
    CHECK(strstr(pcs_status_message(PCS_STATUS_EXACT_REQUESTED), "exact") != NULL);
    CHECK(strstr(pcs_status_message(99), "unknown") != NULL);
    CHECK(strcmp(pcs_status_message(PCS_STATUS_UNSUPPORTED), pcs_status_message(PCS_STATUS_STEP_LIMIT)) != 0);
}

int main(int argc, char** argv) {
    pcs_solver* solver = NULL;
    if (argc != 3) return 2;
    CHECK(strcmp(pcs_last_error(NULL), "") == 0);
    CHECK(pcs_abi_version() == PCS_ABI_VERSION);
    test_open(argv[1], argv[2]);
    CHECK(pcs_open(argv[1], &solver) == 0);
    if (!solver) return finish();
    test_names(solver);
    test_options(solver);
    test_null_handle();
    test_step_arguments(solver);
    test_report(solver);
    test_equilibrium_and_statistics(solver);
    test_trajectory(argv[1]);
    test_target_error(argv[1]);
    test_budget(argv[1]);
    test_status_messages();
    pcs_close(&solver);
    return finish();
}
