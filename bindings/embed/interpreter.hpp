// A Python in this process: the one that runs, or one that is found and started. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "bridge.h"

namespace pcs::embed {

// The functions of the Python side. The first call finds or starts Python and imports pychemsurrogate there; from then
// on it costs a few loads. Throws Error (python) that says what is missing: also in a child of a process that had
// started Python before it forked, and once a host has ended the Python that it runs.
const pcs_bridge& bridge();

// Whether the Python that serves is still there, for calls that must not fail.
bool running() noexcept;

// What the Python side last told `fail` on this thread.
const char* bridge_error() noexcept;

}  // namespace pcs::embed
