/* CRC-32C: every implementation against reference values and each other. */
#include "unit.h"
#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

/* The examples of RFC 3720, appendix B.4, and the checksum of "123456789", by which CRC variants are identified. */
START_TEST(reference_vectors_match)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    static const uint8_t command[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                        0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                        0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};

    for (int k = 0; k < 32; k++) {
        ones[k] = 0xff;
        up[k] = (uint8_t)k;
        down[k] = (uint8_t)(31 - k);
    }
    for (size_t k = 0; alchi_crc32c_impl(k); k++) {
        const alchi_crc32c_impl_t *way = alchi_crc32c_impl(k);

        ck_assert_msg(way->update(0, "123456789", 9) == 0xe3069283u, "%s", way->name);
        ck_assert_msg(way->update(0, zeros, 32) == 0x8a9136aau, "%s", way->name);
        ck_assert_msg(way->update(0, ones, 32) == 0x62a8ab43u, "%s", way->name);
        ck_assert_msg(way->update(0, up, 32) == 0x46dd794eu, "%s", way->name);
        ck_assert_msg(way->update(0, down, 32) == 0x113fdb5cu, "%s", way->name);
        ck_assert_msg(way->update(0, command, 48) == 0xd9963a56u, "%s", way->name);
        ck_assert_msg(way->update(0, "", 0) == 0, "%s", way->name);
    }
    ck_assert_uint_eq(alchi_crc32c(0, "123456789", 9), 0xe3069283u);
}
END_TEST

/* The definition of CRC-32C, which processes one bit at a time. */
static uint32_t
crc_bit_by_bit(uint32_t crc, const uint8_t *bytes, size_t size)
{
    crc = ~crc;
    for (; size; bytes++, size--) {
        crc ^= *bytes;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint8_t *
random_bytes(size_t size)
{
    uint8_t *bytes = malloc(size);
    uint32_t state = 12345;

    for (size_t k = 0; k < size; k++)
        bytes[k] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
    return bytes;
}

START_TEST(all_implementations_agree)
{
    static const size_t sizes[] = {1,   7,   8,   63,   64,   65,   255,  256,  511,  512,
                                   513, 767, 768, 4087, 4088, 4089, 8176, 9001, 40000};
    uint8_t *bytes = random_bytes(50000);

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t offset = 0; offset < 20; offset += 3) {
            uint32_t expected = crc_bit_by_bit(0x1234567u, bytes + offset, sizes[s]);

            for (size_t k = 0; alchi_crc32c_impl(k); k++)
                ck_assert_msg(alchi_crc32c_impl(k)->update(0x1234567u, bytes + offset, sizes[s]) == expected,
                              "%s: %zu bytes at %zu", alchi_crc32c_impl(k)->name, sizes[s], offset);
        }
    free(bytes);
}
END_TEST

START_TEST(a_checksum_can_be_continued)
{
    uint8_t *bytes = random_bytes(30000);
    uint32_t whole = alchi_crc32c(0, bytes, 30000);

    for (size_t cut = 0; cut <= 30000; cut += 777)
        ck_assert_uint_eq(alchi_crc32c(alchi_crc32c(0, bytes, cut), bytes + cut, 30000 - cut), whole);
    bytes[17171] ^= 0x10;
    ck_assert_uint_ne(alchi_crc32c(0, bytes, 30000), whole);
    free(bytes);
}
END_TEST

START_TEST(scattered_memory_gives_the_same_checksum)
{
    uint8_t *bytes = random_bytes(3000);
    struct iovec iov[] = {{bytes, 1}, {bytes + 1, 0}, {bytes + 1, 1999}, {bytes + 2000, 1000}};
    static const size_t sizes[] = {0, 1, 2, 1999, 2000, 2001, 2999, 3000, 4000};

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t size = sizes[k] < 3000 ? sizes[k] : 3000;

        ck_assert_uint_eq(alchi_crc32c_pieces(77, iov, 4, sizes[k]), alchi_crc32c(77, bytes, size));
    }
    ck_assert_uint_eq(alchi_crc32c_pieces(77, NULL, 0, 10), 77);
    free(bytes);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("crc32c");

    tcase_add_test(tcase, reference_vectors_match);
    tcase_add_test(tcase, all_implementations_agree);
    tcase_add_test(tcase, a_checksum_can_be_continued);
    tcase_add_test(tcase, scattered_memory_gives_the_same_checksum);
    suite_add_tcase(suite, tcase);
}
