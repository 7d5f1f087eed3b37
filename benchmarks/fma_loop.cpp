// Multiplications and additions in registers alone: what a second thread is worth on this machine, now.
// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>

// `iterations` of 64 independent multiply-adds, shared out among the threads. Returns a number that depends on them.
extern "C" double fma_loop(int threads, std::int64_t iterations) {
    double total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) schedule(static, 1)
    for (int t = 0; t < threads; ++t) {
        double lane[64];
        for (int i = 0; i < 64; ++i) lane[i] = i + t;
        for (std::int64_t n = 0; n < iterations / threads; ++n)
            for (double& value : lane) value = value * 0.999999 + 1e-3;
        for (const double value : lane) total += value;
    }
    return total;
}
