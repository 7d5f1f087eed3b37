// The model file's reader. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/model_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "pcs/error.hpp"

namespace pcs {

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

namespace {

constexpr std::size_t header_bytes = 32, entry_bytes = 128, name_bytes = 64, alignment = 64;
constexpr std::uint32_t newest_version = 1;

// CRC-32 as in zlib (reflected polynomial 0xedb88320).
std::uint32_t crc32(const char* data, std::size_t size) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> t{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t c = i;
            for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
            t[i] = c;
        }
        return t;
    }();
    std::uint32_t crc = 0xffffffffu;
    for (std::size_t i = 0; i < size; ++i) crc = table[(crc ^ static_cast<unsigned char>(data[i])) & 255] ^ (crc >> 8);
    return crc ^ 0xffffffffu;
}

template <class T>
T read(const char* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

std::size_t item_bytes(std::uint32_t type) { return type == 1 ? 1 : type == 4 ? 8 : 4; }

}  // namespace

void ModelFile::refuse(const std::string& reason) const {
    throw Error(ErrorCode::file, "model file '" + contents_->path + "' " + reason);
}

std::string ModelFile::label() const {
    const std::string file = "model file '" + contents_->path + "'";
    return prefix_.empty() ? file : file + ", path '" + prefix_.substr(0, prefix_.size() - 1) + "'";
}

ModelFile::ModelFile(const std::string& path) : contents_(std::make_shared<Contents>()) {
    contents_->path = path;
    std::vector<char>& bytes = contents_->bytes;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) refuse("does not exist or is not a file: check the path");
    std::ifstream stream(path, std::ios::binary | std::ios::ate);
    if (!stream) refuse("cannot be opened: check its permissions");
    // A large file is looked at before it is read.
    const auto size = static_cast<std::uint64_t>(stream.tellg());
    char header[header_bytes] = {};
    stream.seekg(0);
    if (size < header_bytes || !stream.read(header, header_bytes) || std::memcmp(header, "PCSMODEL", 8) != 0)
        refuse("is not a pychemsurrogate model (or was cut short before its header ended)");
    const bool whole = read<std::uint64_t>(header + 16) == size;
    bytes.assign(header, header + header_bytes);
    bytes.resize(whole ? static_cast<std::size_t>(size) : header_bytes);
    const auto rest = static_cast<std::streamsize>(bytes.size() - header_bytes);
    if (!stream.read(bytes.data() + header_bytes, rest)) refuse("cannot be read");

    const char* data = bytes.data();
    if (const auto version = read<std::uint32_t>(data + 8); version != newest_version)
        refuse("has format version " + std::to_string(version) + ", this library reads version " +
               std::to_string(newest_version) + ": install a matching pychemsurrogate, or write the model anew");
    const auto count = read<std::uint32_t>(data + 12);
    if (!whole) refuse("is truncated or has bytes appended: copy it again");
    if (crc32(data + header_bytes, bytes.size() - header_bytes) != read<std::uint32_t>(data + 24))
        refuse("is damaged (checksum mismatch): copy it again");
    if (count > (bytes.size() - header_bytes) / entry_bytes) refuse("is damaged (directory out of bounds)");
    for (std::uint32_t k = 0; k < count; ++k) {
        const char* entry = data + header_bytes + k * entry_bytes;
        const std::string name(entry, strnlen(entry, name_bytes));
        const auto type = read<std::uint32_t>(entry + 64), rank = read<std::uint32_t>(entry + 68);
        Array array{static_cast<Type>(type), {}, read<std::uint64_t>(entry + 104), read<std::uint64_t>(entry + 112)};
        if (type < 1 || type > 4 || rank > 4) refuse("is damaged (array '" + name + "' has an unknown type or rank)");
        std::uint64_t items = 1;
        for (std::uint32_t d = 0; d < rank; ++d) {
            const auto extent = read<std::uint64_t>(entry + 72 + 8 * d);
            if (extent > bytes.size() || (extent != 0 && items > bytes.size() / extent))
                refuse("is damaged (array '" + name + "' is too large)");
            items *= extent;
            array.shape.push_back(static_cast<std::int64_t>(extent));
        }
        if (array.offset % alignment || array.bytes != items * item_bytes(type) || array.offset > bytes.size() ||
            array.bytes > bytes.size() - array.offset)
            refuse("is damaged (array '" + name + "' lies out of bounds)");
        contents_->arrays[name] = array;
    }
}

