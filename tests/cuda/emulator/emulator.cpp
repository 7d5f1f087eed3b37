// The emulated CUDA runtime. SPDX-License-Identifier: BSD-3-Clause
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_runtime.h"

namespace {

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "emulated GPU: %s\n", why);
    std::abort();
}

long long setting(const char* name, long long otherwise) {
    const char* const text = std::getenv(name);
    return text && *text ? std::atoll(text) : otherwise;
}

// ---------------------------------------------------------------- threads of a block

struct Order {
    enum { forward, reverse, random } kind = forward;
    unsigned seed = 1;
    Order() {
        const std::string text = std::getenv("PCS_EMULATED_ORDER") ? std::getenv("PCS_EMULATED_ORDER") : "forward";
        if (text == "reverse") kind = reverse;
        if (text.starts_with("random")) kind = random;
        if (text.starts_with("random:")) seed = unsigned(std::atoi(text.c_str() + 7));
    }
};

constexpr size_t stack_bytes = size_t{2} << 20, guard_bytes = 4096;

struct Fiber {
    Fiber() = default;
    Fiber(const Fiber&) = delete;
    ~Fiber() {
        if (stack) munmap(stack, stack_bytes + guard_bytes);
    }
    enum State { ready, at_barrier, in_warp, done };
    ucontext_t context;
    emulator::Place place;
    State state = ready;
    char* stack = nullptr;
    int given = 0;                 // to the block's barrier
    unsigned long long waits = 0;  // generation of its warp that it waits for the end of
};

struct Warp {
    unsigned arrived = 0, mask = 0;
    unsigned long long generation = 0;
    uint64_t given[32], results[2][32];
};

// One block at a time, on the calling thread.
class Block {
  public:
    void run(const std::function<void()>& body, dim3 index, dim3 blocks, dim3 threads, char* shared) {
        const unsigned count = threads.x * threads.y * threads.z;
        while (fibers_.size() < count) {
            auto fiber = std::make_unique<Fiber>();
            void* const memory = mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (memory == MAP_FAILED || mprotect(memory, guard_bytes, PROT_NONE)) give_up("no memory for a stack");
            fiber->stack = static_cast<char*>(memory);
            fibers_.push_back(std::move(fiber));
        }
        shared_ = shared;
        body_ = &body;
        warps_.assign((count + 31) / 32, Warp{});
        result_ = 0;
        alive_ = waiting_ = count_ = 0;
        static const Order order;
        static std::atomic<unsigned> runs{0};
        std::vector<unsigned> sequence(count);
        for (unsigned i = 0; i < count; ++i) sequence[i] = order.kind == Order::reverse ? count - 1 - i : i;
        std::minstd_rand random(order.seed + runs++);
        for (unsigned i = 0; i < count; ++i) {
            Fiber& fiber = *fibers_[i];
            fiber.place = {
                {i % threads.x, i / threads.x % threads.y, i / (threads.x * threads.y)}, index, threads, blocks};
            fiber.state = Fiber::ready;
            prepare(fiber);
        }
        alive_ = count_ = count;
        mine = this;
        while (alive_ > 0) {
            if (order.kind == Order::random) std::shuffle(sequence.begin(), sequence.end(), random);
            bool moved = false;
            for (const unsigned i : sequence) {
                if (fibers_[i]->state != Fiber::ready) continue;
                moved = true;
                current_ = fibers_[i].get();
                swapcontext(&scheduler_, &current_->context);
                if (current_->state == Fiber::done) {
                    --alive_;
                    open_barrier();
                }
            }
            if (!moved)
                give_up(
                    "threads of a block wait for threads that have ended, or for lanes that do not come: a "
                    "barrier or warp operation within a branch");
        }
        mine = nullptr;
    }

    const emulator::Place& place() const { return current_->place; }
    char* shared() const { return shared_; }
    unsigned linear() const {
        const emulator::Place& p = current_->place;
        return p.thread.x + p.threads.x * (p.thread.y + p.threads.y * p.thread.z);
    }

    int barrier(emulator::Combine combine, int value) {
        combine_ = combine;
        current_->given = value;
        current_->state = Fiber::at_barrier;
        ++waiting_;
        open_barrier();
        yield();
        return result_;
    }

