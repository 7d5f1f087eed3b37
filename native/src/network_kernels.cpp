// Straight-line kernels from a shared object of the user's. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/network_kernels.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"
#include "pcs_generated/kernel_build.hpp"

namespace pcs {

namespace {

namespace fs = std::filesystem;

struct ObjectKind {
    const char *isa, *unit, *flags;  // unit: the namespace of the kernels in it
};
constexpr ObjectKind kinds[] = {
    {"sse2", "sse2", PCS_FLAGS_SSE2}, {"avx2", "avx2", PCS_FLAGS_AVX2}, {"avx512", "avx512narrow", PCS_FLAGS_AVX512}};

const ObjectKind& kind_of(const std::string& isa) {
    for (const ObjectKind& kind : kinds)
        if (isa == kind.isa) return kind;
    throw Error(ErrorCode::option, "no instruction set '" + isa + "': it must be one of sse2, avx2, avx512");
}

fs::path cache_folder() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (const auto mine = variable("PCS_KERNEL_CACHE"); !mine.empty()) return mine;
    if (const fs::path shared = variable("XDG_CACHE_HOME"); shared.is_absolute()) return shared / "pychemsurrogate";
    if (const auto home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache" / "pychemsurrogate";
    throw Error(ErrorCode::option, "no folder for compiled kernels is known: set PCS_KERNEL_CACHE to one");
}

[[noreturn]] void refuse(const fs::path& path, const std::string& reason) {
    throw Error(ErrorCode::file, "compiled kernels '" + path.string() + "' " + reason);
}

// Whoever may write the object decides what this process does: nobody but its user and root may.
void require_private(const fs::path& path, const struct stat& found) {
    if (found.st_uid != ::geteuid() && found.st_uid != 0)
        refuse(path, "belong to another user: set PCS_KERNEL_CACHE to a folder of your own");
    if (found.st_mode & (S_IWGRP | S_IWOTH))
        refuse(path, "could be changed by other users: chmod go-w " + path.string());
}

}  // namespace

std::string object_path(const PlanView& plan, const std::string& isa) {
    std::array<char, 64> name;
    std::snprintf(name.data(), name.size(), "%016llx-%016llx-%s.so", static_cast<unsigned long long>(plan.fingerprint),
                  static_cast<unsigned long long>(PCS_KERNEL_INTERFACE), kind_of(isa).isa);
    return (cache_folder() / name.data()).string();
}

std::vector<std::string> object_flags(const std::string& isa) {
    std::istringstream text(std::string(PCS_FLAGS_ALL " ") + kind_of(isa).flags);
    std::vector<std::string> flags{"-std=gnu++20", "-fPIC", "-fvisibility=hidden", "-shared", "-DPCS_GENERATED"};
    for (std::string flag; text >> flag;) flags.push_back(flag);
    std::array<char, 64> interface;
    std::snprintf(interface.data(), interface.size(), "-DPCS_KERNEL_INTERFACE=0x%016llx",
                  static_cast<unsigned long long>(PCS_KERNEL_INTERFACE));
    flags.emplace_back(interface.data());
    return flags;
}

const Kernels& load_object(const PlanView& plan, const std::string& path) {
    struct stat file{}, folder{};
    if (::lstat(path.c_str(), &file) != 0)
        refuse(path,
               "are not there: run `pychemsurrogate model compile MODEL` as this user on this kind of processor, with "
               "the model or network file of this solver, or set kernels to auto");
    if (!S_ISREG(file.st_mode)) refuse(path, "are not a file: remove it and compile again");
    require_private(path, file);
    const fs::path parent = fs::absolute(path).parent_path();
    if (::stat(parent.c_str(), &folder) != 0) refuse(parent, "cannot be examined: check the folder's permissions");
    require_private(parent, folder);

    void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!object) refuse(path, std::string("cannot be loaded (") + ::dlerror() + "): remove the file and compile again");
    using Entry = const NetworkKernels* (*)();
    const auto entry = reinterpret_cast<Entry>(::dlsym(object, "pcs_network_kernels"));
    const NetworkKernels* found = entry ? entry() : nullptr;
    const char* misfit = !found                                     ? "are none of pychemsurrogate's"
                         : found->interface != PCS_KERNEL_INTERFACE ? "are for another version of this library"
                         : found->layout != kernel_layout()         ? "were compiled with other struct layouts"
                         : found->fingerprint != plan.fingerprint   ? "are for another network"
                         : std::strcmp(found->kernels->name, kind_of(kernels().name).unit) != 0
                             ? "are for another instruction set"
                             : nullptr;
    if (misfit) {
        ::dlclose(object);
        refuse(path, std::string(misfit) + ": remove the file and compile again");
    }
    return *found->kernels;
}

}  // namespace pcs
