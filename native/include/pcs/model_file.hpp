// Reading a model file (docs/architecture.md has the layout). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pcs/tables.hpp"

namespace pcs {

class ModelFile {
  public:
    // Throws Error (file) that says what is wrong with the file and what to do.
    explicit ModelFile(const std::string& path);

    bool has(const std::string& name) const { return arrays_.contains(name); }
    std::vector<double> f64(const std::string& name) const;
    std::vector<float> f32(const std::string& name) const;
    std::vector<std::int32_t> i32(const std::string& name) const;
    std::vector<std::string> lines(const std::string& name) const;
    std::vector<std::int64_t> shape(const std::string& name) const;
    NetworkTables network() const;
    const std::string& path() const { return path_; }

  private:
    enum class Type : std::uint32_t { u8 = 1, i32 = 2, f32 = 3, f64 = 4 };
    struct Array {
        Type type;
        std::vector<std::int64_t> shape;
        std::size_t offset, bytes;
    };
    [[noreturn]] void refuse(const std::string& reason) const;
    const Array& find(const std::string& name, Type type) const;
    template <class T>
    std::vector<T> copy(const std::string& name, Type type) const;

    std::string path_;
    std::vector<char> bytes_;
    std::map<std::string, Array> arrays_;
};

// A path, or the name of a shipped model looked for in the folders. Throws Error (file) that lists where it looked.
std::string find_model(const std::string& path_or_name, const std::vector<std::string>& folders);

}  // namespace pcs