    void exchange(unsigned mask, uint64_t value, uint64_t (&all)[32]) {
        const unsigned mine = linear();
        Warp& warp = warps_[mine / 32];
        const unsigned lane = mine % 32, present = std::min(count_ - mine / 32 * 32, 32u);
        if (present < 32) mask &= (1u << present) - 1;
        if (!(mask >> lane & 1)) give_up("a lane takes part in a warp operation whose mask leaves it out");
        if (warp.arrived && warp.mask != mask) give_up("lanes of a warp meet in an operation with different masks");
        warp.mask = mask;
        warp.given[lane] = value;
        warp.arrived |= 1u << lane;
        const unsigned long long generation = warp.generation;
        if (warp.arrived == mask) {
            std::copy(warp.given, warp.given + 32, warp.results[generation & 1]);
            warp.arrived = 0;
            ++warp.generation;
            for (unsigned l = 0; l < present; ++l) {
                Fiber& fiber = *fibers_[mine / 32 * 32 + l];
                if (fiber.state == Fiber::in_warp && fiber.waits == generation) fiber.state = Fiber::ready;
            }
        } else {
            current_->waits = generation;
            current_->state = Fiber::in_warp;
            yield();
        }
        std::copy(warp.results[generation & 1], warp.results[generation & 1] + 32, all);
    }

    static thread_local Block* mine;

  private:
    static void begin() {
        Block* const block = mine;
        (*block->body_)();
        block->current_->state = Fiber::done;
    }
    void prepare(Fiber& fiber) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack + guard_bytes;
        fiber.context.uc_stack.ss_size = stack_bytes;
        fiber.context.uc_link = &scheduler_;
        makecontext(&fiber.context, &Block::begin, 0);
    }
    void yield() { swapcontext(&current_->context, &scheduler_); }

    // Once all threads that have not ended wait.
    void open_barrier() {
        if (waiting_ == 0 || waiting_ < alive_) return;
        int any = 0, all = 1, count = 0;
        for (unsigned i = 0; i < count_; ++i) {
            Fiber& fiber = *fibers_[i];
            if (fiber.state != Fiber::at_barrier) continue;
            fiber.state = Fiber::ready;
            any |= fiber.given != 0, all &= fiber.given != 0, count += fiber.given != 0;
        }
        result_ = combine_ == emulator::Combine::any ? any : combine_ == emulator::Combine::all ? all : count;
        waiting_ = 0;
    }

    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Warp> warps_;
    ucontext_t scheduler_;
    Fiber* current_ = nullptr;
    const std::function<void()>* body_ = nullptr;
    char* shared_ = nullptr;
    unsigned alive_ = 0, waiting_ = 0, count_ = 0;
    emulator::Combine combine_ = emulator::Combine::none;
    int result_ = 0;
};
thread_local Block* Block::mine = nullptr;

void run_grid(const std::function<void()>& body, dim3 grid, dim3 threads, size_t shared_bytes) {
    std::atomic<unsigned> next{0};
    const unsigned count = grid.x * grid.y * grid.z;
    const auto work = [&] {
        static thread_local Block block;
        std::vector<char> memory(shared_bytes + 64);
        char* const shared = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
        for (unsigned b; (b = next++) < count;) {
            std::fill(memory.begin(), memory.end(), char(0xff));
            block.run(body, {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)}, grid, threads, shared);
        }
    };
    if (count == 1) return work();
    std::thread beside(work);
    work();
    beside.join();
}

// ---------------------------------------------------------------- memory

constexpr size_t alignment = 256, canary_bytes = 256;
constexpr unsigned char fresh = 0xff, canary = 0xa5;

struct Arena {
    char* base = nullptr;
    size_t size = 0;
    std::map<size_t, size_t> taken;  // offset -> bytes, canary not counted
};

struct Range {
    size_t bytes;
    cudaMemoryType type;
};

// ---------------------------------------------------------------- streams

struct Operation {
    unsigned long long sequence;
    std::function<void()> run;
    cudaEvent_t after = nullptr;  // an event that must have happened
    unsigned long long record = 0;
};

}  // namespace

