// SPDX-License-Identifier: BSD-3-Clause
#include "model.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace pcs::cuda {

OnDevice::OnDevice(int device) {
    require(cudaGetDevice(&before_), "to tell the thread's device");
    if (before_ != device) require(cudaSetDevice(device), "to be chosen");
}
OnDevice::~OnDevice() { cudaSetDevice(before_); }

Event::Event(bool timed) {
    require(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming), "to make an event");
}

namespace {

constexpr std::size_t most_lanes = 64;

std::unique_lock<std::mutex> lock_of(DeviceModel& model) {
    if (model.process != getpid()) throw Error(ErrorCode::device, forked);
    std::unique_lock lock(model.turn);
    if (!model.lost.empty()) throw Error(ErrorCode::device, model.lost);
    return lock;
}

}  // namespace

Turn::Turn(DeviceModel& model) : lock_(lock_of(model)), device_(model.device) {}

}  // namespace pcs::cuda

namespace pcs {

using namespace cuda;

DeviceModel::DeviceModel(const DeviceImage& image, int device) : device(device), process(getpid()) {
    const OnDevice here(device);
    require(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
            "to tell its multiprocessors");
    require(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "to make a stream");
    std::vector<char> bytes(static_cast<const char*>(image.bytes), static_cast<const char*>(image.bytes) + image.size);
    char* const base = image_.reserve<char>(image.size);
    for (std::size_t k = 0; k < image.n_pointers; ++k) {
        std::uint64_t target;
        std::memcpy(&target, &bytes[image.pointers[k]], sizeof target);
        target += reinterpret_cast<std::uint64_t>(base);
        std::memcpy(&bytes[image.pointers[k]], &target, sizeof target);
    }
    std::memcpy(&view, bytes.data(), sizeof view);
    require(cudaMemcpy(base, bytes.data(), image.size, cudaMemcpyHostToDevice), "to copy the model there");
    for (int p = 0; p < view.n_paths; ++p) {
        first_bin.push_back(bins);
        bins += view.paths[p].bins;
    }
    reports_.reserve<Report>(device_reports);
    snapshots_.reserve<AuditCount>(std::size_t{device_reports} * std::max(bins, 1));
    slots_ = std::make_unique<Slot[]>(device_reports);
}

DeviceModel::~DeviceModel() {
    if (own) cudaStreamDestroy(own);
}

void DeviceModel::wait() { require(cudaDeviceSynchronize(), "in its work so far"); }

Lane& DeviceModel::lane_of(cudaStream_t stream) {
    // The streams of the value cudaStreamPerThread are as many as threads.
    const std::pair key(stream, stream == cudaStreamPerThread ? std::this_thread::get_id() : std::thread::id());
    auto found = lanes_.find(key);
    if (found == lanes_.end()) {
        if (capturing)
            throw Error(ErrorCode::device,
                        "the stream is being captured, but the handle has not met it yet: make one "
                        "call of this size on it before the capture");
        if (lanes_.size() >= most_lanes) {
            const auto oldest = std::min_element(lanes_.begin(), lanes_.end(), [](const auto& a, const auto& b) {
                return a.second->last_use < b.second->last_use;
            });
            require(cudaEventSynchronize(oldest->second->done), "in its work so far");
            for (int k = 0; k < device_reports; ++k)
                if (slots_[k].lane == oldest->second.get()) slots_[k].lane = nullptr;
            lanes_.erase(oldest);
        }
        found = lanes_.emplace(key, std::make_unique<Lane>()).first;
    }
    Lane& lane = *found->second;
    lane.last_use = ++uses_;
    if (lane.used && !capturing) require(cudaStreamWaitEvent(stream, lane.done, 0), "to order the stream's calls");
    return lane;
}

Slot& DeviceModel::begin(Lane& lane, cudaStream_t stream, std::int64_t cells, std::uint64_t audit) {
    std::uint64_t ticket = tickets_ + 1;
    for (int tried = 0; slots_[ticket % device_reports].captured; ++tried, ++ticket)
        if (tried == device_reports)
            throw Error(ErrorCode::device, "graphs hold the reports of " + std::to_string(device_reports) +
                                               " calls: open another handle for more");
    tickets_ = ticket;
    Slot& slot = slots_[ticket % device_reports];
    slot.ticket = ticket;
    slot.lane = &lane;
    slot.cells = cells;
    slot.audit = audit;
    slot.captured = capturing;
    if (lane.audit_of != audit || lane.merged.empty()) {
        if (capturing)
            throw Error(ErrorCode::device,
                        "the stream is being captured, but options have changed what is audited: make "
                        "one call before the capture");
        AuditCount* const counts = lane.audit.reserve<AuditCount>(std::max(bins, 1));
        require(cudaMemsetAsync(counts, 0, sizeof(AuditCount) * bins, stream), "to clear the audit's counts");
        lane.merged.assign(std::max(bins, 1), {0, 0, 0});
        lane.audit_of = audit;
    }
    if (!capturing) require(cudaEventRecord(slot.first, stream), "to record an event");
    require(cudaMemsetAsync(report_of(slot), 0, sizeof(Report), stream), "to clear a report");
    return slot;
}

void DeviceModel::end(Slot& slot, cudaStream_t stream) {
    AuditCount* const snapshot = snapshots_.reserve<AuditCount>(1) + (&slot - slots_.get()) * std::max(bins, 1);
    if (bins > 0)
        require(cudaMemcpyAsync(snapshot, audit_of(*slot.lane, 0), sizeof(AuditCount) * bins, cudaMemcpyDeviceToDevice,
                                stream),
                "to keep the audit's counts");
    if (capturing) return;
    require(cudaEventRecord(slot.lane->done, stream), "to record an event");
    require(cudaEventRecord(slot.last, stream), "to record an event");
    slot.lane->used = true;
}

Slot& DeviceModel::slot_of(std::uint64_t ticket) {
    Slot& slot = slots_[ticket % device_reports];
    if (ticket == 0 || slot.ticket != ticket)
        throw Error(ErrorCode::argument, "the report of this call is gone: it is kept until " +
                                             std::to_string(device_reports) +
                                             " more calls have been made on the handle, or its device set anew");
    return slot;
}

void DeviceModel::fetch(std::uint64_t ticket, DeviceFetched& fetched, DeviceAudit* audits) {
    {
        cudaEvent_t last;
        bool captured;
        {
            const Turn mine(*this);
            const Slot& slot = slot_of(ticket);
            last = slot.last, captured = slot.captured;
        }
        const OnDevice here(device);  // others may have their turn while this waits
        require(captured ? cudaDeviceSynchronize() : cudaEventSynchronize(last), "in the call that is reported");
    }
    const Turn mine(*this);
    Slot& slot = slot_of(ticket);
    const std::size_t audit_bytes = sizeof(AuditCount) * bins;
    char* const there = fetched_.reserve(sizeof(Report) + audit_bytes);
    require(cudaMemcpyAsync(there, report_of(slot), sizeof(Report), cudaMemcpyDeviceToHost, own), "to copy a report");
    if (bins > 0)
        require(cudaMemcpyAsync(there + sizeof(Report),
                                snapshots_.reserve<AuditCount>(1) + (&slot - slots_.get()) * std::max(bins, 1),
                                audit_bytes, cudaMemcpyDeviceToHost, own),
                "to copy the audit's counts");
    require(cudaStreamSynchronize(own), "to copy a report");
    std::memcpy(&fetched.report, there, sizeof(Report));
    fetched.report.cells = slot.cells;
    fetched.audit = slot.audit;
    fetched.n_audits = 0;
    if (!slot.captured) {
        float milliseconds = 0;
        require(cudaEventElapsedTime(&milliseconds, slot.first, slot.last), "to tell the time of a call");
        fetched.report.seconds = 1e-3 * milliseconds;
    }
    Lane* const lane = slot.lane;
    if (!lane || lane->audit_of != slot.audit) return;
    const auto counts = reinterpret_cast<const AuditCount*>(there + sizeof(Report));
    for (int p = 0; p < view.n_paths; ++p)
        for (int b = 0; b < view.paths[p].bins; ++b) {
            const AuditCount& now = counts[first_bin[p] + b];
            AuditCount& before = lane->merged[first_bin[p] + b];
            if (now.audited <= before.audited) continue;  // those of an earlier call than the last fetched
            audits[fetched.n_audits++] = {p, b, now.audited - before.audited, now.violations - before.violations,
                                          now.gross - before.gross};
            before = now;
        }
}

void DeviceModel::notice_loss(const std::string& what) {
    // A sticky error is what every call returns from then on.
    const cudaError_t now = cudaStreamQuery(own);
    if (now == cudaSuccess || now == cudaErrorNotReady) return;
    lost = "the GPU " + std::to_string(device) + " is lost for this process (" + what +
           "): close the handle; a new process may use the GPU again";
}

}  // namespace pcs
