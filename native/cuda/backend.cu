// The table that libpcs_cuda offers. SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <new>

#include "arrays.hpp"
#include "call.hpp"
#include "pointers.hpp"

namespace pcs::cuda {

namespace {

bool fail(DeviceFailure* failure, ErrorCode code, const char* message) {
    failure->code = static_cast<std::int32_t>(code);
    std::strncpy(failure->message, message, sizeof failure->message - 1);
    failure->message[sizeof failure->message - 1] = 0;
    return false;
}

// Runs the body; no exception leaves the library.
template <class Body>
bool guarded(DeviceModel* model, DeviceFailure* failure, const Body& body) {
    try {
        body();
        return true;
    } catch (const Error& error) {
        if (model && error.code == ErrorCode::device && model->process == getpid()) {
            const std::lock_guard lock(model->turn);
            if (model->lost.empty()) model->notice_loss(error.what());
        }
        cudaGetLastError();  // what has been told is no error of the host's next call
        return fail(failure, error.code, error.what());
    } catch (const std::bad_alloc&) {
        return fail(failure, ErrorCode::memory, "out of memory: use smaller batches");
    } catch (const std::exception& error) {
        return fail(failure, ErrorCode::internal, error.what());
    }
}

// The driver serves the process that has begun with it, and none that is forked from it then.
void require_own_process() {
    static std::atomic<pid_t> first{0};
    pid_t none = 0;
    if (!first.compare_exchange_strong(none, getpid()) && none != getpid()) throw Error(ErrorCode::device, forked);
}

int device_count() {
    require_own_process();
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaErrorInsufficientDriver)
        throw Error(ErrorCode::device,
                    "there is no NVIDIA driver here, or one that is too old for libpcs_cuda: use "
                    "device=cpu, or install a driver");
    if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
        throw Error(ErrorCode::device,
                    "there is no GPU here that this process may use: use device=cpu, or look at "
                    "nvidia-smi and CUDA_VISIBLE_DEVICES");
    require(error, "to be found");
    return devices;
}

bool count_devices(std::int32_t* devices, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] { *devices = device_count(); });
}

bool open(const DeviceImage* image, std::int32_t device, DeviceModel** model, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const int devices = device_count();
        if (device < 0 || device >= devices)
            throw Error(ErrorCode::device, "there is no GPU " + std::to_string(device) + ": this process may use " +
                                               std::to_string(devices) + ", counted from 0");
        *model = new DeviceModel(*image, device);
    });
}

void close(DeviceModel* model) {
    if (!model || model->process != getpid()) return;  // what a forked process holds belongs to its parent
    DeviceFailure ignored;                             // a lost device has nothing to wait for
    guarded(nullptr, &ignored, [&] {
        const OnDevice here(model->device);
        if (model->lost.empty()) model->wait();
    });
    guarded(nullptr, &ignored, [&] {
        const OnDevice here(model->device);
        delete model;
    });
}

// The stream of a call, and whether it is being captured. Throws Error (device) if it is none.
cudaStream_t stream_of(const DeviceCall& call, bool& captured) {
    const auto stream = static_cast<cudaStream_t>(call.stream);
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t error = cudaStreamIsCapturing(stream, &status);
    if (error != cudaSuccess)
        throw Error(ErrorCode::device, "the option stream is no stream of this device that could be used now (" +
                                           std::string(cudaGetErrorName(error)) +
                                           "): hand in the address of an open cudaStream_t, or 0");
    if (status == cudaStreamCaptureStatusInvalidated)
        throw Error(ErrorCode::device, "the capture of the stream has failed before: end it and begin anew");
    captured = status == cudaStreamCaptureStatusActive;
    return stream;
}

