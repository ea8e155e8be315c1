/* Decoding of messages. */
#include "unit.h"
#include "wire/message.h"
#include "wire/value.h"
#include "base/util.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static ProtobufCMessage *message;

/* A literal may hold NUL bytes. */
#define DECODE(type, literal) alchi_message_decode(type, literal, sizeof(literal) - 1, &message)

START_TEST(types_have_names)
{
    ck_assert_str_eq(alchi_message_name(ALCHI_SUBMIT_TASK), "SUBMIT_TASK");
    ck_assert_str_eq(alchi_message_name(ALCHI_DATA_BLOCK), "DATA_BLOCK");
    ck_assert_str_eq(alchi_message_name(0), "?");
    ck_assert_str_eq(alchi_message_name(8), "?");
    ck_assert_str_eq(alchi_message_name(200), "?");
    ck_assert_str_eq(alchi_message_name(UINT32_MAX), "?");
}
END_TEST

START_TEST(unknown_types_are_refused)
{
    ProtobufCMessage *const before = message;

    unit_code(alchi_message_decode(0, "", 0, &message), ALCH_EPROTO);
    unit_code(alchi_message_decode(8, "", 0, &message), ALCH_EPROTO);
    unit_code(alchi_message_decode(65535, "", 0, &message), ALCH_EPROTO);
    ck_assert_ptr_eq(message, before);
    alchi_message_free(NULL);
}
END_TEST

START_TEST(no_bytes_decode_to_the_defaults)
{
    static const struct {
        unsigned type;
        const ProtobufCMessageDescriptor *descriptor;
    } rows[] = {
#define ROW(name, value, lower) {value, &alchw__##lower##__descriptor},
        ALCHI_MESSAGE_LIST(ROW)
#undef ROW
    };
    size_t k;

    for (k = 0; k < ALCHI_COUNT(rows); k++) {
        unit_code(alchi_message_decode(rows[k].type, NULL, 0, &message), ALCH_OK);
        ck_assert_ptr_eq(message->descriptor, rows[k].descriptor);
        alchi_message_free(message);
    }
    unit_code(alchi_message_decode(ALCHI_ERROR, NULL, 0, &message), ALCH_OK);
    ck_assert_int_eq(((Alchw__Error *)message)->rank, -1);
    ck_assert_ptr_null(((Alchw__Error *)message)->text);
    alchi_message_free(message);
}
END_TEST

START_TEST(fields_round_trip)
{
    unit_code(DECODE(ALCHI_ERROR, "\x08\x05\x10\x03\x1a\x05w\xc3\xb6rt"), ALCH_OK);
    ck_assert_uint_eq(((Alchw__Error *)message)->code, 5);
    ck_assert_int_eq(((Alchw__Error *)message)->rank, -2);
    ck_assert_str_eq(((Alchw__Error *)message)->text, "w\xc3\xb6rt");
    alchi_message_free(message);
}
END_TEST

#define REFUSED(name, type, literal)             \
    {                                            \
        name, type, literal, sizeof(literal) - 1 \
    }

