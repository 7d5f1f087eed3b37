/* Handles with device=cuda against handles on the cpu; links the emulated CUDA runtime.
 * Usage: device MODEL CELLS PART */
#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cells.h"
#include "check.h"
#include "cuda_runtime.h"

static const char* model;
static cell_file c;
static const double same = 1e-10; /* [dex], of kernels that do the same arithmetic: PCS_ISA=scalar */

/* Arrays of all cells; the host's order of species runs slowest on the device. */
typedef struct {
    double *n, *temperature, *dt, *conditions, *error;
    int8_t* status;
} arrays;

static size_t of_cells(int64_t columns) { return (size_t)(c.cells * columns) * sizeof(double); }

static void* on_device(const void* values, size_t bytes) {
    void* memory = NULL;
    CHECK(cudaMalloc(&memory, bytes) == cudaSuccess);
    if (values) CHECK(cudaMemcpy(memory, values, bytes, cudaMemcpyHostToDevice) == cudaSuccess);
    return memory;
}
static void* copied(const void* values, size_t bytes) {
    void* memory = malloc(bytes);
    if (!memory) exit(2);
    memcpy(memory, values, bytes);
    return memory;
}

static arrays host_arrays(void) {
    arrays a;
    a.n = copied(c.n, of_cells(c.species));
    a.temperature = c.temperature, a.dt = c.dt, a.conditions = c.condition;
    a.error = calloc((size_t)c.cells, sizeof(double));
    a.status = malloc((size_t)c.cells);
    return a;
}
static arrays device_arrays(void) {
    arrays a;
    double *columns = copied(c.n, of_cells(c.species)), *none = calloc((size_t)c.cells, sizeof(double));
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s) columns[s * c.cells + cell] = c.n[cell * c.species + s];
    a.n = on_device(columns, of_cells(c.species));
    a.temperature = on_device(c.temperature, of_cells(1));
    a.dt = on_device(c.dt, of_cells(1));
    a.conditions = on_device(c.condition, of_cells(c.conditions));
    a.error = on_device(none, of_cells(1));
    a.status = on_device(NULL, (size_t)c.cells);
    free(columns), free(none);
    return a;
}
static void free_device_arrays(arrays* a) {
    cudaFree(a->n), cudaFree(a->temperature), cudaFree(a->dt), cudaFree(a->conditions), cudaFree(a->error);
    cudaFree(a->status);
}

static pcs_solver* opened(const char* const* options) {
    pcs_solver* solver = NULL;
    CHECK(pcs_open(model, &solver) == 0);
    /* Given costs make the router's choices the same everywhere. */
    CHECK(pcs_set_option(solver, "costs", "10,3,2,1") == 0);
    for (; options && *options; options += 2) CHECK(pcs_set_option(solver, options[0], options[1]) == 0);
    return solver;
}

static int step_host(pcs_solver* solver, const arrays* a) {
    return pcs_step_budget(solver, c.cells, a->dt, 1, a->n, c.species, 1, a->temperature, 1, a->conditions,
                           c.conditions, 1, a->error, 1, NULL, a->status);
}
static int step_device(pcs_solver* solver, const arrays* a) {
    return pcs_step_budget(solver, c.cells, a->dt, 1, a->n, 1, c.cells, a->temperature, 1, a->conditions, c.conditions,
                           1, a->error, 1, NULL, a->status);
}

static double report(pcs_solver* solver, const char* key) {
    double value = NAN;
    CHECK(pcs_report(solver, key, &value) == 0);
    return value;
}

/* Largest difference in dex of species above 1e-12 of their cell's sum; n: [cell][species] or [species][cell]. */
static double difference(const double* host, const double* n, int by_species) {
    double worst = 0;
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        double sum = 0;
        for (int64_t s = 0; s < c.species; ++s) sum += host[cell * c.species + s];
        for (int64_t s = 0; s < c.species; ++s) {
            const double a = host[cell * c.species + s],
                         b = by_species ? n[s * c.cells + cell] : n[cell * c.species + s];
            if (a > 1e-12 * sum) worst = fmax(worst, fabs(log10(b / a)));
            if (!(b >= 0)) worst = INFINITY;
        }
    }
    return worst;
}

