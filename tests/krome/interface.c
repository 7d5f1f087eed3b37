/* Every function and symbol of krome.h and krome_user.h (with ierr); prints the numbers for the test to compare.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "krome.h"

#include "krome_user.h"

/* Once more: the headers guard themselves. */
#include "krome.h"
#include "krome_user.h"

static void show(const char* name, const double* values, int count) {
    int i;
    printf("%s", name);
    for (i = 0; i < count; ++i) printf(" %.17g", values[i]);
    printf("\n");
}

static void show1(const char* name, double value) { show(name, &value, 1); }

int main(int argc, char** argv) {
    double *cell, *n, *x, *out, T, dt, none = 0, after[2];
    int i, ierr, status[2] = {9, 9}, protons[1000];
    FILE* in;
    if (argc != 2 || (in = fopen(argv[1], "rb")) == NULL) return 2;
    cell = calloc((size_t)(3 + krome_nmols), sizeof(double));
    n = calloc((size_t)(2 * krome_nspec), sizeof(double));
    x = calloc((size_t)krome_nspec, sizeof(double));
    out = calloc((size_t)(krome_nrea + krome_nspec), sizeof(double));
    if (fread(cell, sizeof(double), (size_t)(3 + krome_nmols), in) != (size_t)(3 + krome_nmols)) return 3;
    T = cell[0];
    dt = cell[2];
    for (i = 0; i < krome_nmols; ++i) n[i] = n[krome_nmols + i] = cell[3 + i];

    printf("names");
    for (i = 0; i < krome_nspec; ++i) printf(" %s", krome_names[i]);
    printf("\nsizes %d %d %d %d %d\n", krome_nmols, krome_nrea, krome_nspec, krome_natoms, krome_nuser);
    printf("index %d %d %d %d\n", krome_idx_E, krome_idx_CO, krome_get_index("CO"), krome_get_index("Xx"));
    show1("seconds_per_year", krome_seconds_per_year);
    ierr = 5;
    krome(n, &T, &none, &ierr); /* opens the model */
    printf("uninitialised %d %d %s\n", ierr, krome_get_status(), krome_get_message());
    printf("init %d\n", krome_init_ierr());
    krome_init();
    krome_set_user_crate(cell[1]);
    show1("crate", krome_get_user_crate());
    krome_set_tcmb(2.8);
    show1("tcmb", krome_get_tcmb());
    krome_set_metallicity(0.3);
    krome_set_orthopararatio(2.0);
    after[0] = krome_get_metallicity();
    after[1] = krome_get_orthopararatio();
    show("kept", after, 2);
    krome_get_mass(out);
    show("mass", out, krome_nmols);
    krome_get_imass(out);
    show("imass", out, krome_nmols);
    krome_get_charges(out);
    show("charges", out, krome_nmols);
    krome_get_zatoms(protons);
    printf("protons");
    for (i = 0; i < krome_nmols; ++i) printf(" %d", protons[i]);
    printf("\n");
    show1("mu", krome_get_mu(n));
    show1("rho", krome_get_rho(n));
    show1("hnuclei", krome_get_hnuclei(n));
    show1("electrons", krome_get_electrons(n));
    show1("gamma", krome_get_gamma(n, T));
    show1("free_fall", krome_get_free_fall_time(n));
    show1("free_fall_rho", krome_get_free_fall_time_rho(krome_get_rho(n)));
    show1("num2col", krome_num2col(1e4, n, T));
    krome_n2x(n, krome_get_rho(n), x);
    show("n2x", x, krome_nmols);
    show1("mu_x", krome_get_mu_x(x));
    show1("gamma_x", krome_get_gamma_x(x, T));
    krome_conservelingetref_x(x, out);
    show("ref", out, krome_natoms);
    for (i = 0; i < krome_nmols; ++i) x[i] *= 1.0 + 0.01 * i;
    krome_conservelin_x(x, out);
    show("conserved", x, krome_nmols);
    krome_consistent_x(x);
    show("consistent", x, krome_nmols);
    krome_x2n(x, 1e-20, out);
    show("x2n", out, krome_nmols);
    krome_scale_z(out, -1.0);
    show("scaled", out, krome_nmols);
    krome_get_coef(T, n, out);
    show("coef", out, krome_nrea);
    krome_get_coe(n, &T, out);
    show("coe", out, krome_nrea);
    krome_get_coet(&T, out);
    show("coet", out, krome_nrea);
    krome_get_flux(n, T, out);
    show("flux", out, krome_nrea);
    krome_get_jacobian(krome_idx_CO, n, T, out);
    show("column", out, krome_nspec);
    krome_thermo_on();
    krome_thermo(n, &T, dt);
    krome_thermo_off();
    show1("T", T);
    krome(n, &T, &dt, &ierr);
    printf("ierr %d\n", ierr);
    show("step", n, krome_nmols);
    for (i = 0; i < krome_nmols; ++i) n[i] = n[krome_nmols + i];
    after[0] = after[1] = T;
    out[0] = out[1] = cell[1];
    ierr = krome_batch(2, n, after, dt, NULL, NULL);
    printf("batch %d", ierr);
    for (i = 0; i < krome_nmols; ++i) n[krome_nmols + i] = cell[3 + i];
    ierr = krome_batch(1, n + krome_nmols, after, dt, out, status);
    printf(" %d %d %d\n", ierr, status[0], status[1]);
    show("batched", n, 2 * krome_nmols);
    for (i = 0; i < krome_nmols; ++i) n[i] = cell[3 + i];
    krome_conserve(n, n, out);
    show("conserve", out, krome_nmols);
    i = 0;
    krome_equilibrium(n, T, &i);
    printf("equilibrium %d\n", krome_get_status());
    show("steady", n, krome_nmols);
    printf("option %d", krome_set_option("rtol", "1e-6"));
    printf(" %d\n", krome_set_option("colour", "blue"));
    printf("failures %d", krome_get_failures());
    printf(" close %d\n", krome_close());
    fclose(in);
    free(cell);
    free(n);
    free(x);
    free(out);
    return 0;
}
