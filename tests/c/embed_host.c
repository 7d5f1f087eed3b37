/* A host that runs a Python of its own. SPDX-License-Identifier: BSD-3-Clause
 * Usage: embed_host MODEL PYTHON, the executable whose packages it uses. */
#include <Python.h>

#include <pthread.h>

#include "check.h"

static pcs_solver* solver;

static int step(void) {
    double n[29], dt = 1e9, T = 30, zeta = 1e-16;
    for (int i = 0; i < 29; ++i) n[i] = 1e-6;
    n[0] = 1e4;
    return pcs_step(solver, 1, &dt, 0, n, 0, 1, &T, 0, &zeta, 0, 1, NULL, NULL);
}

static void* work(void* code) {
    *(int*)code = step();
    return NULL;
}

int main(int argc, char** argv) {
    PyConfig config;
    pthread_t thread;
    int of_thread = -1;
    if (argc != 3) return 2;
    PyConfig_InitPythonConfig(&config);
    PyConfig_SetBytesString(&config, &config.program_name, argv[2]);
    if (PyStatus_Exception(Py_InitializeFromConfig(&config))) return 3;
    PyConfig_Clear(&config);

    CHECK(pcs_open(argv[1], &solver) == 0); /* with the GIL */
    CHECK(step() == 0);
    PyThreadState* const state = PyEval_SaveThread();
    CHECK(step() == 0); /* without it, here and in a thread that Python does not know */
    CHECK(pthread_create(&thread, NULL, work, &of_thread) == 0);
    pthread_join(thread, NULL);
    CHECK(of_thread == 0);
    PyEval_RestoreThread(state);
    CHECK(PyRun_SimpleString("import pychemsurrogate.embed") == 0);

    CHECK(Py_FinalizeEx() == 0);
    CHECK(step() == PCS_E_PYTHON && strstr(pcs_last_error(solver), "finalised") != NULL);
    CHECK(pcs_species_index(solver, "CO") >= 0); /* names need no Python */
    pcs_close(&solver);
    CHECK(solver == NULL);
    return finish();
}
