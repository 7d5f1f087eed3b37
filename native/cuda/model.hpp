// A model on a device, with what its calls need there. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "buffer.hpp"
#include "pcs/device.hpp"
#include "step.hpp"

namespace pcs::cuda {

// The device of a thread, put back at the end.
class OnDevice {
  public:
    explicit OnDevice(int device);
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

  private:
    int before_ = 0;
};

class Event {
  public:
    explicit Event(bool timed);
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    operator cudaEvent_t() const { return event_; }

  private:
    cudaEvent_t event_ = nullptr;
};

// Cells of the host on their way to the device and back.
struct Piece {
    PinnedBuffer host;
    DeviceBuffer device;
    Event back{false};
    std::int64_t first = 0, size = 0;
};

// What the calls on one stream share: they follow each other.
struct Lane {
    std::unique_ptr<Scratch> scratch = std::make_unique<Scratch>();
    DeviceBuffer status, given, densities;
    Piece pieces[2];
    DeviceBuffer audit;              // AuditCount of every bin of the model, ever growing ...
    std::vector<AuditCount> merged;  // ... of which the host knows so much already
    std::uint64_t audit_of = 0;      // DeviceStep::audit of what it counts; 0: nothing yet
    Event done{false};               // of its last call: a stream that is made anew may have the same address
    bool used = false;
    std::uint64_t last_use = 0;

    // Gives back what grows with the size of a batch.
    void shrink() {
        scratch = std::make_unique<Scratch>();
        status.release(), densities.release();
    }
};

// Where the report of a call is kept.
struct Slot {
    std::uint64_t ticket = 0;
    Event first{true}, last{true};
    Lane* lane = nullptr;
    std::int64_t cells = 0;
    std::uint64_t audit = 0;
    bool captured = false;  // in a graph, which writes it whenever it runs
};

}  // namespace pcs::cuda

namespace pcs {

struct DeviceModel {
    DeviceModel(const DeviceImage& image, int device);
    ~DeviceModel();
    DeviceModel(const DeviceModel&) = delete;
    DeviceModel& operator=(const DeviceModel&) = delete;

    // The lane of a stream, whose work so far comes before that of the call; the slot of a new call; the end of it.
    cuda::Lane& lane_of(cudaStream_t stream);
    cuda::Slot& begin(cuda::Lane& lane, cudaStream_t stream, std::int64_t cells, std::uint64_t audit);
    void end(cuda::Slot& slot, cudaStream_t stream);
    Report* report_of(const cuda::Slot& slot) {
        return reports_.reserve<Report>(device_reports) + (&slot - slots_.get());
    }

    // The counts of a path's bins, in a lane.
    cuda::AuditCount* audit_of(cuda::Lane& lane, int path) {
        return lane.audit.reserve<cuda::AuditCount>(bins) + first_bin[path];
    }

    void fetch(std::uint64_t ticket, DeviceFetched& fetched, DeviceAudit* audits);

    // Waits for all calls.
    void wait();

    // A sticky error of the device makes it lost for this process.
    void notice_loss(const std::string& what);

    const int device;
    const pid_t process;
    int multiprocessors = 0;
    DeviceModelView view;  // pointers are of the device
    int bins = 0;
    std::vector<int> first_bin;  // of each path
    std::mutex turn;             // of the calls
    std::string lost;            // why, if it is
    cudaStream_t own = nullptr;  // for what no stream of the host's is waited for

  private:
    cuda::Slot& slot_of(std::uint64_t ticket);

    cuda::DeviceBuffer image_, reports_, snapshots_;
    cuda::PinnedBuffer fetched_;
    std::unique_ptr<cuda::Slot[]> slots_;
    std::uint64_t tickets_ = 0, uses_ = 0;
    std::map<std::pair<cudaStream_t, std::thread::id>, std::unique_ptr<cuda::Lane>> lanes_;
};

}  // namespace pcs

namespace pcs::cuda {

constexpr const char* forked =
    "this process was forked from one that works on the GPU, which serves that one alone: fork before any handle has "
    "device cuda, and open the handle in the child";

// One thread's turn on a model, on its device. Throws Error (device) if the process is another one, or the device lost.
class Turn {
  public:
    explicit Turn(DeviceModel& model);

  private:
    std::unique_lock<std::mutex> lock_;
    OnDevice device_;
};

}  // namespace pcs::cuda