struct CUstream_st {
    int device;
    bool blocking;
    std::deque<Operation> queue;
    cudaGraph_t capture = nullptr;
    bool broken_capture = false;
};
struct CUevent_st {
    unsigned long long recorded = 0, happened = 0;
    cudaStream_t stream = nullptr;
    std::chrono::steady_clock::time_point when;
};
struct CUgraph_st {
    std::vector<std::function<void()>> operations;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> operations;
};

namespace {

class Machine {
  public:
    Machine() {
        devices.resize(size_t(setting("PCS_EMULATED_DEVICES", 2)));
        for (Arena& arena : devices) {
            arena.size = size_t(setting("PCS_EMULATED_MEMORY", 1ll << 30));
            void* const memory =
                mmap(nullptr, arena.size + canary_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (memory == MAP_FAILED) give_up("no address space for the device's memory");
            arena.base = static_cast<char*>(memory);
            null_streams.push_back(new CUstream_st{int(&arena - devices.data()), true, {}, nullptr, false});
        }
    }

    std::recursive_mutex lock;
    std::vector<Arena> devices;
    std::vector<cudaStream_t> null_streams;
    std::set<cudaStream_t> streams;
    std::set<cudaEvent_t> events;
    std::map<char*, Range> host;
    std::map<const void*, size_t> shared_allowed;
    unsigned long long sequence = 0;
    long long synchronisations = 0, allocations = 0;
    cudaError_t broken = cudaSuccess;
    int open = 0;

    // Device memory can be touched while work runs.
    template <class Work>
    void with_memory(const Work& work) {
        if (open++ == 0) protect(PROT_READ | PROT_WRITE);
        work();
        if (--open == 0) protect(PROT_NONE);
    }
    void protect(int how) {
        for (Arena& arena : devices)
            if (mprotect(arena.base, arena.size + canary_bytes, how)) give_up("mprotect failed");
    }

    std::pair<int, size_t> find(const void* pointer) const {  // device and bytes left behind the pointer; -1: none
        const char* const p = static_cast<const char*>(pointer);
        for (const Arena& arena : devices) {
            if (p < arena.base || p >= arena.base + arena.size) continue;
            const size_t offset = size_t(p - arena.base);
            auto next = arena.taken.upper_bound(offset);
            if (next == arena.taken.begin()) return {-1, 0};
            --next;
            if (offset >= next->first + std::max<size_t>(next->second, 1)) return {-1, 0};
            return {int(&arena - devices.data()), next->first + next->second - offset};
        }
        return {-1, 0};
    }
    const Range* find_host(const void* pointer, size_t* left = nullptr) const {
        char* const p = static_cast<char*>(const_cast<void*>(pointer));
        auto next = host.upper_bound(p);
        if (next == host.begin()) return nullptr;
        --next;
        if (p >= next->first + next->second.bytes) return nullptr;
        if (left) *left = size_t(next->first + next->second.bytes - p);
        return &next->second;
    }

    void add(cudaStream_t stream, Operation operation) {
        if (stream->capture) {
            if (operation.after || operation.record) return;  // order within one stream is kept anyway
            stream->capture->operations.push_back(std::move(operation.run));
            return;
        }
        operation.sequence = ++sequence;
        stream->queue.push_back(std::move(operation));
    }

    // Runs the stream's operations up to a sequence number, and what they wait for.
    void run(cudaStream_t stream, unsigned long long until) {
        while (!stream->queue.empty() && stream->queue.front().sequence <= until) {
            Operation operation = std::move(stream->queue.front());
            stream->queue.pop_front();
            if (stream->blocking) {  // the legacy default stream and those that heed it
                if (is_null(stream)) {
                    for (cudaStream_t other : streams)
                        if (other->blocking && other->device == stream->device) run(other, operation.sequence);
                } else {
                    run(null_streams[size_t(stream->device)], operation.sequence);
                }
            }
            if (operation.after && operation.after->stream) run(operation.after->stream, operation.record);
            if (operation.run) with_memory(operation.run);
        }
    }
    void run_all(cudaStream_t stream) { run(stream, ~0ull); }
    bool is_null(cudaStream_t stream) const { return stream == null_streams[size_t(stream->device)]; }
    void run_device(int device) {
        for (auto other = streams.rbegin(); other != streams.rend(); ++other)  // the latest first: unusual, and allowed
            if ((*other)->device == device) run_all(*other);
        run_all(null_streams[size_t(device)]);
    }
};

Machine& machine() {
    static Machine* const one = new Machine;  // never destroyed: streams may outlive everything
    return *one;
}
thread_local int this_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t fail(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

// Under the lock, unless the device is lost.
template <class Body>
cudaError_t call(const Body& body) {
    Machine& m = machine();
    const std::lock_guard guard(m.lock);
    if (m.broken != cudaSuccess) return fail(m.broken);
    if (m.devices.empty()) return fail(cudaErrorNoDevice);
    return fail(body(m));
}

// body(machine, stream) for a stream that is one.
template <class Body>
cudaError_t on(cudaStream_t stream, const Body& body) {
    return call([&](Machine& m) {
        if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
            return body(m, m.null_streams[size_t(this_device)]);
        return m.streams.contains(stream) ? body(m, stream) : cudaErrorInvalidResourceHandle;
    });
}

// Something that a stream cannot do while it is captured.
cudaError_t uncapturable(Machine& m) {
    for (cudaStream_t stream : m.streams)
        if (stream->capture) {
            stream->broken_capture = true;
            return cudaErrorStreamCaptureUnsupported;
        }
    return cudaSuccess;
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream, bool wait) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        if (bytes == 0) return cudaSuccess;
        const auto [to_device, to_left] = m.find(to);
        const auto [from_device, from_left] = m.find(from);
        const bool managed_to = m.find_host(to) && m.find_host(to)->type == cudaMemoryTypeManaged;
        const bool managed_from = m.find_host(from) && m.find_host(from)->type == cudaMemoryTypeManaged;
        const bool onto = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
        const bool off = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
        if (kind != cudaMemcpyDefault && (onto != (to_device >= 0) && !managed_to)) return cudaErrorInvalidValue;
        if (kind != cudaMemcpyDefault && (off != (from_device >= 0) && !managed_from)) return cudaErrorInvalidValue;
        if ((to_device >= 0 && bytes > to_left) || (from_device >= 0 && bytes > from_left))
            return cudaErrorInvalidValue;
        const bool pageable_from = from_device < 0 && !m.find_host(from);
        const bool pageable_to = to_device < 0 && !m.find_host(to);
        if (wait || pageable_to)
            if (const cudaError_t error = uncapturable(m); error != cudaSuccess) return error;
        if (pageable_from) {  // read now: the host may change it when this call is over
            auto kept = std::make_shared<std::vector<char>>(static_cast<const char*>(from),
                                                            static_cast<const char*>(from) + bytes);
            m.add(queue, {0, [to, kept] { std::memcpy(to, kept->data(), kept->size()); }});
        } else {
            m.add(queue, {0, [to, from, bytes] { std::memmove(to, from, bytes); }});
        }
        if (wait || pageable_to) {
            ++m.synchronisations;
            m.run_all(queue);
        }
        return cudaSuccess;
    });
}

}  // namespace

