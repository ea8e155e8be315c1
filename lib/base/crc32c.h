/**
 * @file base/crc32c.h
 * CRC-32C (Castagnoli), as in iSCSI and SCTP: checks payload. By the processor's instructions where it has them, by
 * tables elsewhere; the result is the same. Pure memory, MT-Safe.
 */
#ifndef ALCHI_BASE_CRC32C_H
#define ALCHI_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** Go on with a checksum: `crc` is that of the bytes before, 0 if there are none. */
uint32_t alchi_crc32c(uint32_t crc, const void *bytes, size_t size);

/** Of the first `size` bytes of pieces of memory that follow each other. */
uint32_t alchi_crc32c_pieces(uint32_t crc, const struct iovec *iov, int count, size_t size);

/** A way to compute it, best first. */
typedef struct {
    const char *name;
    uint32_t (*update)(uint32_t crc, const void *bytes, size_t size);
} alchi_crc32c_way_t;

/** The k-th way that this processor knows; NULL: there are no more. The last is portable. */
const alchi_crc32c_way_t *alchi_crc32c_way(size_t k);

#endif
