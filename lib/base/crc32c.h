/**
 * @file base/crc32c.h
 * CRC-32C (Castagnoli), as in iSCSI and SCTP, for payload. The functions use instructions of the processor if it has
 * them, else tables; the result is the same. They do no I/O, and are MT-Safe.
 */
#ifndef ALCHI_BASE_CRC32C_H
#define ALCHI_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** Continue a checksum. @param crc  checksum of the bytes before these; 0: there are no such bytes */
uint32_t alchi_crc32c(uint32_t crc, const void *bytes, size_t size);

/** Continue a checksum over the first `size` bytes of a list of memory areas. */
uint32_t alchi_crc32c_pieces(uint32_t crc, const struct iovec *iov, int count, size_t size);

/** An implementation of alchi_crc32c(). */
typedef struct {
    const char *name;
    uint32_t (*update)(uint32_t crc, const void *bytes, size_t size);
} alchi_crc32c_impl_t;

/** The k-th implementation that this processor supports, fastest first; the last one is portable. NULL: there are no
 * more. */
const alchi_crc32c_impl_t *alchi_crc32c_impl(size_t k);

#endif