namespace emulator {

const Place& here() {
    if (!Block::mine) give_up("threadIdx and the like are read outside of a kernel");
    return Block::mine->place();
}
char* dynamic_shared() { return Block::mine->shared(); }
int block_barrier(Combine combine, int value) { return Block::mine->barrier(combine, value); }
void warp_exchange(unsigned mask, uint64_t value, uint64_t (&all)[32]) { Block::mine->exchange(mask, value, all); }
unsigned lane() { return Block::mine->linear() % 32; }

cudaError_t allow_shared(const void* kernel, size_t bytes) {
    return call([&](Machine& m) {
        if (bytes > 227 << 10) return cudaErrorInvalidValue;
        m.shared_allowed[kernel] = bytes;
        return cudaSuccess;
    });
}

cudaError_t launch(const void* kernel, std::function<void()> body, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        const auto allowed = m.shared_allowed.find(kernel);
        const size_t most = allowed == m.shared_allowed.end() ? 48 << 10 : std::max<size_t>(allowed->second, 48 << 10);
        const unsigned threads = block.x * block.y * block.z;
        if (threads == 0 || threads > 1024 || grid.x * grid.y * grid.z == 0 || grid.y > 65535 || shared_bytes > most)
            return cudaErrorInvalidConfiguration;
        m.add(queue, {0, [=] { run_grid(body, grid, block, shared_bytes); }});
        return cudaSuccess;
    });
}

}  // namespace emulator