static void check_result(const arrays* host, const arrays* device, double within) {
    double *n = malloc(of_cells(c.species)), *error = malloc(of_cells(1));
    int8_t* status = malloc((size_t)c.cells);
    if (!n || !status || !error) exit(2);
    CHECK(cudaMemcpy(n, device->n, of_cells(c.species), cudaMemcpyDeviceToHost) == cudaSuccess);
    CHECK(cudaMemcpy(status, device->status, (size_t)c.cells, cudaMemcpyDeviceToHost) == cudaSuccess);
    if (device->error) CHECK(cudaMemcpy(error, device->error, of_cells(1), cudaMemcpyDeviceToHost) == cudaSuccess);
    CHECK(memcmp(status, host->status, (size_t)c.cells) == 0);
    CHECK(difference(host->n, n, 1) <= within);
    for (int64_t cell = 0; device->error && cell < c.cells; ++cell)
        CHECK(fabs(error[cell] - host->error[cell]) <= within);
    free(n), free(status), free(error);
}

/* One mode: arrays of the device, without any wait; arrays of the host, copied: against the cpu. */
static void test_mode(const char* const* options, double within) {
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    arrays host = host_arrays(), staged = host_arrays(), device = device_arrays(), again = device_arrays();
    CHECK(pcs_set_option(gpu, "device", "cuda:0") == 0);
    CHECK(step_host(cpu, &host) == 0);

    CHECK(step_host(gpu, &staged) == 0);
    CHECK(memcmp(staged.status, host.status, (size_t)c.cells) == 0);
    CHECK(difference(host.n, staged.n, 0) <= within);
    const char* const keys[] = {"cells",          "surrogate", "unchanged", "masked",        "exact",
                                "refused_box",    "failed",    "audited",   "violations",    "second_try",
                                "refused_budget", "routed",    "steps",     "rejected_steps"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; ++k) {
        if (report(cpu, keys[k]) != report(gpu, keys[k])) printf("%s\n", keys[k]), ++failures;
    }
    CHECK(fabs(report(gpu, "defect_max") - report(cpu, "defect_max")) <= 1e-12);
    CHECK(report(gpu, "seconds") > 0);

    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    CHECK(step_device(gpu, &device) == 0);
    check_result(&host, &device, within);
    const long long waits = emulator_synchronisations(), allocations = emulator_allocations();
    CHECK(step_device(gpu, &again) == 0);
    CHECK(emulator_synchronisations() == waits);
    CHECK(emulator_allocations() == allocations);
    CHECK(report(gpu, "cells") == (double)c.cells);
    CHECK(emulator_synchronisations() > waits);
    CHECK(report(gpu, "exact") == report(cpu, "exact"));
    CHECK(report(gpu, "surrogate") == report(cpu, "surrogate"));
    check_result(&host, &again, within);

    /* The same bits from both. */
    double* n = malloc(of_cells(c.species));
    if (!n) exit(2);
    CHECK(cudaMemcpy(n, again.n, of_cells(c.species), cudaMemcpyDeviceToHost) == cudaSuccess);
    int64_t different = 0;
    for (int64_t cell = 0; cell < c.cells; ++cell)
        for (int64_t s = 0; s < c.species; ++s)
            different += memcmp(&n[s * c.cells + cell], &staged.n[cell * c.species + s], sizeof *n) != 0;
    CHECK(different == 0);
    free(n);
    free_device_arrays(&device), free_device_arrays(&again);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

/* Masks, no statuses, one value for all cells in the host's memory, and no cells at all. */
static void test_arguments(void) {
    static const char* const options[] = {"mode", "exact", NULL};
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    arrays host = host_arrays(), device = device_arrays();
    int8_t* mask = calloc((size_t)c.cells, 1);
    if (!mask) exit(2);
    for (int64_t cell = 0; cell < c.cells; cell += 3) mask[cell] = 1;
    int8_t* mask_there = on_device(mask, (size_t)c.cells);
    const double dt = c.dt[0], temperature = 50.0, zeta = 1e-17;
    CHECK(pcs_step(cpu, c.cells, &dt, 0, host.n, c.species, 1, (double*)&temperature, 0, &zeta, 0, 1, mask,
                   host.status) == 0);
    CHECK(pcs_step(gpu, c.cells, &dt, 0, device.n, 1, c.cells, (double*)&temperature, 0, &zeta, 0, 1, mask_there,
                   device.status) == 0);
    memset(host.error, 0, of_cells(1));
    check_result(&host, &device, same);
    CHECK(report(gpu, "masked") == report(cpu, "masked") && report(cpu, "masked") > 0);
    CHECK(pcs_step(gpu, c.cells, &dt, 0, device.n, 1, c.cells, (double*)&temperature, 0, &zeta, 0, 1, mask_there,
                   NULL) == 0);
    CHECK(report(gpu, "masked") == report(cpu, "masked"));
    CHECK(pcs_step(gpu, 0, NULL, 0, NULL, 0, 0, NULL, 0, NULL, 0, 0, NULL, NULL) == 0);
    CHECK(report(gpu, "cells") == 0);
    CHECK_FAILS(gpu, pcs_step(gpu, 1, &dt, 0, NULL, 1, 1, device.temperature, 1, &zeta, 0, 1, NULL, NULL),
                PCS_E_ARGUMENT, "must not be null");
    CHECK_FAILS(gpu, pcs_step(gpu, -1, &dt, 0, device.n, 1, 1, device.temperature, 1, &zeta, 0, 1, NULL, NULL),
                PCS_E_ARGUMENT, "negative");
    cudaFree(mask_there), free(mask), free_device_arrays(&device);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

/* Two handles, each on a stream of its own, whose reports wait for nobody else's work. */
static void test_streams(void) {
    static const char* const options[] = {"mode", "exact", "device", "cuda", "memory", "device", NULL};
    static const char* const on_cpu[] = {"mode", "exact", NULL};
    pcs_solver *handles[2], *cpu = opened(on_cpu);
    arrays host = host_arrays(), device[2];
    cudaStream_t streams[2];
    CHECK(step_host(cpu, &host) == 0);
    for (int k = 0; k < 2; ++k) {
        char address[32];
        CHECK(cudaStreamCreateWithFlags(&streams[k], cudaStreamNonBlocking) == cudaSuccess);
        handles[k] = opened(options);
        device[k] = device_arrays();
        snprintf(address, sizeof address, k ? "0x%llx" : "%llu", (unsigned long long)(uintptr_t)streams[k]);
        CHECK(pcs_set_option(handles[k], "stream", address) == 0);
        CHECK(step_device(handles[k], &device[k]) == 0);
    }
    CHECK(report(handles[1], "exact") == report(cpu, "exact"));
    CHECK(cudaStreamQuery(streams[1]) == cudaSuccess);
    CHECK(cudaStreamQuery(streams[0]) == cudaErrorNotReady);
    CHECK(report(handles[0], "exact") == report(cpu, "exact"));
    for (int k = 0; k < 2; ++k) {
        check_result(&host, &device[k], same);
        free_device_arrays(&device[k]);
        CHECK(pcs_close(&handles[k]) == 0);
        CHECK(cudaStreamDestroy(streams[k]) == cudaSuccess);
    }
    CHECK(pcs_close(&cpu) == 0);
}

/* Two threads on one handle and one stream take turns; each has its own report. */
static pcs_solver* shared;
static void* step_often(void* thread) {
    for (int k = 0; k < 3; ++k) {
        arrays device = device_arrays();
        const int64_t cells = c.cells - *(int*)thread;
        CHECK(pcs_step(shared, cells, device.dt, 1, device.n, 1, c.cells, device.temperature, 1, device.conditions,
                       c.conditions, 1, NULL, device.status) == 0);
        CHECK(report(shared, "cells") == (double)cells);
        free_device_arrays(&device);
    }
    return NULL;
}
static void test_threads(void) {
    static const char* const options[] = {"mode", "exact", "device", "cuda", "memory", "device", NULL};
    int numbers[2] = {0, 1};
    pthread_t threads[2];
    shared = opened(options);
    for (int k = 0; k < 2; ++k) CHECK(pthread_create(&threads[k], NULL, step_often, &numbers[k]) == 0);
    for (int k = 0; k < 2; ++k) CHECK(pthread_join(threads[k], NULL) == 0);
    CHECK(pcs_close(&shared) == 0);
}

/* Fractions on the device as on the cpu. */
static void test_units(const char* units, double density_scale) {
    const char* const options[] = {"mode", "exact", "units", units, NULL};
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    arrays host = host_arrays(), staged = host_arrays();
    double* conditions = malloc(of_cells(2));
    if (!conditions) exit(2);
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        conditions[2 * cell] = c.condition[cell * c.conditions];
        conditions[2 * cell + 1] = cell == 1 ? -1.0 : 1e4 * density_scale;
        for (int64_t s = 0; s < c.species; ++s) {
            host.n[cell * c.species + s] = c.n[cell * c.species + s] * 1e-4;
            staged.n[cell * c.species + s] = host.n[cell * c.species + s];
        }
    }
    pcs_solver* both[] = {cpu, gpu};
    arrays* of[] = {&host, &staged};
    for (int k = 0; k < 2; ++k)
        CHECK(pcs_step(both[k], c.cells, c.dt, 1, of[k]->n, c.species, 1, c.temperature, 1, conditions, 2, 1, NULL,
                       of[k]->status) == 0);
    CHECK(memcmp(staged.status, host.status, (size_t)c.cells) == 0);
    CHECK(host.status[1] < 0);
    CHECK(difference(host.n, staged.n, 0) <= same);
    free(conditions);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

static void test_trajectory(const char* mode, double within) {
    const char* const options[] = {"mode", mode, NULL};
    enum { times = 3 };
    const double when[times] = {0, 1e9, 1e11};
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    double *expected = malloc(of_cells(times * c.species)), *got = malloc(of_cells(times * c.species));
    int8_t *status = malloc((size_t)(times * c.cells)), *also = malloc((size_t)(times * c.cells));
    if (!expected || !got || !status || !also) exit(2);
    CHECK(pcs_trajectory(cpu, c.cells, c.n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, times, when,
                         expected, 1, NULL, status) == 0);
    CHECK(pcs_trajectory(gpu, c.cells, c.n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, times, when,
                         got, 1, NULL, also) == 0);
    CHECK(memcmp(status, also, (size_t)(times * c.cells)) == 0);
    CHECK(report(gpu, "cells") == report(cpu, "cells") && report(gpu, "exact") == report(cpu, "exact"));
    double worst = 0;
    for (int64_t k = 0; k < times * c.cells * c.species; ++k)
        if (expected[k] > 1e-6) worst = fmax(worst, fabs(log10(got[k] / expected[k])));
    CHECK(worst <= within);

    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    arrays device = device_arrays();
    double* there = on_device(NULL, of_cells(times * c.species));
    double* back = malloc(of_cells(times * c.species));
    if (!back) exit(2);
    CHECK(pcs_trajectory(gpu, c.cells, device.n, 1, c.cells, device.temperature, 1, device.conditions, c.conditions, 1,
                         times, when, there, 1, NULL, NULL) == 0);
    CHECK(report(gpu, "exact") == report(cpu, "exact"));
    CHECK(cudaMemcpy(back, there, of_cells(times * c.species), cudaMemcpyDeviceToHost) == cudaSuccess);
    CHECK(memcmp(back, got, of_cells(times * c.species)) == 0);
    CHECK_FAILS(gpu,
                pcs_trajectory(gpu, c.cells, device.n, 1, c.cells, device.temperature, 1, device.conditions,
                               c.conditions, 1, times, when, got, 1, NULL, NULL),
                PCS_E_DEVICE, "out_cm3 is memory of the host, but the option memory is device");
    cudaFree(there), free(back), free(expected), free(got), free(status), free(also), free_device_arrays(&device);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

static void test_statistics(void) {
    static const char* const options[] = {"mode", "exact", "statistics", "on", NULL};
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    arrays host = host_arrays(), staged = host_arrays();
    int32_t *steps = malloc((size_t)c.cells * sizeof *steps), *also = malloc((size_t)c.cells * sizeof *also);
    if (!steps || !also) exit(2);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    CHECK(step_host(cpu, &host) == 0 && step_host(gpu, &staged) == 0);
    CHECK(pcs_cell_statistics(cpu, "steps", c.cells, steps) == 0);
    CHECK(pcs_cell_statistics(gpu, "steps", c.cells, also) == 0);
    int64_t sum = 0;
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        CHECK(steps[cell] == also[cell]);
        sum += also[cell];
    }
    CHECK((double)sum == report(gpu, "steps"));
    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    CHECK_FAILS(gpu, step_host(gpu, &staged), PCS_E_OPTION, "statistics needs memory=host");
    free(steps), free(also);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

/* Costs are measured on the device where nobody gives them, and decide as costs do. */
static void test_costs(void) {
    pcs_solver* gpu = opened(NULL);
    double costs[8] = {0};
    CHECK(pcs_set_option(gpu, "costs", "measure") == 0);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    CHECK(pcs_costs(gpu, 4, costs) == 4);
    for (int k = 1; k < 4; ++k) CHECK(costs[k] > 0 && costs[k] < 1e9);
    CHECK(costs[0] >= 0);
    const long long waits = emulator_synchronisations();
    CHECK(pcs_costs(gpu, 4, costs) == 4);
    CHECK(emulator_synchronisations() == waits);
    CHECK(pcs_close(&gpu) == 0);
}

/* A model whose gate trusts too much: the audit moves its thresholds, on the device as on the cpu. */
static void test_audit(void) {
    static const char* const options[] = {"audit", "1", "exact_every", "0", "target_error_dex", "0.05", NULL};
    pcs_solver *cpu = opened(options), *gpu = opened(options);
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    double moved = 0;
    for (int k = 0; k < 8; ++k) {
        arrays host = host_arrays(), device = device_arrays();
        cudaFree(device.error), free(host.error);
        host.error = device.error = NULL; /* a budget would refuse what this gate trusts */
        CHECK(step_host(cpu, &host) == 0 && step_device(gpu, &device) == 0);
        const char* const keys[] = {"audited", "violations", "bins_tightened", "bins_closed", "surrogate", "exact"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i)
            if (report(cpu, keys[i]) != report(gpu, keys[i])) printf("step %d: %s\n", k, keys[i]), ++failures;
        moved += report(gpu, "bins_tightened") + report(gpu, "bins_closed");
        CHECK(report(gpu, "bins_closed") == report(cpu, "bins_closed")); /* merged once, however often it is asked */
        check_result(&host, &device, same);
        free_device_arrays(&device);
    }
    CHECK(moved > 0);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
}

/* A report is kept for 256 calls. */
static void test_reports(void) {
    static const char* const options[] = {"mode", "exact", "device", "cuda", "memory", "device", NULL};
    pcs_solver* gpu = opened(options);
    arrays device = device_arrays();
    CHECK(step_device(gpu, &device) == 0);
    CHECK(pcs_set_option(gpu, "device", "cpu") == 0);
    double value;
    CHECK_FAILS(gpu, pcs_report(gpu, "exact", &value), PCS_E_ARGUMENT, "before the option device");
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);
    CHECK_FAILS(gpu, pcs_report(gpu, "exact", &value), PCS_E_ARGUMENT, "report of this call is gone");
    free_device_arrays(&device);
    CHECK(pcs_close(&gpu) == 0);
}

/* One call in a graph, which runs twice. */
static void test_graph(void) {
    static const char* const options[] = {"mode", "auto", "device", "cuda", "memory", "device", NULL};
    pcs_solver *gpu = opened(options), *cpu = opened(NULL);
    arrays device = device_arrays(), once = device_arrays(), host = host_arrays();
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    char address[32];
    CHECK(cudaStreamCreate(&stream) == cudaSuccess);
    snprintf(address, sizeof address, "%llu", (unsigned long long)(uintptr_t)stream);
    CHECK(pcs_set_option(gpu, "stream", address) == 0);
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK_FAILS(gpu, step_device(gpu, &device), PCS_E_DEVICE, "before the capture");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(step_device(gpu, &once) == 0);
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(step_device(gpu, &device) == 0);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess);
    for (int k = 0; k < 2; ++k) {
        CHECK(cudaGraphLaunch(ready, stream) == cudaSuccess);
        CHECK(step_host(cpu, &host) == 0);
    }
    CHECK(report(gpu, "exact") == report(cpu, "exact"));
    check_result(&host, &device, same);
    CHECK(cudaGraphExecDestroy(ready) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(pcs_close(&cpu) == 0 && pcs_close(&gpu) == 0);
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
    free_device_arrays(&device), free_device_arrays(&once);
}

static void test_misuse(void) {
    pcs_solver* gpu = opened(NULL);
    arrays host = host_arrays(), device = device_arrays();
    CHECK_FAILS(gpu, pcs_set_option(gpu, "device", "cuda:x"), PCS_E_OPTION, "one of cpu, cuda, cuda:k");
    CHECK_FAILS(gpu, pcs_set_option(gpu, "device", "cuda:7"), PCS_E_DEVICE, "there is no GPU 7");
    CHECK_FAILS(gpu, pcs_set_option(gpu, "memory", "disk"), PCS_E_OPTION, "one of host, device");
    CHECK_FAILS(gpu, pcs_set_option(gpu, "stream", "0xq"), PCS_E_OPTION, "address of a CUDA stream");
    CHECK(pcs_set_option(gpu, "memory", "device") == 0);
    CHECK_FAILS(gpu, step_host(gpu, &host), PCS_E_OPTION, "device is cpu");
    CHECK(pcs_set_option(gpu, "device", "cuda") == 0);

    CHECK_FAILS(gpu, step_host(gpu, &host), PCS_E_DEVICE,
                "n_cm3 is memory of the host, but the option memory is device");
    arrays mixed = device;
    mixed.temperature = host.temperature;
    CHECK_FAILS(gpu, step_device(gpu, &mixed), PCS_E_DEVICE, "temperature_K is memory of the host");
    mixed = device, mixed.status = host.status;
    CHECK_FAILS(gpu, step_device(gpu, &mixed), PCS_E_DEVICE, "status is memory of the host");
    mixed = device, mixed.error = host.error;
    CHECK_FAILS(gpu, step_device(gpu, &mixed), PCS_E_DEVICE, "error_dex is memory of the host");
    CHECK_FAILS(gpu,
                pcs_step(gpu, c.cells, device.dt, 1 << 24, device.n, 1, c.cells, device.temperature, 1,
                         device.conditions, c.conditions, 1, NULL, NULL),
                PCS_E_DEVICE, "dt_s is memory of the GPU 0, but its farthest element");
    CHECK(cudaSetDevice(1) == cudaSuccess);
    mixed = device, mixed.dt = on_device(c.dt, of_cells(1));
    CHECK_FAILS(gpu, step_device(gpu, &mixed), PCS_E_DEVICE, "dt_s is memory of the GPU 1, but the handle");
    int current = 0;
    CHECK(cudaGetDevice(&current) == cudaSuccess && current == 1); /* the thread's own choice */
    CHECK(cudaSetDevice(0) == cudaSuccess);
    CHECK(pcs_set_option(gpu, "memory", "host") == 0);
    CHECK_FAILS(gpu, step_device(gpu, &device), PCS_E_DEVICE,
                "n_cm3 is memory of the GPU 0, but the option memory is host");
    CHECK(pcs_set_option(gpu, "memory", "device") == 0);

    CHECK(pcs_set_option(gpu, "stream", "12345678") == 0);
    CHECK_FAILS(gpu, step_device(gpu, &device), PCS_E_DEVICE, "no stream of this device");
    CHECK(pcs_set_option(gpu, "stream", "0") == 0);

    double rates = 0;
    CHECK_FAILS(
        gpu, pcs_rhs(gpu, 1, host.n, c.species, 1, c.temperature, 1, c.condition, c.conditions, 1, &rates, 1, 1, NULL),
        PCS_E_OPTION, "worked out on the cpu alone");
    CHECK_FAILS(gpu,
                pcs_equilibrium(gpu, 1, 1e-5, 1e15, host.n, c.species, 1, c.temperature, 1, c.condition, c.conditions,
                                1, NULL, NULL),
                PCS_E_OPTION, "worked out on the cpu alone");
    /* Nothing of this has hurt the device, or a cell. */
    CHECK(step_device(gpu, &device) == 0);
    CHECK(report(gpu, "cells") == (double)c.cells);
    CHECK(memcmp(host.n, c.n, of_cells(c.species)) == 0);
    free_device_arrays(&device);
    CHECK(pcs_close(&gpu) == 0);
}

static void test_lost(void) {
    static const char* const options[] = {"mode", "exact", "device", "cuda", "memory", "device", NULL};
    pcs_solver *gpu = opened(options), *other = opened(options);
    arrays device = device_arrays();
    double value = 0;
    CHECK(step_device(gpu, &device) == 0);
    emulator_break(cudaErrorIllegalAddress);
    CHECK_FAILS(gpu, pcs_report(gpu, "exact", &value), PCS_E_DEVICE, "cudaErrorIllegalAddress");
    CHECK_FAILS(gpu, pcs_report(gpu, "exact", &value), PCS_E_DEVICE, "is lost for this process");
    CHECK_FAILS(gpu, step_device(gpu, &device), PCS_E_DEVICE, "is lost for this process");
    CHECK_FAILS(other, step_device(other, &device), PCS_E_DEVICE, "cudaErrorIllegalAddress");
    CHECK_FAILS(other, step_device(other, &device), PCS_E_DEVICE, "is lost for this process");
    CHECK(pcs_set_option(gpu, "device", "cpu") == 0);
    CHECK(pcs_set_option(gpu, "memory", "host") == 0);
    arrays host = host_arrays();
    CHECK(step_host(gpu, &host) == 0); /* the handle still serves on the cpu */
    CHECK(pcs_close(&gpu) == 0);
    CHECK(pcs_close(&other) == 0);
}

static void test_fork(void) {
    static const char* const options[] = {"mode", "exact", "device", "cuda", NULL};
    pcs_solver* gpu = opened(options);
    arrays host = host_arrays();
    CHECK(step_host(gpu, &host) == 0);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        pcs_solver* mine = opened(NULL);
        failures = 0;
        CHECK_FAILS(gpu, step_host(gpu, &host), PCS_E_DEVICE, "forked");
        CHECK_FAILS(mine, pcs_set_option(mine, "device", "cuda"), PCS_E_DEVICE, "forked");
        CHECK(pcs_close(&gpu) == 0);
        CHECK(step_host(mine, &host) == 0);
        fflush(stdout);
        _exit(failures != 0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(step_host(gpu, &host) == 0);
    CHECK(pcs_close(&gpu) == 0);
}

static int step_fractions(pcs_solver* solver, const arrays* a) {
    return pcs_step(solver, c.cells, a->dt, 1, a->n, c.species, 1, a->temperature, 1, a->conditions, 2, 1, NULL,
                    a->status);
}

/* Less memory than the batch has cells for: worked on in pieces, or refused with nothing touched. */
static void test_memory(void) {
    pcs_solver *gpu = NULL, *cpu = NULL;
    arrays host = host_arrays(), staged = host_arrays();
    CHECK(pcs_open(model, &gpu) == 0 && pcs_open(model, &cpu) == 0);
    CHECK(pcs_set_option(gpu, "mode", "exact") == 0 && pcs_set_option(cpu, "mode", "exact") == 0);
    double* conditions = malloc(of_cells(2));
    if (!conditions) exit(2);
    for (int64_t cell = 0; cell < c.cells; ++cell) {
        conditions[2 * cell] = c.condition[cell * c.conditions], conditions[2 * cell + 1] = 1;
    }
    /* Units need scratch for all abundances. */
    CHECK(pcs_set_option(gpu, "units", "hydrogen_fraction") == 0);
    CHECK(pcs_set_option(cpu, "units", "hydrogen_fraction") == 0);
    host.conditions = staged.conditions = conditions;
    int code = pcs_set_option(gpu, "device", "cuda");
    if (code == 0) code = step_fractions(gpu, &staged);
    if (code != 0) {
        printf("%d %s\n", code, pcs_last_error(gpu));
        CHECK(memcmp(staged.n, c.n, of_cells(c.species)) == 0);
    } else {
        CHECK(step_fractions(cpu, &host) == 0);
        CHECK(memcmp(host.status, staged.status, (size_t)c.cells) == 0);
        CHECK(difference(host.n, staged.n, 0) <= same);
        CHECK(report(gpu, "cells") == (double)c.cells && report(gpu, "exact") == report(cpu, "exact"));
    }
    CHECK(pcs_close(&gpu) == 0 && pcs_close(&cpu) == 0);
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    model = argv[1];
    c = read_cells(argv[2]);
    static const char* const exact[] = {"mode", "exact", NULL};
    static const char* const automatic[] = {"audit", "0.2", NULL};
    static const char* const learned[] = {"mode", "surrogate", NULL};
    if (strcmp(argv[3], "modes") == 0) {
        test_mode(exact, same);
        test_mode(automatic, same);
        test_mode(learned, same);
    } else if (strcmp(argv[3], "calls") == 0) {
        test_arguments();
        test_streams();
        test_threads();
        test_units("hydrogen_fraction", 1);
        test_units("mass_fraction", 2.3e-24);
        test_trajectory("exact", same);
        test_trajectory("surrogate", same);
        test_trajectory("auto", same);
        test_statistics();
        test_reports();
    } else if (strcmp(argv[3], "costs") == 0) {
        test_costs();
    } else if (strcmp(argv[3], "audit") == 0) {
        test_audit();
    } else if (strcmp(argv[3], "graph") == 0) {
        test_graph();
    } else if (strcmp(argv[3], "misuse") == 0) {
        test_misuse();
    } else if (strcmp(argv[3], "lost") == 0) {
        test_lost();
    } else if (strcmp(argv[3], "fork") == 0) {
        test_fork();
    } else if (strcmp(argv[3], "memory") == 0) {
        test_memory();
    }
    free_cells(&c);
    return finish();
}
