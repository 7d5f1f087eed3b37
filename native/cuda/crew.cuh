// The threads of a block that work on one cell. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cuda_runtime.h>

#include <stdint.h>

namespace pcs::cuda {

struct Crew {
    static constexpr int team = 8;    // lanes that share a sum
    static constexpr int spare = 34;  // doubles in shared memory
    static constexpr unsigned all_lanes = 0xffffffff;

    int thread, threads;  // a multiple of 32
    double* across;       // (spare)

    __device__ void wait() const { __syncthreads(); }

    template <class Work>
    __device__ void each(int n, const Work& work) const {
        for (int i = thread; i < n; i += threads) work(i);
    }

    // write(i, sum of value(i, lane) over a team's lanes): the order of the additions is always the same.
    template <class Value, class Write>
    __device__ void rows(int n, const Value& value, const Write& write) const {
        const int lane = thread % team;
        for (int first = 0; first < n; first += threads / team) {
            const int i = first + thread / team;
            double sum = i < n ? value(i, lane) : 0.0;
            for (int by = team / 2; by > 0; by /= 2) sum += __shfl_xor_sync(all_lanes, sum, by);
            if (lane == 0 && i < n) write(i, sum);
        }
    }

    // The sum of value(0) .. value(n - 1) by the first warp, for all threads.
    template <class Value>
    __device__ double sum(int n, const Value& value) const {
        if (thread < 32) {
            double mine = 0;
            for (int i = thread; i < n; i += 32) mine += value(i);
            for (int by = 16; by > 0; by /= 2) mine += __shfl_xor_sync(all_lanes, mine, by);
            if (thread == 0) across[32] = mine;
        }
        wait();
        const double total = across[32];
        wait();
        return total;
    }

    // The largest of all threads' values, for all of them.
    __device__ double largest(double mine) const {
        for (int by = 16; by > 0; by /= 2) {
            const double other = __shfl_xor_sync(all_lanes, mine, by);
            mine = other > mine ? other : mine;
        }
        if (thread % 32 == 0) across[thread / 32] = mine;
        wait();
        for (int warp = 0; warp < threads / 32; ++warp) mine = across[warp] > mine ? across[warp] : mine;
        wait();
        return mine;
    }

    // The first thread's number, for all of them.
    template <class Number>
    __device__ int64_t told(const Number& number) const {
        int64_t* const note = (int64_t*)(across + 33);
        if (thread == 0) *note = number();
        wait();
        const int64_t said = *note;
        wait();
        return said;
    }
};

}  // namespace pcs::cuda
