/* Active particles of an SPH code, in mass fractions: -useX, no ierr. SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "krome.h"

#include "krome_user.h"

int main(int argc, char** argv) {
    const int species = krome_nmols;
    double* cell = malloc((size_t)(3 + species) * sizeof(double));
    double* x = malloc((size_t)species * sizeof(double));
    double* n = malloc((size_t)species * sizeof(double));
    FILE *in, *out;
    int particle, particles;
    if (argc != 4 || (in = fopen(argv[1], "rb")) == NULL || (out = fopen(argv[2], "wb")) == NULL) return 2;
    particles = atoi(argv[3]);
    krome_set_mpi_rank(0);
    krome_init();
    krome_set_tcmb(2.73);
    krome_set_tfloor(2.73);
    krome_set_zredshift(0.0);
    krome_set_z(1.0);
    krome_set_dust_to_gas(1.0);
    for (particle = 0; particle < particles; ++particle) {
        double rho, temp, dt, mu, total = 0.0;
        int i;
        if (fread(cell, sizeof(double), (size_t)(3 + species), in) != (size_t)(3 + species)) return 3;
        temp = cell[0];
        dt = cell[2];
        rho = krome_get_rho(cell + 3);
        krome_n2x(cell + 3, rho, x);
        krome_consistent_x(x);
        krome_x2n(x, rho, cell + 3);
        fwrite(cell, sizeof(double), (size_t)(3 + species), out);
        mu = krome_get_mu_x(x);
        if (!(mu > 0.5 && mu < 3.0) || fabs(krome_get_gamma_x(x, temp) - 5.0 / 3.0) > 1e-10) return 4;
        krome_set_user_crflux(cell[1]);
        krome(x, rho, &temp, &dt);
        if (krome_get_status() < 0) {
            printf("%s\n", krome_get_message());
            return 5;
        }
        krome_thermo(x, &temp, dt);
        if (temp != cell[0]) return 6;
        for (i = 0; i < species; ++i) total += x[i];
        if (fabs(total - 1.0) > 1e-12 || !(x[krome_idx_CO] >= 0.0)) return 7;
        krome_x2n(x, rho, n);
        fwrite(n, sizeof(double), (size_t)species, out);
    }
    krome_close();
    fclose(in);
    fclose(out);
    free(cell);
    free(x);
    free(n);
    return krome_get_failures();
}
