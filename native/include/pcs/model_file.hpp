// Reading a model file (docs/architecture.md has the layout). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pcs/report.hpp"
#include "pcs/tables.hpp"

namespace pcs {

class ModelFile {
  public:
    // Throws Error (file) that says what is wrong with the file and what to do.
    explicit ModelFile(const std::string& path);

    // The names of the learned paths, cheapest first: "" alone for one without a name, none for a network alone. Throws
    // Error (file).
    std::vector<std::string> paths() const;
    // The same file as a learned path sees it: every name is looked up below the path's own; "": as it is.
    ModelFile of_path(const std::string& path) const;

    bool has(const std::string& name) const { return contents_->arrays.contains(prefix_ + name); }
    std::vector<double> f64(const std::string& name) const;
    std::vector<float> f32(const std::string& name) const;
    std::vector<std::int32_t> i32(const std::string& name) const;
    std::vector<std::string> lines(const std::string& name) const;
    std::vector<std::int64_t> shape(const std::string& name) const;
    NetworkTables network() const;
    // What messages call the file, or the learned path in it.
    std::string label() const;

  private:
    enum class Type : std::uint32_t { u8 = 1, i32 = 2, f32 = 3, f64 = 4 };
    struct Array {
        Type type;
        std::vector<std::int64_t> shape;
        std::size_t offset, bytes;
    };
    struct Contents {
        std::string path;
        std::vector<char> bytes;
        std::map<std::string, Array> arrays;
    };
    [[noreturn]] void refuse(const std::string& reason) const;
    const Array* look(const std::string& name) const;  // null where it is absent
    const Array& find(const std::string& name, Type type) const;
    template <class T>
    std::vector<T> copy(const std::string& name, Type type) const;

    std::shared_ptr<Contents> contents_;
    std::string prefix_;  // "", or a learned path's name and a slash
};

// A path, or the name of a shipped model looked for in the folders. Throws Error (file) that lists where it looked.
std::string find_model(const std::string& path_or_name, const std::vector<std::string>& folders);

}  // namespace pcs
