// How many threads a call may have. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/team.hpp"

#ifdef _OPENMP

#include <dirent.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace pcs {

namespace {

// A child of a process with threads has one of them alone, and OpenMP waits for the others for ever.
std::atomic<bool> alone_after_fork{false};
bool had_threads = false;  // between the two handlers of one fork

void before_fork() {
    int threads = 0;
    if (DIR* const tasks = opendir("/proc/self/task")) {
        while (const dirent* const task = readdir(tasks)) threads += task->d_name[0] != '.';
        closedir(tasks);
    }
    had_threads = threads != 1;  // 0: unknown
}
void in_child() {
    if (had_threads) alone_after_fork = true;
}
[[maybe_unused]] const int registered = pthread_atfork(before_fork, nullptr, in_child);

// What OMP_STACKSIZE (or GOMP_STACKSIZE) asks for each thread, in bytes; 0: it says nothing.
std::size_t stack_of_openmp() {
    const char* text = std::getenv("OMP_STACKSIZE");
    if (!text) text = std::getenv("GOMP_STACKSIZE");
    if (!text) return 0;
    char* end = nullptr;
    errno = 0;
    const unsigned long long number = std::strtoull(text, &end, 10);
    if (errno || end == text) return 0;
    while (*end == ' ') ++end;
    const int shift = *end == 'B' || *end == 'b'   ? 0
                      : *end == 'M' || *end == 'm' ? 20
                      : *end == 'G' || *end == 'g' ? 30
                                                   : 10;
    return number > (~0ull >> shift) ? ~std::size_t{0} : static_cast<std::size_t>(number << shift);
}

void* wait_for(void* gate) {
    pthread_mutex_lock(static_cast<pthread_mutex_t*>(gate));
    pthread_mutex_unlock(static_cast<pthread_mutex_t*>(gate));
    return nullptr;
}

// How many of `wanted` threads beside the calling one can be started side by side: OpenMP ends the process where one of
// its own cannot.
int startable(int wanted) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return 0;
    const std::size_t stack = stack_of_openmp();
    if (stack && pthread_attr_setstacksize(&attributes, stack)) {
        pthread_attr_destroy(&attributes);
        return 0;
    }
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    std::vector<pthread_t> started;
    try {
        started.reserve(static_cast<std::size_t>(wanted));
    } catch (...) {
        wanted = 0;
    }
    for (pthread_t thread; static_cast<int>(started.size()) < wanted; started.push_back(thread))
        if (pthread_create(&thread, &attributes, wait_for, &gate)) break;
    pthread_mutex_unlock(&gate);
    for (const pthread_t thread : started) pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    return static_cast<int>(started.size());
}

}  // namespace

int team_limit(int wish) {
    if (alone_after_fork) return 1;
    int wanted = wish > 0 ? wish : omp_get_max_threads();
    if (wanted > most_threads) wanted = std::min(wanted, std::max(most_threads, 4 * omp_get_num_procs()));
    static std::atomic<int> tried{1}, found{1};  // the largest team that was tried, and what came of it
    if (wanted <= found.load()) return wanted;
    static std::mutex trying;
    const std::lock_guard guard(trying);
    if (wanted > tried.load()) {
        // Some of those that could be started are left for the host.
        const int started = startable(wanted - 1);
        found = std::max(found.load(), started == wanted - 1 ? wanted : std::max(1, started / 2));
        tried = wanted;
    }
    return std::min(wanted, found.load());
}

}  // namespace pcs

#endif
