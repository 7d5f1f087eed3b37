// CVODE, dense or with KLU, on a batch of cells: what the native integrator is measured against.
// SPDX-License-Identifier: BSD-3-Clause
//
// cvode.py compiles this file and hands over the network. The unknowns are x = n / n_H; the rate coefficients are
// computed once a cell.
#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <vector>

#include "cvode_network.hpp"

namespace {

struct CellData {
    CvodeNetwork& network;
    std::vector<double> k, J;
};

int rhs(realtype, N_Vector x, N_Vector dxdt, void* user) {
    auto& [network, k, J] = *static_cast<CellData*>(user);
    network.rhs(k.data(), N_VGetArrayPointer(x), N_VGetArrayPointer(dxdt));
    return 0;
}

int sparse_jacobian(realtype, N_Vector x, N_Vector, SUNMatrix matrix, void* user, N_Vector, N_Vector, N_Vector) {
    auto& [network, k, J] = *static_cast<CellData*>(user);
    std::copy(network.column_begin.begin(), network.column_begin.end(), SUNSparseMatrix_IndexPointers(matrix));
    std::copy(network.row.begin(), network.row.end(), SUNSparseMatrix_IndexValues(matrix));
    network.jacobian(k.data(), N_VGetArrayPointer(x), SUNSparseMatrix_Data(matrix));
    return 0;
}

// CVODE hands in a matrix of zeros.
int dense_jacobian(realtype, N_Vector x, N_Vector, SUNMatrix matrix, void* user, N_Vector, N_Vector, N_Vector) {
    auto& [network, k, J] = *static_cast<CellData*>(user);
    network.jacobian(k.data(), N_VGetArrayPointer(x), J.data());
    for (int j = 0; j < network.n_species; ++j) {
        double* column = SUNDenseMatrix_Column(matrix, j);
        for (auto e = network.column_begin[j]; e < network.column_begin[j + 1]; ++e) column[network.row[e]] = J[e];
    }
    return 0;
}

}  // namespace

// What cvode_advance needs of a network; null if it cannot be served. It is never freed: a benchmark has a handful.
extern "C" void* cvode_network(const NetworkArrays* arrays) {
    try {
        return new CvodeNetwork(*arrays);
    } catch (const std::exception&) {
        return nullptr;
    }
}

// Advance n (cells, species) [cm^-3] in place by dt [s]; returns 0, or 1 if CVODE could not be set up.
// conditions (cells, conditions). dense: a dense matrix and LU with pivoting, else KLU with its ordering (0 AMD, 1
// COLAMD, 2 that of the unknowns), after a permutation to block triangular form if btf.
// counts: steps, factorisations, failed cells (which keep their input), entries of KLU's last factors.
extern "C" int cvode_advance(void* handle, std::int64_t cells, double* n, const double* dt, const double* temperature,
                             const double* conditions, double rtol, double atol, int dense, int ordering, int btf,
                             std::int64_t* counts) {
    CvodeNetwork& network = *static_cast<CvodeNetwork*>(handle);
    const int n_species = network.n_species;
    const auto n_entries = static_cast<std::int64_t>(network.row.size());
    SUNContext context;
    if (SUNContext_Create(nullptr, &context)) return 1;
    CellData data{network, std::vector<double>(network.n_reactions), std::vector<double>(n_entries)};
    N_Vector x = N_VNew_Serial(n_species, context);
    double* value = N_VGetArrayPointer(x);
    std::fill_n(value, n_species, 0.0);
    SUNMatrix J = dense ? SUNDenseMatrix(n_species, n_species, context)
                        : SUNSparseMatrix(n_species, n_species, n_entries, CSC_MAT, context);
    SUNLinearSolver linear = dense ? SUNLinSol_Dense(x, J, context) : SUNLinSol_KLU(x, J, context);
    if (linear && !dense) {
        SUNLinSol_KLUSetOrdering(linear, ordering);
        SUNLinSol_KLUGetCommon(linear)->btf = btf;
    }
    void* cvode = CVodeCreate(CV_BDF, context);
    // CVODE's own limit of 7 failed error tests a step gives up on some of these cells.
    bool ready = cvode && J && linear && !CVodeInit(cvode, rhs, 0.0, x) && !CVodeSStolerances(cvode, rtol, atol) &&
                 !CVodeSetUserData(cvode, &data) && !CVodeSetLinearSolver(cvode, linear, J) &&
                 !CVodeSetJacFn(cvode, dense ? dense_jacobian : sparse_jacobian) &&
                 !CVodeSetMaxNumSteps(cvode, 1000000) && !CVodeSetMaxErrTestFails(cvode, 100) &&
                 !CVodeSetErrFile(cvode, nullptr);

    std::fill_n(counts, 4, 0);
    for (std::int64_t cell = 0; ready && cell < cells; ++cell) {
        double* mine = n + cell * n_species;
        const double n_H = network.hydrogen(mine);
        network.rates(temperature[cell], conditions + cell * network.n_conditions, n_H, data.k.data());
        for (int u = 0; u < n_species; ++u) value[u] = mine[network.order[u]] / n_H;
        double reached;
        long steps = 0, setups = 0;
        const bool good = !CVodeReInit(cvode, 0.0, x) && !CVodeSetStopTime(cvode, dt[cell]) &&
                          CVode(cvode, dt[cell], x, &reached, CV_NORMAL) >= 0;
        CVodeGetNumSteps(cvode, &steps);
        CVodeGetNumLinSolvSetups(cvode, &setups);
        counts[0] += steps, counts[1] += setups, counts[2] += !good;
        if (good)
            for (int u = 0; u < n_species; ++u) mine[network.order[u]] = std::max(value[u], 0.0) * n_H;
    }
    if (const auto* factors = ready && !dense ? SUNLinSol_KLUGetNumeric(linear) : nullptr)
        counts[3] = factors->lnz + factors->unz;
    CVodeFree(&cvode);
    SUNLinSolFree(linear);
    SUNMatDestroy(J);
    N_VDestroy(x);
    SUNContext_Free(&context);
    return ready ? 0 : 1;
}
