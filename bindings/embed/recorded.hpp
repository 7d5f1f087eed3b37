// What the build knows; CMake writes the values (recorded.cpp.in). SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace pcs::embed {

extern const char recorded_python[];     // the executable of the build
extern const char recorded_soname[];     // its libpython, "libpython3.11.so.1.0"
extern const char recorded_multiarch[];  // "lib/x86_64-linux-gnu" where its system has such folders, else ""
extern const char recorded_release[];    // of pychemsurrogate
extern const char recorded_bridge[];     // bridge.h as cffi reads it

}  // namespace pcs::embed
