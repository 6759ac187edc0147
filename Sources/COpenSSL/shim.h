// Headers and shims only.
#ifndef SLUICE_COPENSSL_SHIM_H
#define SLUICE_COPENSSL_SHIM_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

// OpenSSL 3 marks SHA256_Init/Update/Final as deprecated since 3.0 but keeps them in libcrypto. They are the only
// interface whose running state (SHA256_CTX) is a plain struct that can be written to the journal: an EVP_MD_CTX
// can be copied, never serialised.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static inline void sluice_sha256_init(SHA256_CTX *context) { SHA256_Init(context); }

static inline void sluice_sha256_update(SHA256_CTX *context, const void *bytes, size_t count) {
    SHA256_Update(context, bytes, count);
}

static inline void sluice_sha256_final(SHA256_CTX *context, unsigned char *out) { SHA256_Final(out, context); }

#pragma GCC diagnostic pop

static inline void sluice_hmac_sha256(
    const void *key, size_t key_count, const void *bytes, size_t count, unsigned char *out) {
    unsigned int length = 32;
    HMAC(EVP_sha256(), key, (int)key_count, (const unsigned char *)bytes, count, out, &length);
}

static inline int sluice_openssl_no_atexit(void) { return OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL); }

#endif
