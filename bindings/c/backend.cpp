// Loading libpcs_embed behind libpcs. SPDX-License-Identifier: BSD-3-Clause
#include "backend.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>

#include "pcs/error.hpp"

namespace pcs {

namespace {

constexpr const char* file_name = PCS_EMBED_NAME;  // libpcs_embed.so.0; a wheel, which holds no links: libpcs_embed.so

std::atomic<const Backend*> loaded{};

std::string library_path() {
    if (const char* given = std::getenv("PCS_EMBED_LIBRARY"); given && *given) return given;
    Dl_info info;
    if (dladdr(reinterpret_cast<const void*>(&chosen_backend), &info) && info.dli_fname) {
        std::error_code ignored;
        const auto beside = std::filesystem::absolute(info.dli_fname, ignored).parent_path() / file_name;
        if (std::filesystem::exists(beside, ignored)) return beside.string();
    }
    return file_name;
}

template <class Function>
void look_up(void* library, const std::string& path, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (!function) throw Error(ErrorCode::file, path + " has no function " + name + ": it is not libpcs_embed");
}

void load(Backend& backend) {
    const std::string path = library_path();
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        throw Error(ErrorCode::file, "PCS_BACKEND is embed, but libpcs_embed cannot be loaded: " +
                                         std::string(dlerror()) + "; install it, or set PCS_EMBED_LIBRARY to its path");
    decltype(&::pcs_abi_version) version = nullptr;
    look_up(library, path, "pcs_abi_version", version);
    if (version() != PCS_ABI_VERSION)
        throw Error(ErrorCode::file, path + " has version " + std::to_string(version()) +
                                         " of the interface, libpcs has " + std::to_string(PCS_ABI_VERSION) +
                                         ": install both from one release");
    look_up(library, path, "pcs_open", backend.open);
#define PCS_FUNCTION(name) look_up(library, path, "pcs_" #name, backend.name);
#include "functions.def"
#undef PCS_FUNCTION
}

}  // namespace

const Backend* loaded_backend() noexcept { return loaded.load(std::memory_order_acquire); }

const Backend* chosen_backend() {
    const char* const name = std::getenv("PCS_BACKEND");
    if (!name || !*name || std::string(name) == "native") return nullptr;
    if (std::string(name) != "embed")
        throw Error(ErrorCode::option, "PCS_BACKEND is '" + std::string(name) + "': it must be one of native, embed");
    static std::mutex loading;
    const std::lock_guard guard(loading);
    static Backend backend;
    if (!loaded_backend()) {
        load(backend);
        loaded.store(&backend, std::memory_order_release);
    }
    return &backend;
}

}  // namespace pcs
