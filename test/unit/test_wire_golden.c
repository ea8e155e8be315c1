/* Bytes of version 1 as they were once sent: they decode to the same fields, and the same fields encode to them. */
#include "unit.h"
#include "message_text.h"
#include "base/util.h"

#include <stdlib.h>

#define DIR "test/golden/v1/" /* tests run in the top folder */

/* Every type, and again the types that got fields later. */
static const struct {
    unsigned type;
    const char *name;
} frames[] = {
#define TYPE_ROW(name, value, message) {value, #name},
    ALCHI_MESSAGE_LIST(TYPE_ROW)
#undef TYPE_ROW
#define GROWN_ROW(type, field) {ALCHI_##type, #type "-" field},
        MESSAGES_GROWN(GROWN_ROW)
#undef GROWN_ROW
};

/* The file's bytes, with a NUL after them. */
static char *
load(const char *name, const char *suffix, size_t *size_p)
{
    char path[256], *bytes = calloc(1, 1 << 16);
    FILE *file;

    ck_assert_ptr_nonnull(bytes);
    snprintf(path, sizeof(path), DIR "%s%s", name, suffix);
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is missing: make it with test/fuzz/seed.c", path);
    *size_p = fread(bytes, 1, (1 << 16) - 1, file);
    fclose(file);
    return bytes;
}

static ProtobufCMessage *
decode(const char *bytes, size_t size, alchi_frame_t *frame)
{
    ProtobufCMessage *message;

    unit_code(alchi_frame_peek(bytes, size, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, frame), ALCH_OK);
    ck_assert_uint_eq(size, ALCHI_FRAME_HEADER + frame->meta + frame->payload);
    unit_code(alchi_message_decode(frame->type, bytes + ALCHI_FRAME_HEADER, frame->meta, &message), ALCH_OK);
    return message;
}

START_TEST(old_bytes_decode_to_the_same_fields)
{
    size_t size, length, expected_length;
    char *bytes = load(frames[_i].name, ".bin", &size), *expected = load(frames[_i].name, ".txt", &expected_length),
         *text;
    FILE *out = open_memstream(&text, &length);
    ProtobufCMessage *message;
    alchi_frame_t frame;

    message = decode(bytes, size, &frame);
    ck_assert_uint_eq(frame.type, frames[_i].type);
    frame_text(out, &frame, message, (uint8_t *)bytes + ALCHI_FRAME_HEADER + frame.meta);
    fclose(out);
    ck_assert_str_eq(text, expected);
    alchi_message_free(message);
    free(text);
    free(bytes);
    free(expected);
}
END_TEST

START_TEST(the_same_fields_encode_to_the_old_bytes)
{
    size_t size;
    char *bytes = load(frames[_i].name, ".bin", &size);
    uint8_t header[ALCHI_FRAME_HEADER], *meta;
    ProtobufCMessage *message;
    alchi_frame_t frame;

    message = decode(bytes, size, &frame);
    alchi_frame_encode(&frame, header);
    ck_assert_mem_eq(header, bytes, ALCHI_FRAME_HEADER);
    ck_assert_uint_eq(protobuf_c_message_get_packed_size(message), frame.meta);
    meta = malloc(frame.meta + 1);
    protobuf_c_message_pack(message, meta);
    ck_assert(!frame.meta || !memcmp(meta, bytes + ALCHI_FRAME_HEADER, frame.meta));
    free(meta);
    alchi_message_free(message);
    free(bytes);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("golden");

    tcase_add_loop_test(tcase, old_bytes_decode_to_the_same_fields, 0, (int)ALCHI_COUNT(frames));
    tcase_add_loop_test(tcase, the_same_fields_encode_to_the_old_bytes, 0, (int)ALCHI_COUNT(frames));
    suite_add_tcase(suite, tcase);
}
