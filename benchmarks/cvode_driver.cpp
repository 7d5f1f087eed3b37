// CVODE, dense or with KLU, on a batch of cells: what the native integrator is measured against.
// SPDX-License-Identifier: BSD-3-Clause
//
// exact_integrator.py writes network_code.hpp (right-hand side and sparse Jacobian of the network as straight-line
// code) and compiles this file with it. The unknowns are x = n / n_H; the rate coefficients are computed once a cell.
#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "network_code.hpp"

namespace {

struct CellData {
    double k[network::n_reactions];
};

int rhs(realtype, N_Vector x, N_Vector dxdt, void* user) {
    network::rhs(static_cast<CellData*>(user)->k, N_VGetArrayPointer(x), N_VGetArrayPointer(dxdt));
    return 0;
}

int sparse_jacobian(realtype, N_Vector x, N_Vector, SUNMatrix J, void* user, N_Vector, N_Vector, N_Vector) {
    std::copy(std::begin(network::column_begin), std::end(network::column_begin), SUNSparseMatrix_IndexPointers(J));
    std::copy(std::begin(network::row), std::end(network::row), SUNSparseMatrix_IndexValues(J));
    network::jacobian(static_cast<CellData*>(user)->k, N_VGetArrayPointer(x), SUNSparseMatrix_Data(J));
    return 0;
}

// CVODE hands in a matrix of zeros.
int dense_jacobian(realtype, N_Vector x, N_Vector, SUNMatrix J, void* user, N_Vector, N_Vector, N_Vector) {
    double value[network::n_entries];
    network::jacobian(static_cast<CellData*>(user)->k, N_VGetArrayPointer(x), value);
    for (int j = 0; j < network::n_species; ++j) {
        double* column = SUNDenseMatrix_Column(J, j);
        for (auto e = network::column_begin[j]; e < network::column_begin[j + 1]; ++e)
            column[network::row[e]] = value[e];
    }
    return 0;
}

}  // namespace

// Advance n (cells, species) [cm^-3] in place by dt [s]; returns 0, or 1 if CVODE could not be set up.
// dense: a dense matrix and LU with pivoting, else KLU. counts: steps, factorisations, failed cells (which keep their
// input).
extern "C" int cvode_advance(std::int64_t cells, double* n, const double* dt, const double* temperature,
                             const double* zeta, double rtol, double atol, int dense, std::int64_t* counts) {
    using network::n_species;
    SUNContext context;
    if (SUNContext_Create(nullptr, &context)) return 1;
    CellData data;
    N_Vector x = N_VNew_Serial(n_species, context);
    double* value = N_VGetArrayPointer(x);
    std::fill_n(value, n_species, 0.0);
    SUNMatrix J = dense ? SUNDenseMatrix(n_species, n_species, context)
                        : SUNSparseMatrix(n_species, n_species, network::n_entries, CSC_MAT, context);
    SUNLinearSolver linear = dense ? SUNLinSol_Dense(x, J, context) : SUNLinSol_KLU(x, J, context);
    void* cvode = CVodeCreate(CV_BDF, context);
    // CVODE's own limit of 7 failed error tests a step gives up on some of these cells.
    bool ready = cvode && J && linear && !CVodeInit(cvode, rhs, 0.0, x) && !CVodeSStolerances(cvode, rtol, atol) &&
                 !CVodeSetUserData(cvode, &data) && !CVodeSetLinearSolver(cvode, linear, J) &&
                 !CVodeSetJacFn(cvode, dense ? dense_jacobian : sparse_jacobian) &&
                 !CVodeSetMaxNumSteps(cvode, 1000000) && !CVodeSetMaxErrTestFails(cvode, 100) &&
                 !CVodeSetErrFile(cvode, nullptr);

    std::fill_n(counts, 3, 0);
    for (std::int64_t cell = 0; ready && cell < cells; ++cell) {
        double* mine = n + cell * n_species;
        const double n_H = network::hydrogen(mine);
        network::rates(temperature[cell], zeta[cell], n_H, data.k);
        for (int i = 0; i < n_species; ++i) value[i] = mine[i] / n_H;
        double reached;
        long steps = 0, setups = 0;
        const bool good = !CVodeReInit(cvode, 0.0, x) && !CVodeSetStopTime(cvode, dt[cell]) &&
                          CVode(cvode, dt[cell], x, &reached, CV_NORMAL) >= 0;
        CVodeGetNumSteps(cvode, &steps);
        CVodeGetNumLinSolvSetups(cvode, &setups);
        counts[0] += steps, counts[1] += setups, counts[2] += !good;
        if (good)
            for (int i = 0; i < n_species; ++i) mine[i] = std::max(value[i], 0.0) * n_H;
    }
    CVodeFree(&cvode);
    SUNLinSolFree(linear);
    SUNMatDestroy(J);
    N_VDestroy(x);
    SUNContext_Free(&context);
    return ready ? 0 : 1;
}
