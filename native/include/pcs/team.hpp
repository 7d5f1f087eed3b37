// Scratch memory and the threads of a call. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "pcs/quiet.hpp"
#include "pcs/solver.hpp"

namespace pcs {

// Grows and never shrinks, aligned for the widest vectors.
class Buffer {
  public:
    void* reserve(std::size_t bytes) {
        if (bytes > size_) {
            memory_.reset(static_cast<char*>(::operator new(bytes, alignment)));
            size_ = bytes;
        }
        return memory_.get();
    }

  private:
    static constexpr std::align_val_t alignment{64};
    struct Delete {
        void operator()(char* p) const { ::operator delete(p, alignment); }
    };
    std::unique_ptr<char, Delete> memory_;
    std::size_t size_ = 0;
};

#ifdef _OPENMP
constexpr int most_threads = 256;  // of a team, or four a processor

// The threads of a team that wishes for so many (0: OpenMP's own choice): no more than the process can start, and one
// in a child of a process that had threads when it forked.
int team_limit(int wish);
#endif

// Threads that work on `cells` cells: the host's choice, fewer for a small batch, one inside a parallel region.
inline int team_size(int wish, std::int64_t cells) {
#ifdef _OPENMP
    if (omp_in_parallel()) return 1;
    const std::int64_t useful = std::max<std::int64_t>(1, cells / (2 * kernels().width));
    return useful == 1 ? 1 : static_cast<int>(std::min<std::int64_t>(team_limit(wish), useful));
#else
    (void)wish, (void)cells;
    return 1;
#endif
}

// work(0) .. work(threads - 1), each once, in a team of the host's own size however few of it work: from a smaller one
// OpenMP would let the rest of the host's threads end, with their threadprivate data, and start new ones for the next
// region.
template <class Work>
void run_team(int wish, int threads, const Work& work) {
    if (threads == 1) return work(0);
#ifdef _OPENMP
    const int team = team_limit(wish);
#pragma omp parallel num_threads(team)
    {
        const OwnFloatingPoint own;  // each thread has an environment of its own
        // OpenMP may give fewer threads than were asked for.
        for (int t = omp_get_thread_num(); t < threads; t += omp_get_num_threads()) work(t);
    }
#else
    (void)wish;
#endif
}

}  // namespace pcs
