// Structs and arrays that point to each other, in one piece of bytes that can be moved. SPDX-License-Identifier:
// BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "pcs/device.hpp"

namespace pcs {

// Every value begins at a multiple of 16 bytes. A pointer holds the offset of what it points to.
class Image {
  public:
    // Where the values lie.
    template <class T>
    std::size_t add(const T* values, std::size_t count) {
        static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignment);
        const std::size_t at = bytes_.size();
        bytes_.resize(at + (count * sizeof(T) + alignment - 1) / alignment * alignment);
        if (count > 0) std::memcpy(&bytes_[at], values, count * sizeof(T));
        return at;
    }

    template <class T>
    void set(std::size_t at, const T& value) {
        std::memcpy(&bytes_[at], &value, sizeof value);
    }

    // The pointer at `pointer` shall point to what lies at `target`.
    void link(std::size_t pointer, std::size_t target) {
        set(pointer, std::uint64_t{target});
        pointers_.push_back(pointer);
    }

    DeviceImage view() const { return {bytes_.data(), bytes_.size(), pointers_.data(), pointers_.size()}; }

  private:
    static_assert(sizeof(void*) == sizeof(std::uint64_t) && sizeof(std::size_t) == sizeof(std::uint64_t));
    static constexpr std::size_t alignment = 16;
    std::vector<std::byte> bytes_;
    std::vector<std::size_t> pointers_;
};

// A struct that lies in an image at `at`: its pointers, one after another, get copies of what they point to there.
template <class Object>
class Placed {
  public:
    Placed(Image& image, const Object& object, std::size_t at) : image_(image), object_(object), at_(at) {}

    template <class T>
    void link(const T* const& field, std::size_t count) const {
        if (field) image_.link(place(field), image_.add(field, count));
    }
    // Where a field lies in the image.
    template <class Field>
    std::size_t place(const Field& field) const {
        return at_ + static_cast<std::size_t>(reinterpret_cast<const char*>(&field) -
                                              reinterpret_cast<const char*>(&object_));
    }

  private:
    Image& image_;
    const Object& object_;
    std::size_t at_;
};

}  // namespace pcs
