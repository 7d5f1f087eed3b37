// Loading libpcs_cuda, and a model that it holds. SPDX-License-Identifier: BSD-3-Clause
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "pcs/error.hpp"
#include "pcs/gpu.hpp"
#include "pcs/image.hpp"

namespace pcs {

namespace {

namespace fs = std::filesystem;

constexpr const char* file_name = "libpcs_cuda.so";

std::string library_path() {
    if (const char* given = std::getenv("PCS_CUDA_LIBRARY"); given && *given) return given;
    Dl_info info;
    if (dladdr(reinterpret_cast<const void*>(&cuda_backend), &info) && info.dli_fname) {
        std::error_code ignored;
        const fs::path folder = fs::absolute(info.dli_fname, ignored).parent_path();
        for (const fs::path& beside : {folder / file_name, folder / "lib" / file_name})
            if (fs::exists(beside, ignored)) return beside.string();
    }
    return file_name;
}

}  // namespace

const CudaBackend& cuda_backend() {
    const std::string path = library_path();
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        throw Error(ErrorCode::device,
                    "device cuda needs libpcs_cuda, which cannot be loaded: " + std::string(dlerror()) +
                        "; build pychemsurrogate with -DPCS_CUDA=ON, or set PCS_CUDA_LIBRARY to the "
                        "library's path");
    const auto entry = reinterpret_cast<decltype(&pcs_cuda_backend)>(dlsym(library, "pcs_cuda_backend"));
    const CudaBackend* const backend = entry ? entry() : nullptr;
    if (!backend || backend->interface != device_interface()) {
        dlclose(library);
        throw Error(ErrorCode::device, path + (backend ? " is of another release than this library: install both from "
                                                         "one build"
                                                       : " is not libpcs_cuda"));
    }
    return *backend;
}

int device_number(const std::string& name) {
    if (name == "cuda") return 0;
    const std::string prefix = "cuda:", digits = name.substr(std::min(prefix.size(), name.size()));
    if (!name.starts_with(prefix) || digits.empty() || digits.size() > 4 ||
        digits.find_first_not_of("0123456789") != digits.npos)
        return -1;
    return std::stoi(digits);
}

void throw_failure(const DeviceFailure& failure) { throw Error(static_cast<ErrorCode>(failure.code), failure.message); }

Gpu::Gpu(const Image& model, int n_bins, int device) : backend_(cuda_backend()), n_bins_(n_bins) {
    const DeviceImage image = model.view();
    on_device([&](DeviceFailure* failure) { return backend_.open(&image, device, &model_, failure); });
}

Gpu::~Gpu() { backend_.close(model_); }

std::uint64_t Gpu::step(const DeviceStep& step) const {
    std::uint64_t ticket = 0;
    on_device([&](DeviceFailure* failure) { return backend_.step(model_, &step, &ticket, failure); });
    return ticket;
}

std::uint64_t Gpu::trajectory(const DeviceTrajectory& trajectory) const {
    std::uint64_t ticket = 0;
    on_device([&](DeviceFailure* failure) { return backend_.trajectory(model_, &trajectory, &ticket, failure); });
    return ticket;
}

DeviceFetched Gpu::fetch(std::uint64_t ticket, std::vector<DeviceAudit>& audits) const {
    DeviceFetched fetched{};
    audits.resize(n_bins_);
    on_device([&](DeviceFailure* failure) { return backend_.fetch(model_, ticket, &fetched, audits.data(), failure); });
    audits.resize(fetched.n_audits);
    return fetched;
}

DeviceMeasure Gpu::measure(const DeviceStep& step) const {
    DeviceMeasure measured{};
    on_device([&](DeviceFailure* failure) { return backend_.measure(model_, &step, &measured, failure); });
    return measured;
}

}  // namespace pcs
