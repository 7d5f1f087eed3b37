// The kernels of jumps. SPDX-License-Identifier: BSD-3-Clause
#include "learned.cuh"

template struct pcs::cuda::detail::Kind<pcs::MapKind::jump>;
