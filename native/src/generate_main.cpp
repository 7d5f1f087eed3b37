// Prints the straight-line kernels of a model file's network, for the build. SPDX-License-Identifier: BSD-3-Clause
//
//   pcs_generate MODEL.pcs > network.inc
#include <cstdio>

#include "pcs/generate.hpp"
#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: pcs_generate MODEL.pcs\n");
        return 2;
    }
    try {
        const pcs::Plan plan(pcs::ModelFile(argv[1]).network());
        std::fputs(pcs::generate_code(plan.view()).c_str(), stdout);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pcs_generate: %s\n", error.what());
        return 1;
    }
    return 0;
}
