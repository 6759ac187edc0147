// The CRC32C instruction of SSE 4.2 has no spelling in Swift: this shim is the loop around it.
#ifndef SLUICE_CCHECKSUM_SHIM_H
#define SLUICE_CCHECKSUM_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

static inline int sluice_crc32c_available(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) static inline uint32_t sluice_crc32c_update(
    uint32_t state, const uint8_t *bytes, size_t count) {
    uint64_t crc = state;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = __builtin_ia32_crc32di(crc, word);
        bytes += 8;
        count -= 8;
    }
    while (count > 0) {
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *bytes);
        bytes += 1;
        count -= 1;
    }
    return (uint32_t)crc;
}

// Three neighbouring blocks of `block` bytes, a multiple of 8, side by side: the instruction takes one cycle, its result
// three (Intel and AMD optimisation manuals), so one after the other would leave it idle for two of them.
__attribute__((target("sse4.2"))) static inline void sluice_crc32c_update_three(
    uint32_t *states, const uint8_t *bytes, size_t block) {
    uint64_t first = states[0], second = states[1], third = states[2];
    for (size_t offset = 0; offset < block; offset += 8) {
        uint64_t word;
        memcpy(&word, bytes + offset, 8);
        first = __builtin_ia32_crc32di(first, word);
        memcpy(&word, bytes + block + offset, 8);
        second = __builtin_ia32_crc32di(second, word);
        memcpy(&word, bytes + 2 * block + offset, 8);
        third = __builtin_ia32_crc32di(third, word);
    }
    states[0] = (uint32_t)first;
    states[1] = (uint32_t)second;
    states[2] = (uint32_t)third;
}
#else
static inline int sluice_crc32c_available(void) { return 0; }
static inline uint32_t sluice_crc32c_update(uint32_t state, const uint8_t *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}
static inline void sluice_crc32c_update_three(uint32_t *states, const uint8_t *bytes, size_t block) {
    (void)states;
    (void)bytes;
    (void)block;
}
#endif

#endif