extern "C" {

long long emulator_synchronisations() { return machine().synchronisations; }
long long emulator_allocations() { return machine().allocations; }
void emulator_break(int error) {
    const std::lock_guard guard(machine().lock);
    machine().broken = cudaError_t(error);
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 0;
    return call([&](Machine& m) {
        *count = int(m.devices.size());
        return cudaSuccess;
    });
}
cudaError_t cudaGetDevice(int* device) {
    return call([&](Machine&) {
        *device = this_device;
        return cudaSuccess;
    });
}
cudaError_t cudaSetDevice(int device) {
    return call([&](Machine& m) {
        if (device < 0 || device >= int(m.devices.size())) return cudaErrorInvalidDevice;
        this_device = device;
        return cudaSuccess;
    });
}
cudaError_t cudaDeviceSynchronize() {
    return call([](Machine& m) {
        if (const cudaError_t error = uncapturable(m); error != cudaSuccess) return error;
        ++m.synchronisations;
        m.run_device(this_device);
        return cudaSuccess;
    });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    return call([&](Machine& m) {
        if (device < 0 || device >= int(m.devices.size())) return cudaErrorInvalidDevice;
        switch (attribute) {
            case cudaDevAttrMaxThreadsPerBlock:
                *value = 1024;
                break;
            case cudaDevAttrMaxSharedMemoryPerBlock:
                *value = 48 << 10;
                break;
            case cudaDevAttrMultiProcessorCount:
                *value = int(setting("PCS_EMULATED_MULTIPROCESSORS", 2));
                break;
            case cudaDevAttrComputeCapabilityMajor:
                *value = 9;
                break;
            case cudaDevAttrComputeCapabilityMinor:
                *value = 0;
                break;
            case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
                *value = 228 << 10;
                break;
            case cudaDevAttrMaxSharedMemoryPerBlockOptin:
                *value = 227 << 10;
                break;
            case cudaDevAttrMemoryPoolsSupported:
                *value = 1;
                break;
            default:
                return cudaErrorInvalidValue;
        }
        return cudaSuccess;
    });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return call([&](Machine& m) {
        if (device < 0 || device >= int(m.devices.size())) return cudaErrorInvalidDevice;
        *properties = {"emulated", m.devices[size_t(device)].size,
                       48 << 10,   227 << 10,
                       228 << 10,  9,
                       0,          int(setting("PCS_EMULATED_MULTIPROCESSORS", 2)),
                       1024,       2048,
                       32,         50 << 20};
        return cudaSuccess;
    });
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetLastError() {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration:
            return "cudaErrorInvalidConfiguration";
        case cudaErrorNoDevice:
            return "cudaErrorNoDevice";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorInvalidResourceHandle:
            return "cudaErrorInvalidResourceHandle";
        case cudaErrorNotReady:
            return "cudaErrorNotReady";
        case cudaErrorIllegalAddress:
            return "cudaErrorIllegalAddress";
        case cudaErrorStreamCaptureUnsupported:
            return "cudaErrorStreamCaptureUnsupported";
        default:
            return "cudaErrorUnknown";
    }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

cudaError_t emulator_malloc(void** pointer, size_t bytes) {
    return call([&](Machine& m) {
        Arena& arena = m.devices[size_t(this_device)];
        ++m.allocations;
        const size_t needed = (bytes + alignment - 1) / alignment * alignment + canary_bytes;
        size_t offset = 0;  // the first gap that is large enough
        for (const auto& [at, size] : arena.taken) {
            if (at >= offset + needed) break;
            offset = at + (size + alignment - 1) / alignment * alignment + canary_bytes;
        }
        if (offset + needed > arena.size) return cudaErrorMemoryAllocation;
        arena.taken[offset] = bytes;
        char* const memory = arena.base + offset;
        m.with_memory([&] {
            std::memset(memory, fresh, bytes);
            std::memset(memory + bytes, canary, needed - bytes);
        });
        *pointer = memory;
        return cudaSuccess;
    });
}
// As in CUDA's library itself: what hosts without its C++ header call.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
cudaError_t emulator_c_malloc(void** pointer, size_t bytes) __asm__("cudaMalloc");
cudaError_t emulator_c_malloc(void** pointer, size_t bytes) { return emulator_malloc(pointer, bytes); }
cudaError_t emulator_c_malloc_host(void** pointer, size_t bytes) __asm__("cudaMallocHost");
cudaError_t emulator_c_malloc_host(void** pointer, size_t bytes) { return emulator_malloc_host(pointer, bytes); }
cudaError_t emulator_c_malloc_managed(void** pointer, size_t bytes, unsigned) __asm__("cudaMallocManaged");
cudaError_t emulator_c_malloc_managed(void** pointer, size_t bytes, unsigned) {
    return emulator_malloc_managed(pointer, bytes);
}
cudaError_t emulator_c_malloc_async(void** pointer, size_t bytes, cudaStream_t) __asm__("cudaMallocAsync");
cudaError_t emulator_c_malloc_async(void** pointer, size_t bytes, cudaStream_t) {
    return emulator_malloc(pointer, bytes);
}
#pragma GCC diagnostic pop

static void release(Machine& m, void* pointer, int device) {
    Arena& arena = m.devices[size_t(device)];
    const auto found = arena.taken.find(size_t(static_cast<char*>(pointer) - arena.base));
    m.with_memory([&] {
        const size_t end = (found->second + alignment - 1) / alignment * alignment + canary_bytes;
        for (size_t i = found->second; i < end; ++i)
            if (static_cast<unsigned char>(arena.base[found->first + i]) != canary)
                give_up("something was written behind the end of an allocation");
        std::memset(arena.base + found->first, fresh, found->second);
    });
    arena.taken.erase(found);
}
cudaError_t cudaFree(void* pointer) {
    return call([&](Machine& m) {
        if (!pointer) return cudaSuccess;
        const int device = m.find(pointer).first;
        if (m.host.contains(static_cast<char*>(pointer))) return cudaFreeHost(pointer);
        if (device < 0 || !m.devices[size_t(device)].taken.contains(
                              size_t(static_cast<char*>(pointer) - m.devices[size_t(device)].base)))
            return cudaErrorInvalidValue;
        ++m.synchronisations;  // as CUDA may
        m.run_device(device);
        release(m, pointer, device);
        return cudaSuccess;
    });
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        if (!pointer) return cudaSuccess;
        const int device = m.find(pointer).first;
        if (device < 0) return cudaErrorInvalidValue;
        m.add(queue, {0, [&m, pointer, device] { release(m, pointer, device); }});
        return cudaSuccess;
    });
}
static cudaError_t allocate_host(void** pointer, size_t bytes, cudaMemoryType type) {
    return call([&](Machine& m) {
        void* const memory = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
        if (!memory) return cudaErrorMemoryAllocation;
        std::memset(memory, fresh, bytes);
        m.host[static_cast<char*>(memory)] = {std::max<size_t>(bytes, 1), type};
        *pointer = memory;
        return cudaSuccess;
    });
}
cudaError_t emulator_malloc_host(void** pointer, size_t bytes) {
    return allocate_host(pointer, bytes, cudaMemoryTypeHost);
}
cudaError_t emulator_malloc_managed(void** pointer, size_t bytes) {
    return allocate_host(pointer, bytes, cudaMemoryTypeManaged);
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return emulator_malloc_host(pointer, bytes); }
cudaError_t cudaFreeHost(void* pointer) {
    return call([&](Machine& m) {
        if (!pointer) return cudaSuccess;
        const auto found = m.host.find(static_cast<char*>(pointer));
        if (found == m.host.end()) return cudaErrorInvalidValue;
        for (int device = 0; device < int(m.devices.size()); ++device) m.run_device(device);
        m.host.erase(found);
        std::free(pointer);
        return cudaSuccess;
    });
}
cudaError_t cudaMemGetInfo(size_t* unused, size_t* total) {
    return call([&](Machine& m) {
        const Arena& arena = m.devices[size_t(this_device)];
        *total = *unused = arena.size;
        for (const auto& [at, size] : arena.taken)
            *unused -= (size + alignment - 1) / alignment * alignment + canary_bytes;
        return cudaSuccess;
    });
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return copy(to, from, bytes, kind, nullptr, true);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return copy(to, from, bytes, kind, stream, false);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        if (bytes == 0) return cudaSuccess;
        const auto [device, left] = m.find(to);
        if ((device < 0 || bytes > left) && !m.find_host(to)) return cudaErrorInvalidValue;
        m.add(queue, {0, [=] { std::memset(to, value, bytes); }});
        return cudaSuccess;
    });
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    return call([&](Machine& m) {
        void* const p = const_cast<void*>(pointer);
        if (const int device = m.find(pointer).first; device >= 0)
            *attributes = {cudaMemoryTypeDevice, device, p, nullptr};
        else if (const Range* const range = m.find_host(pointer))
            *attributes = {range->type, this_device, p, p};
        else
            *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, p};
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    return call([&](Machine& m) {
        *stream = new CUstream_st{this_device, flags != cudaStreamNonBlocking, {}, nullptr, false};
        m.streams.insert(*stream);
        return cudaSuccess;
    });
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return call([&](Machine& m) {
        if (!m.streams.contains(stream)) return cudaErrorInvalidResourceHandle;
        m.run_all(stream);
        for (cudaEvent_t event : m.events)
            if (event->stream == stream) event->stream = nullptr;
        m.streams.erase(stream);
        delete stream;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return on(stream, [](Machine& m, cudaStream_t queue) {
        if (queue->capture) return uncapturable(m);
        ++m.synchronisations;
        m.run_all(queue);
        return cudaSuccess;
    });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return on(stream, [](Machine& m, cudaStream_t queue) {
        if (queue->queue.empty()) return cudaSuccess;
        m.run(queue, queue->queue.front().sequence);  // so that who asks often enough gets there
        return cudaErrorNotReady;
    });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
        if (event->recorded) m.add(queue, {0, {}, event, event->recorded});
        return cudaSuccess;
    });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    return on(stream, [&](Machine&, cudaStream_t queue) {
        *status = queue->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    return on(stream, [](Machine& m, cudaStream_t queue) {
        if (queue->capture || m.is_null(queue)) return cudaErrorStreamCaptureUnsupported;
        queue->capture = new CUgraph_st;
        queue->broken_capture = false;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    return on(stream, [&](Machine&, cudaStream_t queue) {
        if (!queue->capture) return cudaErrorInvalidValue;
        *graph = std::exchange(queue->capture, nullptr);
        if (!queue->broken_capture) return cudaSuccess;
        delete std::exchange(*graph, nullptr);
        return cudaErrorStreamCaptureInvalidated;
    });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    *executable = new CUgraphExec_st{graph->operations};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        for (const auto& operation : executable->operations) m.add(queue, {0, operation});
        return cudaSuccess;
    });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        m.add(queue, {0, [=] { function(data); }});
        return cudaSuccess;
    });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    return call([&](Machine& m) {
        m.events.insert(*event = new CUevent_st);
        return cudaSuccess;
    });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return call([&](Machine& m) {
        if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
        if (event->stream) m.run(event->stream, event->recorded);
        m.events.erase(event);
        delete event;
        return cudaSuccess;
    });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return on(stream, [&](Machine& m, cudaStream_t queue) {
        if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
        if (queue->capture) return cudaSuccess;
        const unsigned long long sequence = m.sequence + 1;
        m.add(queue, {0, [event, sequence] {
                          event->happened = sequence;
                          event->when = std::chrono::steady_clock::now();
                      }});
        event->recorded = sequence;
        event->stream = queue;
        return cudaSuccess;
    });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call([&](Machine& m) {
        if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
        ++m.synchronisations;
        if (event->stream) m.run(event->stream, event->recorded);
        return cudaSuccess;
    });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return call([&](Machine& m) {
        if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
        if (event->happened >= event->recorded) return cudaSuccess;
        if (!event->stream->queue.empty()) m.run(event->stream, event->stream->queue.front().sequence);
        return cudaErrorNotReady;
    });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    return call([&](Machine& m) {
        if (!m.events.contains(start) || !m.events.contains(end)) return cudaErrorInvalidResourceHandle;
        if (start->happened < start->recorded || end->happened < end->recorded) return cudaErrorNotReady;
        *milliseconds = std::chrono::duration<float, std::milli>(end->when - start->when).count();
        return cudaSuccess;
    });
}

}  // extern "C"