// The whole of a step or trajectory.
template <class Request>
void run(DeviceModel& model, const Request& request, const DeviceStep& step, std::int64_t cells,
         std::uint64_t* ticket) {
    const Turn mine(model);
    bool captured = false;
    const cudaStream_t stream = stream_of(step.call, captured);
    const Capturing now(captured);
    check_places(request, model.device, model.view.plan.n_species, model.view.plan.n_conditions + (step.units != 0));
    if (captured && step.call.memory == Space::host)
        throw Error(ErrorCode::device, "a call with memory=host cannot be captured in a graph");
    Lane& lane = model.lane_of(stream);
    Slot& slot = model.begin(lane, stream, cells, step.audit);
    if (step.call.memory == Space::host)
        run_staged(model, request, lane, slot, stream);
    else
        enqueue(model, request, lane, slot, stream);
    model.end(slot, stream);
    *ticket = slot.ticket;
}

bool step(DeviceModel* model, const DeviceStep* request, std::uint64_t* ticket, DeviceFailure* failure) {
    return guarded(model, failure, [&] { run(*model, *request, *request, request->cells.n_cells, ticket); });
}

bool trajectory(DeviceModel* model, const DeviceTrajectory* request, std::uint64_t* ticket, DeviceFailure* failure) {
    return guarded(model, failure, [&] {
        run(*model, *request, request->step, request->step.cells.n_cells * request->trajectory.n_times, ticket);
    });
}

bool fetch(DeviceModel* model, std::uint64_t ticket, DeviceFetched* fetched, DeviceAudit* audits,
           DeviceFailure* failure) {
    return guarded(model, failure, [&] { model->fetch(ticket, *fetched, audits); });
}

bool measure_step(DeviceModel* model, const DeviceStep* request, DeviceMeasure* measured, DeviceFailure* failure) {
    return guarded(model, failure, [&] {
        const Turn mine(*model);
        bool captured = false;
        stream_of(request->call, captured);
        if (captured)
            throw Error(ErrorCode::device,
                        "the costs of the paths are measured at the first step, but the stream is "
                        "being captured: make one step before, or set the option costs");
        *measured = measure(*model, *request);
    });
}

bool allocate(std::int32_t device, std::size_t bytes, void** memory, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        device_count();
        const OnDevice here(device);
        *memory = nullptr;
        require(cudaMalloc(memory, bytes), "for an array");
    });
}

bool release(std::int32_t device, void* memory, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const OnDevice here(device);
        require(cudaFree(memory), "to free an array");
    });
}

bool copy(std::int32_t device, void* to, const void* from, std::size_t bytes, void* stream, bool waits,
          DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const OnDevice here(device);
        require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)),
                "to copy an array");
        if (waits) require(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "to copy an array");
    });
}

bool synchronise(std::int32_t device, void* stream, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const OnDevice here(device);
        require(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "in its work so far");
    });
}

bool place(const void* memory, std::int32_t* device, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] { *device = place_of(memory); });
}

bool order(std::int32_t device, void* after, void* before, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const OnDevice here(device);
        order_streams(static_cast<cudaStream_t>(after), static_cast<cudaStream_t>(before));
    });
}

bool spread_values(std::int32_t device, double* to, const double* from, std::int64_t stride, std::int64_t count,
                   void* stream, DeviceFailure* failure) {
    return guarded(nullptr, failure, [&] {
        const OnDevice here(device);
        spread(to, from, stride, count, static_cast<cudaStream_t>(stream));
    });
}

std::int64_t synchronisations() {
#ifdef PCS_CUDA_EMULATED
    return emulator_synchronisations();
#else
    return -1;
#endif
}

}  // namespace

}  // namespace pcs::cuda

extern "C" __attribute__((visibility("default"))) const pcs::CudaBackend* pcs_cuda_backend(void) {
    using namespace pcs::cuda;
#ifdef PCS_CUDA_EMULATED
    constexpr const char* name = "emulated";
#else
    constexpr const char* name = "cuda";
#endif
    static const pcs::CudaBackend table{pcs::device_interface(),
                                        name,
                                        count_devices,
                                        open,
                                        close,
                                        step,
                                        trajectory,
                                        fetch,
                                        measure_step,
                                        allocate,
                                        release,
                                        copy,
                                        synchronise,
                                        place,
                                        order,
                                        spread_values,
                                        synchronisations};
    return &table;
}
