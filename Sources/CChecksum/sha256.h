// Two SHA-256 side by side: the compression function of FIPS 180-4, section 6.2.2, by the SHA extensions (Intel 64 and
// IA-32 Architectures Software Developer's Manual, volume 2, SHA256RNDS2, SHA256MSG1, SHA256MSG2). Every round waits for
// the one before it, so a single hash leaves the unit idle for half of the time; a second one fills it.
#ifndef SLUICE_CCHECKSUM_SHA256_H
#define SLUICE_CCHECKSUM_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

static inline int sluice_sha256_two_available(void) {
    return __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

// K of section 4.2.2.
static const uint32_t sluice_sha256_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

typedef int32_t sluice_sha256_words __attribute__((vector_size(16)));
typedef int8_t sluice_sha256_bytes __attribute__((vector_size(16)));

#define SLUICE_SHA256 __attribute__((target("sha,sse4.1,ssse3"))) static inline

// The unit wants the eight words as A B E F and C D G H, the last of each in the lowest place.
SLUICE_SHA256 void sluice_sha256_load(const uint32_t *h, sluice_sha256_words *abef, sluice_sha256_words *cdgh) {
    *abef = (sluice_sha256_words){(int32_t)h[5], (int32_t)h[4], (int32_t)h[1], (int32_t)h[0]};
    *cdgh = (sluice_sha256_words){(int32_t)h[7], (int32_t)h[6], (int32_t)h[3], (int32_t)h[2]};
}

SLUICE_SHA256 void sluice_sha256_store(uint32_t *h, sluice_sha256_words abef, sluice_sha256_words cdgh) {
    h[0] = (uint32_t)abef[3], h[1] = (uint32_t)abef[2], h[2] = (uint32_t)cdgh[3], h[3] = (uint32_t)cdgh[2];
    h[4] = (uint32_t)abef[1], h[5] = (uint32_t)abef[0], h[6] = (uint32_t)cdgh[1], h[7] = (uint32_t)cdgh[0];
}

// Words 4 * `quad` and on of the message schedule, W; `words` keeps the last sixteen.
SLUICE_SHA256 __attribute__((always_inline)) sluice_sha256_words sluice_sha256_schedule(
    sluice_sha256_words *words, int quad, const uint8_t *block) {
    if (quad < 4) {
        sluice_sha256_bytes bytes;
        memcpy(&bytes, block + 16 * quad, 16);
        words[quad] = (sluice_sha256_words)__builtin_shufflevector(
            bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    } else {
        sluice_sha256_words last = words[(quad + 3) % 4];
        sluice_sha256_words seven_ago = __builtin_shufflevector(words[(quad + 2) % 4], last, 1, 2, 3, 4);
        words[quad % 4] = __builtin_ia32_sha256msg2(
            __builtin_ia32_sha256msg1(words[quad % 4], words[(quad + 1) % 4]) + seven_ago, last);
    }
    return words[quad % 4];
}

// Four rounds: each instruction does two, and what it returns takes the place of C D G H while A B E F becomes it.
SLUICE_SHA256 __attribute__((always_inline)) void sluice_sha256_rounds(
    sluice_sha256_words *abef, sluice_sha256_words *cdgh, sluice_sha256_words sum) {
    *cdgh = __builtin_ia32_sha256rnds2(*cdgh, *abef, sum);
    *abef = __builtin_ia32_sha256rnds2(*abef, *cdgh, __builtin_shufflevector(sum, sum, 2, 3, 2, 3));
}

// Takes `blocks` blocks of 64 bytes into each of two states, as SHA256_CTX has them. Needs
// `sluice_sha256_two_available()`.
SLUICE_SHA256 void sluice_sha256_update_two(
    uint32_t *first_state, const uint8_t *first, uint32_t *second_state, const uint8_t *second, size_t blocks) {
    sluice_sha256_words first_abef, first_cdgh, second_abef, second_cdgh;
    sluice_sha256_load(first_state, &first_abef, &first_cdgh);
    sluice_sha256_load(second_state, &second_abef, &second_cdgh);
    for (size_t block = 0; block < blocks; block++) {
        sluice_sha256_words first_before[2] = {first_abef, first_cdgh};
        sluice_sha256_words second_before[2] = {second_abef, second_cdgh};
        sluice_sha256_words first_words[4], second_words[4];
        // Unrolled, `quad` is a constant everywhere and all words stay in registers.
#pragma clang loop unroll(full)
        for (int quad = 0; quad < 16; quad++) {
            sluice_sha256_words constants;
            memcpy(&constants, sluice_sha256_constants + 4 * quad, 16);
            sluice_sha256_words first_sum = sluice_sha256_schedule(first_words, quad, first) + constants;
            sluice_sha256_words second_sum = sluice_sha256_schedule(second_words, quad, second) + constants;
            sluice_sha256_rounds(&first_abef, &first_cdgh, first_sum);
            sluice_sha256_rounds(&second_abef, &second_cdgh, second_sum);
        }
        first_abef += first_before[0], first_cdgh += first_before[1];
        second_abef += second_before[0], second_cdgh += second_before[1];
        first += 64, second += 64;
    }
    sluice_sha256_store(first_state, first_abef, first_cdgh);
    sluice_sha256_store(second_state, second_abef, second_cdgh);
}

#undef SLUICE_SHA256
#else
static inline int sluice_sha256_two_available(void) { return 0; }
static inline void sluice_sha256_update_two(
    uint32_t *first_state, const uint8_t *first, uint32_t *second_state, const uint8_t *second, size_t blocks) {
    (void)first_state;
    (void)first;
    (void)second_state;
    (void)second;
    (void)blocks;
}
#endif

#endif