static const struct {
    const char *name;
    unsigned type;
    const char *bytes;
    size_t size;
} refused[] = {
    REFUSED("NUL in a string", ALCHI_TEST_STRING,
            "\x0a\x03"
            "a\0b"),
    REFUSED("not UTF-8", ALCHI_TEST_STRING, "\x0a\x02\xc3\x28"),
    REFUSED("string beyond the end", ALCHI_TEST_STRING,
            "\x0a\x04"
            "abc"),
    REFUSED("length of 2^64 - 1", ALCHI_TEST_STRING, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    REFUSED("field given twice", ALCHI_TEST_STRING,
            "\x0a\x01"
            "a\x0a\x01"
            "b"),
    REFUSED("tag alone", ALCHI_TEST_STRING, "\x0a"),
    REFUSED("field number 0", ALCHI_TEST_STRING, "\x02\x00"),
    REFUSED("tag of more than 32 bits", ALCHI_TEST_STRING, "\xf8\xff\xff\xff\xff\x01\x00"),
    REFUSED("start of a group", ALCHI_TEST_STRING, "\x0b\x0c"),
    REFUSED("group in an unknown field", ALCHI_TEST_STRING, "\xf3\x07\xf4\x07"),
    REFUSED("wire type 6", ALCHI_TEST_STRING, "\xf6\x07\x00"),
    REFUSED("unknown field beyond the end", ALCHI_TEST_STRING,
            "\xf2\x07\x05"
            "abc"),
    REFUSED("number as string", ALCHI_WAIT_TASK, "\x0a\x01\x01"),
    REFUSED("number cut off", ALCHI_WAIT_TASK, "\x08\x80"),
    REFUSED("number of 11 bytes", ALCHI_WAIT_TASK, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    REFUSED("number of 65 bits", ALCHI_WAIT_TASK, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
    REFUSED("uint32 of 33 bits", ALCHI_WAIT_TASK, "\x10\x80\x80\x80\x80\x10"),
    REFUSED("bool of 2", ALCHI_CANCEL_TASK, "\x10\x02"),
    REFUSED("double cut off", ALCHI_TASK,
            "\x19"
            "1234567"),
    REFUSED("packed and empty", ALCHI_SUBMIT_TASK, "\x1a\x04\x12\x02\x1a\x00"),
    REFUSED("packed, not whole doubles", ALCHI_SUBMIT_TASK,
            "\x1a\x08\x12\x06\x2a\x04"
            "1234"),
    REFUSED("packed numbers cut off", ALCHI_SUBMIT_TASK, "\x1a\x06\x12\x04\x1a\x02\x01\x80"),
    REFUSED("not packed though it should be", ALCHI_SUBMIT_TASK, "\x1a\x04\x12\x02\x18\x02"),
    REFUSED("packed though it should not be", ALCHI_YIELD_WORKERS, "\x0a\x02\x01\x02"),
    REFUSED("message beyond the end of its parent", ALCHI_SUBMIT_TASK, "\x1a\x03\x12\x05\x08\x01\x10\x00\x00"),
    REFUSED("broken string two levels down", ALCHI_SUBMIT_TASK, "\x1a\x06\x12\x04\x32\x02\xff\xff"),
};

START_TEST(malformed_bytes_are_refused)
{
    char *bytes = malloc(refused[_i].size); /* exactly this size, so that AddressSanitizer sees a read past the end */
    int code;

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, refused[_i].bytes, refused[_i].size);
    code = alchi_message_decode(refused[_i].type, bytes, refused[_i].size, &message);
    ck_assert_msg(code == ALCH_EPROTO, "%s: %s", refused[_i].name, alch_errname(code));
    free(bytes);
}
END_TEST

START_TEST(unknown_fields_are_skipped)
{
    unit_code(DECODE(ALCHI_TEST_STRING, "\xf2\x07\x02\xff\xff\x0a\x01"
                                        "a\xf0\x07\x80\x01\xf5\x07"
                                        "1234\xf1\x07"
                                        "12345678"),
              ALCH_OK);
    ck_assert_str_eq(((Alchw__TestString *)message)->text, "a");
    alchi_message_free(message);
}
END_TEST

/* Bytes in use on the heap. Memory that a failed decode has freed does not count. */
static size_t
heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* The same two bytes, `count` times. */
static int
decode_many(unsigned type, const char pair[2], size_t count)
{
    char *bytes = malloc(2 * count);
    size_t k;
    int code;

    ck_assert_ptr_nonnull(bytes);
    for (k = 0; k < count; k++)
        memcpy(bytes + 2 * k, pair, 2);
    code = alchi_message_decode(type, bytes, 2 * count, &message);
    free(bytes);
    return code;
}

/* Each pair of bytes would need a hundred bytes or more when decoded. */
START_TEST(memory_is_bounded)
{
    size_t before = heap_in_use();

    unit_code(decode_many(ALCHI_WORKER_LIST, "\x0a\x00", 500000), ALCH_EPROTO);
    unit_code(decode_many(ALCHI_LIBRARY, "\x22\x00", 500000), ALCH_EPROTO);
    unit_code(decode_many(ALCHI_WORKER_LIST, "\x0a\x00", 1000), ALCH_EPROTO);
    ck_assert_uint_le(heap_in_use(), before + 65536);
    unit_code(decode_many(ALCHI_SPAWN, "\x1a\x00", 500000), ALCH_OK);
    ck_assert_uint_le(heap_in_use(), before + 64 * 1000000 + 65536);
    alchi_message_free(message);
    unit_code(decode_many(ALCHI_WORKER_LIST, "\x0a\x00", 50), ALCH_OK);
    alchi_message_free(message);
    ck_assert_uint_le(heap_in_use(), before + 65536);
}
END_TEST

/* Messages of real peers fit within the limit: the densest are lists of empty strings, or of one-byte numbers. */
START_TEST(dense_lists_fit)
{
    Alchw__Value *value = alchi_value_create(ALCH_TYPE_INT64, true);
    Alchw__SubmitTask submit = ALCHW__SUBMIT_TASK__INIT;
    Alchw__NamedValue *named;
    uint8_t *bytes;
    size_t size, k;

    for (k = 0; k < 900000; k++)
        unit_code(alchi_value_add_i(value, (int64_t)k % 64), ALCH_OK);
    named = alchi_named_create("x", value);
    submit.n_arguments = 1;
    submit.arguments = &named;
    size = alchw__submit_task__get_packed_size(&submit);
    bytes = malloc(size);
    alchw__submit_task__pack(&submit, bytes);
    unit_code(alchi_message_decode(ALCHI_SUBMIT_TASK, bytes, size, &message), ALCH_OK);
    ck_assert_uint_eq(((Alchw__SubmitTask *)message)->arguments[0]->value->n_i, 900000);
    alchi_message_free(message);
    alchi_message_free(named);
    free(bytes);
    unit_code(decode_many(ALCHI_NAME_LIST, "\x0a\x00", 500000), ALCH_OK);
    ck_assert_uint_eq(((Alchw__NameList *)message)->n_names, 500000);
    alchi_message_free(message);
    unit_code(decode_many(ALCHI_YIELD_WORKERS, "\x08\x01", 500000), ALCH_OK);
    ck_assert_uint_eq(((Alchw__YieldWorkers *)message)->n_slots, 500000);
    alchi_message_free(message);
}
END_TEST

/* Codes of a newer peer are kept; a number that cannot be a code is a protocol error. */
START_TEST(error_codes_outside_the_range_become_eproto)
{
    Alchw__Error error = ALCHW__ERROR__INIT;
    static const struct {
        uint32_t sent;
        int code;
    } rows[] = {{ALCH_OK, ALCH_EPROTO}, {ALCH_EINVAL, ALCH_EINVAL}, {ALCH_EDAMAGED, ALCH_EDAMAGED}, {255, 255},
                {256, ALCH_EPROTO},     {UINT32_MAX, ALCH_EPROTO}};

    unit_code(alchi_message_code(NULL), ALCH_EPROTO);
    for (size_t k = 0; k < ALCHI_COUNT(rows); k++) {
        error.code = rows[k].sent;
        unit_code(alchi_message_code(&error), rows[k].code);
    }
}
END_TEST

START_TEST(an_impossible_size_is_refused)
{
    unit_code(alchi_message_decode(ALCHI_EMPTY, "", SIZE_MAX, &message), ALCH_EPROTO);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("message");

    tcase_add_test(tcase, types_have_names);
    tcase_add_test(tcase, unknown_types_are_refused);
    tcase_add_test(tcase, no_bytes_decode_to_the_defaults);
    tcase_add_test(tcase, fields_round_trip);
    tcase_add_loop_test(tcase, malformed_bytes_are_refused, 0, (int)ALCHI_COUNT(refused));
    tcase_add_test(tcase, unknown_fields_are_skipped);
    tcase_add_test(tcase, memory_is_bounded);
    tcase_add_test(tcase, dense_lists_fit);
    tcase_add_test(tcase, error_codes_outside_the_range_become_eproto);
    tcase_add_test(tcase, an_impossible_size_is_refused);
    suite_add_tcase(suite, tcase);
}
