// Handles as tickets: which solver a pcs_solver* means, if any, and who is in a call on it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace pcs {

// In the upper 16 bits of a ticket, which are 0 in an address: of libpcs and of libpcs_embed, which a process may hold
// at once.
constexpr std::uint64_t native_tag = 0x5043, embed_tag = 0x5045;

// A ticket is a tag, which no address of a process has, the generation of a slot, and the slot's number. A slot's word
// is its generation and how many calls are on it; taking and leaving are one atomic operation each. A ticket of an
// earlier generation (closed since) does not match, so nothing is freed while it is used and nothing freed is read.
template <class Object>
class Handles {
  public:
    enum class Refusal { none, null, not_open, busy };

    // One call's hold on the object.
    class Use {
      public:
        Use(Handles& handles, const void* ticket, bool alone = false) : refusal_(handles.take(ticket, alone, slot_)) {
            if (refusal_ == Refusal::none) object_ = slot_->object.get(), alone_ = alone;
        }
        ~Use() {
            if (object_) slot_->word.fetch_sub(alone_ ? all_calls : 1, std::memory_order_release);
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

        Refusal refusal() const { return refusal_; }
        Object& operator*() const { return *object_; }

      private:
        friend class Handles;
        typename Handles::Slot* slot_ = nullptr;
        Refusal refusal_;
        Object* object_ = nullptr;
        bool alone_ = false;
    };

    // Null where all slots are taken.
    void* open(std::unique_ptr<Object> object) {
        const std::lock_guard guard(lock_);
        for (std::uint32_t tried = 0; tried < slots; ++tried) {
            const std::uint32_t number = next_++ % slots;
            Slot& slot = slots_[number];
            if (slot.object) continue;
            slot.object = std::move(object);
            const std::uint64_t generation = (slot.word.load(std::memory_order_relaxed) >> 32) + 1;  // odd: open
            slot.word.store(generation << 32, std::memory_order_release);
            const std::uint64_t ticket = tag << 48 | (generation & 0xffffffff) << 16 | number;
            return reinterpret_cast<void*>(ticket);
        }
        return nullptr;
    }

    Refusal close(const void* ticket) {
        std::unique_ptr<Object> closed;
        Slot* slot = nullptr;
        if (const Refusal refusal = take(ticket, true, slot); refusal != Refusal::none) return refusal;
        const std::lock_guard guard(lock_);
        closed = std::move(slot->object);
        const std::uint64_t generation = (slot->word.load(std::memory_order_relaxed) >> 32) + 1;
        slot->word.store(generation << 32, std::memory_order_release);
        return Refusal::none;
    }

    bool is_open(std::uint64_t ticket) {
        const Slot* const slot = slot_of(ticket);
        return slot && slot->word.load(std::memory_order_relaxed) >> 32 == generation_of(ticket);
    }

  private:
    static_assert(sizeof(void*) == 8, "tickets need pointers of 64 bits");
#ifdef PCS_EMBED
    static constexpr std::uint64_t tag = embed_tag;
#else
    static constexpr std::uint64_t tag = native_tag;
#endif
    static constexpr std::uint32_t slots = 1 << 16;
    static constexpr std::uint64_t all_calls = std::uint64_t{1} << 31;  // held by a call that needs the handle alone

    struct alignas(64) Slot {
        std::atomic<std::uint64_t> word{0};  // generation << 32 | calls
        std::unique_ptr<Object> object;
    };

    static std::uint64_t generation_of(std::uint64_t ticket) { return ticket >> 16 & 0xffffffff; }
    Slot* slot_of(std::uint64_t ticket) {
        // Open slots have odd generations, so that a ticket of a slot that was never used is none.
        return ticket >> 48 == tag && generation_of(ticket) % 2 == 1 ? &slots_[ticket & 0xffff] : nullptr;
    }

    Refusal take(const void* handle, bool alone, Slot*& slot) {
        if (!handle) return Refusal::null;
        const auto ticket = reinterpret_cast<std::uint64_t>(handle);
        slot = slot_of(ticket);
        if (!slot) return Refusal::not_open;
        std::uint64_t word = slot->word.load(std::memory_order_relaxed);
        for (;;) {
            if (word >> 32 != generation_of(ticket)) return Refusal::not_open;
            if ((word & all_calls) || (alone && (word & 0xffffffff))) return Refusal::busy;
            if (slot->word.compare_exchange_weak(word, word + (alone ? all_calls : 1), std::memory_order_acquire,
                                                 std::memory_order_relaxed))
                return Refusal::none;
        }
    }

    std::mutex lock_;
    std::uint32_t next_ = 0;
    Slot slots_[slots];
};

}  // namespace pcs
