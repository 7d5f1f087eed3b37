// Another library of the same interface behind libpcs: with PCS_BACKEND=embed in the environment pcs_open hands the
// model to libpcs_embed, whose handles libpcs tells by their tag and passes on. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "handles.hpp"
#include "pcs.h"

namespace pcs {

struct Backend {
    decltype(&::pcs_open) open = nullptr;
#define PCS_FUNCTION(name) decltype(&::pcs_##name) name = nullptr;
#include "functions.def"
#undef PCS_FUNCTION
};

// What PCS_BACKEND asks for: null for native (or unset). Throws Error (option) for another name, Error (file) where
// libpcs_embed cannot be loaded: $PCS_EMBED_LIBRARY, else beside libpcs, else where the loader looks.
const Backend* chosen_backend();

// The library that a handle belongs to, if it is not this one: only handles of a loaded one have its tag.
const Backend* loaded_backend() noexcept;
inline const Backend* backend_of(const pcs_solver* handle) noexcept {
    return reinterpret_cast<std::uint64_t>(handle) >> 48 == embed_tag ? loaded_backend() : nullptr;
}

}  // namespace pcs

// First in every function on a handle: the other library's answer, if the handle is its own.
#define PCS_PASS_ON(name, handle, ...) \
    if (const pcs::Backend* other = pcs::backend_of(handle)) return other->name(__VA_ARGS__)
