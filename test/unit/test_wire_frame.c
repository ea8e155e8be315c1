/* The header of a frame. */
#include "unit.h"
#include "wire/frame.h"

#include <alchemist/error.h>
#include <string.h>

static const alchi_frame_t example = {.version = ALCHI_WIRE_VERSION,
                                      .flags = ALCHI_FRAME_MORE | ALCHI_FRAME_CHECK,
                                      .type = 0x1234,
                                      .id = UINT64_C(0x1122334455667788),
                                      .meta = 0x0a0b,
                                      .payload = 0x0c0d0e,
                                      .check = 0xa1b2c3d4};

static const uint8_t example_bytes[ALCHI_FRAME_HEADER] = {
    'A',  'L',  'C',  'H',  1,    5,    0x34, 0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    0x0b, 0x0a, 0x00, 0x00, 0x0e, 0x0d, 0x0c, 0x00, 0xd4, 0xc3, 0xb2, 0xa1, 0,    0,    0,    0};

static uint8_t bytes[ALCHI_FRAME_HEADER];
static alchi_frame_t frame;

static int
peek(size_t size)
{
    return alchi_frame_peek(bytes, size, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, &frame);
}

static void
setup(void)
{
    memcpy(bytes, example_bytes, sizeof(bytes));
    memset(&frame, 0x55, sizeof(frame));
}

START_TEST(a_header_has_these_bytes)
{
    uint8_t out[ALCHI_FRAME_HEADER];

    alchi_frame_encode(&example, out);
    ck_assert_mem_eq(out, example_bytes, sizeof(out));
    unit_code(peek(sizeof(bytes)), ALCH_OK);
    ck_assert_int_eq(frame.version, 1);
    ck_assert_int_eq(frame.flags, example.flags);
    ck_assert_int_eq(frame.type, example.type);
    ck_assert_uint_eq(frame.id, example.id);
    ck_assert_uint_eq(frame.meta, example.meta);
    ck_assert_uint_eq(frame.payload, example.payload);
    ck_assert_uint_eq(frame.check, example.check);
}
END_TEST

START_TEST(a_partial_header_waits)
{
    alchi_frame_t untouched = frame;
    size_t size;

    for (size = 0; size < ALCHI_FRAME_HEADER; size++)
        unit_code(peek(size), ALCH_EAGAIN);
    unit_code(alchi_frame_peek(NULL, 0, 0, 0, &frame), ALCH_EAGAIN);
    ck_assert_mem_eq(&frame, &untouched, sizeof(frame));
}
END_TEST

/* Each fault is reported as soon as its byte has arrived, and not before. */
START_TEST(garbage_is_refused_at_once)
{
    static const struct {
        size_t at;
        uint8_t byte;
        int code;
    } wrong[] = {{0, 'a', ALCH_EPROTO},   {1, 0, ALCH_EPROTO},   {2, 'c', ALCH_EPROTO},
                 {3, 'X', ALCH_EPROTO},   {4, 0, ALCH_EVERSION}, {4, 2, ALCH_EVERSION},
                 {4, 255, ALCH_EVERSION}, {5, 8, ALCH_EPROTO},   {5, 0x85, ALCH_EPROTO}};
    size_t k;

    for (k = 0; k < sizeof(wrong) / sizeof(*wrong); k++) {
        setup();
        bytes[wrong[k].at] = wrong[k].byte;
        unit_code(peek(wrong[k].at), ALCH_EAGAIN);
        unit_code(peek(wrong[k].at + 1), wrong[k].code);
        unit_code(peek(sizeof(bytes)), wrong[k].code);
    }
}
END_TEST

START_TEST(nonzero_reserved_fields_are_refused)
{
    size_t k;

    for (k = 28; k < 32; k++) {
        setup();
        bytes[k] = 1;
        unit_code(peek(sizeof(bytes)), ALCH_EPROTO);
    }
    setup();
    bytes[5] = ALCHI_FRAME_MORE;
    unit_code(peek(sizeof(bytes)), ALCH_EPROTO);
    memset(bytes + 24, 0, 4);
    unit_code(peek(sizeof(bytes)), ALCH_OK);
}
END_TEST

START_TEST(a_check_without_payload_is_refused)
{
    setup();
    memset(bytes + 20, 0, 4);
    unit_code(peek(sizeof(bytes)), ALCH_EPROTO);
    memset(bytes + 24, 0, 4);
    unit_code(peek(sizeof(bytes)), ALCH_EPROTO);
    bytes[5] = ALCHI_FRAME_MORE;
    unit_code(peek(sizeof(bytes)), ALCH_OK);
    setup();
    memset(bytes + 24, 0, 4); /* 0 is a valid sum */
    unit_code(peek(sizeof(bytes)), ALCH_OK);
}
END_TEST

START_TEST(limits_are_inclusive)
{
    unit_code(alchi_frame_peek(bytes, 32, example.meta, example.payload, &frame), ALCH_OK);
    unit_code(alchi_frame_peek(bytes, 32, example.meta - 1, example.payload, &frame), ALCH_ELIMIT);
    unit_code(alchi_frame_peek(bytes, 32, example.meta, example.payload - 1, &frame), ALCH_ELIMIT);
    unit_code(alchi_frame_peek(bytes, 32, 0, 0, &frame), ALCH_ELIMIT);
    memset(bytes + 20, 0xff, 4);
    unit_code(alchi_frame_peek(bytes, 32, UINT32_MAX, UINT32_MAX, &frame), ALCH_ELIMIT);
    memset(bytes + 20, 0, 4);
    bytes[22] = 0x10; /* exactly ALCHI_PAYLOAD_MAX */
    unit_code(alchi_frame_peek(bytes, 32, UINT32_MAX, UINT32_MAX, &frame), ALCH_OK);
    ck_assert_uint_eq(frame.payload, ALCHI_PAYLOAD_MAX);
}
END_TEST

START_TEST(bytes_after_the_header_are_ignored)
{
    uint8_t more[64];

    memset(more, 0xff, sizeof(more));
    memcpy(more, example_bytes, sizeof(example_bytes));
    unit_code(alchi_frame_peek(more, sizeof(more), ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, &frame), ALCH_OK);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("frame");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_header_has_these_bytes);
    tcase_add_test(tcase, a_partial_header_waits);
    tcase_add_test(tcase, garbage_is_refused_at_once);
    tcase_add_test(tcase, nonzero_reserved_fields_are_refused);
    tcase_add_test(tcase, a_check_without_payload_is_refused);
    tcase_add_test(tcase, limits_are_inclusive);
    tcase_add_test(tcase, bytes_after_the_header_are_ignored);
    suite_add_tcase(suite, tcase);
}
