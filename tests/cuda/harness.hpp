// What the test programs of single kernels share. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "launch.hpp"

// An array on the device, with what the host knows of it.
template <class T>
struct OnDevice {
    T* at = nullptr;
    std::vector<T> host;

    explicit OnDevice(std::vector<T> values) : host(std::move(values)) {
        using pcs::cuda::require;
        require(cudaMalloc(&at, host.size() * sizeof(T) + 1), "to make room");
        require(cudaMemcpy(at, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "to copy");
    }
    void fetch() {
        pcs::cuda::require(cudaMemcpy(host.data(), at, host.size() * sizeof(T), cudaMemcpyDeviceToHost), "to copy");
    }
};

// The words name=number from the fourth on; a name that is not there yet is an error.
using Options = std::map<std::string, double>;
inline void read_options(int argc, char** argv, Options& option) {
    for (int i = 4; i < argc; ++i) {
        const std::string text = argv[i];
        const auto equals = text.find('=');
        option.at(text.substr(0, equals)) = std::atof(text.c_str() + equals + 1);
    }
}