std::vector<std::string> ModelFile::paths() const {
    if (!has("paths")) return std::vector<std::string>(has("surrogate/kind") || has("surrogate/encode_w0") ? 1 : 0);
    const auto names = lines("paths");
    if (names.empty() || std::ssize(names) > most_paths)
        refuse("must name 1 to " + std::to_string(most_paths) + " paths: write the model anew");
    for (auto name = names.begin(); name != names.end(); ++name)
        if (name->empty() || name->find('/') != name->npos || std::count(names.begin(), name, *name))
            refuse("names a path '" + *name + "': names must differ, and none may be empty or hold a /");
    return names;
}

ModelFile ModelFile::of_path(const std::string& path) const {
    ModelFile seen = *this;
    if (!path.empty()) seen.prefix_ = path + "/";
    return seen;
}

const ModelFile::Array* ModelFile::look(const std::string& name) const {
    const auto found = contents_->arrays.find(prefix_ + name);
    return found == contents_->arrays.end() ? nullptr : &found->second;
}

const ModelFile::Array& ModelFile::find(const std::string& name, Type type) const {
    const Array* const found = look(name);
    if (!found)
        refuse("has no array '" + prefix_ + name + "': write the model anew with this version of pychemsurrogate");
    if (found->type != type) refuse("holds '" + prefix_ + name + "' as another type than expected");
    return *found;
}

template <class T>
std::vector<T> ModelFile::copy(const std::string& name, Type type) const {
    const Array& array = find(name, type);
    std::vector<T> values(array.bytes / sizeof(T));
    if (array.bytes > 0) std::memcpy(values.data(), contents_->bytes.data() + array.offset, array.bytes);
    return values;
}

std::vector<double> ModelFile::f64(const std::string& name) const { return copy<double>(name, Type::f64); }
std::vector<float> ModelFile::f32(const std::string& name) const { return copy<float>(name, Type::f32); }
std::vector<std::int32_t> ModelFile::i32(const std::string& name) const { return copy<std::int32_t>(name, Type::i32); }

std::vector<std::string> ModelFile::lines(const std::string& name) const {
    const Array& array = find(name, Type::u8);
    std::vector<std::string> result;
    std::string line;
    for (std::size_t i = 0; i < array.bytes; ++i) {
        const char c = contents_->bytes[array.offset + i];
        if (c == '\n')
            result.push_back(std::exchange(line, {}));
        else
            line += c;
    }
    if (array.bytes > 0) result.push_back(line);
    return result;
}

std::vector<std::int64_t> ModelFile::shape(const std::string& name) const {
    const Array* const found = look(name);
    if (!found) refuse("has no array '" + prefix_ + name + "'");
    return found->shape;
}

NetworkTables ModelFile::network() const {
    NetworkTables t;
    t.species = lines("network/species");
    t.conserved = lines("network/conserved");
    t.conditions = lines("network/conditions");
    t.composition = f64("network/composition");
    t.scale_weights = f64("network/scale_weights");
    t.reactants = i32("network/reactants");
    t.products = i32("network/products");
    t.law = i32("network/law");
    t.law_conditions = i32("network/law_conditions");
    t.parameters = f64("network/parameters");
    if (has("network/expression_code")) t.expression_code = i32("network/expression_code");
    if (has("network/expression_constants")) t.expression_constants = f64("network/expression_constants");
    const auto products_shape = shape("network/products");
    t.mass_g = has("network/mass_g") ? f64("network/mass_g") : t.masses_from_elements();
    t.n_products = products_shape.size() == 2 ? static_cast<int>(products_shape[1]) : -1;
    try {
        t.validate();
    } catch (const std::invalid_argument& error) {
        refuse(std::string("holds no valid network (") + error.what() + ")");
    }
    return t;
}

std::string find_model(const std::string& path_or_name, const std::vector<std::string>& folders) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (path_or_name.empty())
        throw Error(ErrorCode::file, "no model given: pass a path to a .pcs file or the name of a shipped model");
    if (path_or_name.find('/') != std::string::npos || fs::path(path_or_name).extension() == ".pcs")
        return path_or_name;
    std::string looked;
    for (const std::string& folder : folders) {
        const auto candidate = (fs::path(folder) / (path_or_name + ".pcs")).string();
        if (fs::is_regular_file(candidate, ignored)) return candidate;
        looked += (looked.empty() ? "" : ", ") + candidate;
    }
    throw Error(ErrorCode::file,
                "no model named '" + path_or_name + "' (looked for " +
                    (looked.empty() ? "nothing: no folder is known" : looked) +
                    "): give the path of a .pcs file, or set PCS_MODEL_PATH to the folder that holds it");
}

}  // namespace pcs
