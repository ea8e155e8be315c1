/* Writes the frames with which the fuzz target starts, and new golden frames:
 *
 *     seed corpus test/fuzz/corpus/frame     every message type, streams, and broken frames; overwrites the files
 *     seed golden test/golden/v1             TYPE.bin and TYPE.txt of new types; never overwrites a file
 *
 * Build, after `make test`: cc -Iinclude -Ilib -Ibuild/gen -Itest/unit -o build/seed test/fuzz/seed.c \
 *                              build/obj/libalchemist-test.a -lprotobuf-c -lm
 */
#include "message_text.h"
#include "wire/value.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define STREAM_MAX (1u << 16)

typedef struct {
    uint8_t bytes[STREAM_MAX];
    size_t size;
} stream_t;

static const unsigned types[] = {
#define TYPE_ROW(name, value, message) value,
    ALCHI_MESSAGE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

static unsigned counter; /* number of values made: each has another type or shape than the one before */

static void
check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "seed: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void *
zeroed(size_t size)
{
    void *memory = calloc(1, size);

    check(memory, "calloc");
    return memory;
}

/* Make a value. Successive calls go through all types, first as scalars, then as lists; lists contain numbers at the
 * ends of the range of their type. */
static Alchw__Value *
make_value(void)
{
    static const char *const strings[] = {"", "plain",
                                          ("Gr\xc3\xbc\xc3\x9f"
                                           "e \xe2\x82\xac \xf0\x9f\x98\x80")};
    alch_type_t type = (alch_type_t)(1 + counter % 15);
    bool list = counter / 15 % 2;
    Alchw__Value *value = alchi_value_create(type, list);
    size_t k, count = list ? 3 : 1;

    check(value, "value");
    for (k = 0; k < count; k++) {
        if (type == ALCH_TYPE_BOOL)
            alchi_value_add_i(value, (int64_t)k % 2);
        else if (type <= ALCH_TYPE_INT64)
            alchi_value_add_i(value, k == 1 ? INT64_MIN >> (64 - (8 << (type - ALCH_TYPE_INT8))) : (int64_t)k - 7);
        else if (type <= ALCH_TYPE_UINT64 || type == ALCH_TYPE_MATRIX)
            alchi_value_add_u(value,
                              type == ALCH_TYPE_MATRIX ? 7 + k : UINT64_MAX >> (64 - (8 << (type - ALCH_TYPE_UINT8))));
        else if (type == ALCH_TYPE_STRING)
            alchi_value_add_s(value, strings[k + (count == 1 ? 2 : 0)]);
        else
            alchi_value_add_d(value, k == 1 ? 1e30 : -0.1328125);
        if (type == ALCH_TYPE_COMPLEX64 || type == ALCH_TYPE_COMPLEX128)
            alchi_value_add_d(value, 2.5);
    }
    counter++;
    return value;
}

static ProtobufCMessage *make_message(const ProtobufCMessageDescriptor *descriptor);

static void
fill_element(const ProtobufCFieldDescriptor *field, void *at, size_t index)
{
    ProtobufCBinaryData *bytes = at;
    size_t k;

    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)at = index ? UINT32_MAX : field->id + 300;
        break;
    case PROTOBUF_C_TYPE_SINT32:
        *(int32_t *)at = -(int32_t)field->id - 100;
        break;
    case PROTOBUF_C_TYPE_UINT64:
        *(uint64_t *)at = index ? UINT64_MAX : (UINT64_C(1) << 40) + field->id;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
        *(int64_t *)at = index ? INT64_MIN : (INT64_C(1) << 33) * (int64_t)field->id;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)at = 0.1 + field->id;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = 1;
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(char **)at = alchi_asprintf("%s %zu \xc3\xa4", field->name, index);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes->len = 32;
        bytes->data = zeroed(bytes->len);
        for (k = 0; k < bytes->len; k++)
            bytes->data[k] = (uint8_t)(field->id * 32 + k * 7);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)at = make_message(field->descriptor);
        break;
    default:
        check(false, "a field type that seed.c does not know");
    }
}

static void
fill_field(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    char *base = (char *)message, *array;
    size_t k, count = 2;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        array = zeroed(count * element_size(field->type));
        for (k = 0; k < count; k++)
            fill_element(field, array + k * element_size(field->type), k);
        *(char **)(base + field->offset) = array;
        *(size_t *)(base + field->quantifier_offset) = count;
        return;
    }
    fill_element(field, base + field->offset, 0);
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
}

/* Make a message with every field set. */
static ProtobufCMessage *
make_message(const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message;
    unsigned f;

    if (descriptor == &alchw__value__descriptor)
        return &make_value()->base;
    message = zeroed(descriptor->sizeof_message);
    descriptor->message_init(message);
    for (f = 0; f < descriptor->n_fields; f++)
        fill_field(&descriptor->fields[f], message);
    return message;
}

/* The descriptor of a message type. No function returns it, but an empty message decodes as every type. */
static const ProtobufCMessageDescriptor *
descriptor_of(unsigned type)
{
    const ProtobufCMessageDescriptor *descriptor;
    ProtobufCMessage *message;

    check(!alchi_message_decode(type, NULL, 0, &message), "decode");
    descriptor = message->descriptor;
    alchi_message_free(message);
    return descriptor;
}

static bool
is_reply(unsigned type)
{
    static const unsigned replies[] = {ALCHI_WELCOME,          ALCHI_ERROR,        ALCHI_EMPTY,
                                       ALCHI_WORKER_LIST,      ALCHI_GROUP,        ALCHI_MATRIX,
                                       ALCHI_MATRIX_LIST,      ALCHI_LIBRARY,      ALCHI_TASK,
                                       ALCHI_NAME_LIST,        ALCHI_DATA_ACK,     ALCHI_DATA_BLOCK,
                                       ALCHI_WORKER_TASK_DONE, ALCHI_DATA_REGIONS, ALCHI_DATA_RINGS};
    size_t k;

    for (k = 0; k < ALCHI_COUNT(replies); k++)
        if (replies[k] == type)
            return true;
    return false;
}

/* CRC32C, bit by bit, independent of lib/base/crc32c.c. */
static uint32_t
crc32c(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    int bit;

    for (; size; bytes++, size--) {
        crc ^= *bytes;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Append one frame with every field set. DATA_WRITE and DATA_BLOCK have a payload. */
static void
add_frame(stream_t *stream, unsigned type)
{
    ProtobufCMessage *message = make_message(descriptor_of(type));
    bool data = type == ALCHI_DATA_WRITE || type == ALCHI_DATA_BLOCK;
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = (uint16_t)type};
    uint8_t payload[24];
    uint32_t k;

    for (k = 0; k < sizeof(payload); k++)
        payload[k] = (uint8_t)(200 + 3 * k);

    frame.id = UINT64_C(0x0102030405060700) + type;
    frame.flags = (is_reply(type) ? ALCHI_FRAME_REPLY : 0) | (data ? ALCHI_FRAME_MORE | ALCHI_FRAME_CHECK : 0);
    frame.meta = (uint32_t)protobuf_c_message_get_packed_size(message);
    frame.payload = data ? sizeof(payload) : 0;
    frame.check = data ? crc32c(payload, sizeof(payload)) : 0;
    check(stream->size + ALCHI_FRAME_HEADER + frame.meta + frame.payload <= STREAM_MAX, "stream too large");
    alchi_frame_encode(&frame, stream->bytes + stream->size);
    stream->size += ALCHI_FRAME_HEADER;
    stream->size += protobuf_c_message_pack(message, stream->bytes + stream->size);
    memcpy(stream->bytes + stream->size, payload, frame.payload);
    stream->size += frame.payload;
    alchi_message_free(message);
}

/* Append a frame with the given message bytes. */
static void
add_raw(stream_t *stream, unsigned type, const char *meta, size_t size)
{
    alchi_frame_t frame = {.version = ALCHI_WIRE_VERSION, .type = (uint16_t)type, .id = 1, .meta = (uint32_t)size};

    alchi_frame_encode(&frame, stream->bytes + stream->size);
    memcpy(stream->bytes + stream->size + ALCHI_FRAME_HEADER, meta, size);
    stream->size += ALCHI_FRAME_HEADER + size;
}

static FILE *
open_in(const char *dir, const char *name, const char *suffix, const char *mode)
{
    char path[1024];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
    file = fopen(path, mode);
    check(file || (errno == EEXIST && strchr(mode, 'x')), path);
    return file;
}

static void
write_stream(const stream_t *stream, const char *dir, const char *name)
{
    FILE *file = open_in(dir, name, "", "wb");

    check(fwrite(stream->bytes, 1, stream->size, file) == stream->size && !fclose(file), name);
}

static void
write_corpus_file(const char *dir, const char *name, void (*add)(stream_t *stream))
{
    stream_t *stream = zeroed(sizeof(*stream));

    add(stream);
    write_stream(stream, dir, name);
    free(stream);
}

/* ---- broken frames; the name of each function and file says what is broken ---- */

#define RAW(function, type, bytes)                       \
    static void function(stream_t *stream)               \
    {                                                    \
        add_raw(stream, type, bytes, sizeof(bytes) - 1); \
    }

RAW(unknown_type, 999, "")
RAW(empty_message, ALCHI_HELLO, "")
RAW(string_with_nul, ALCHI_TEST_STRING,
    "\x0a\x03"
    "a\0b")
RAW(string_not_utf8, ALCHI_TEST_STRING, "\x0a\x02\xc3\x28")
RAW(string_too_long, ALCHI_TEST_STRING,
    "\x0a\x7f"
    "abc")
RAW(string_huge, ALCHI_TEST_STRING, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
RAW(string_twice, ALCHI_TEST_STRING,
    "\x0a\x01"
    "a\x0a\x01"
    "b")
RAW(group_field, ALCHI_TEST_STRING, "\x0b\x0c")
RAW(unknown_field, ALCHI_TEST_STRING,
    "\xf2\x07\x02ok\x0a\x01"
    "a")
RAW(number_zero, ALCHI_TEST_STRING,
    "\x02\x01"
    "a")
RAW(endless_varint, ALCHI_WAIT_TASK, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
RAW(wrong_wire_type, ALCHI_WAIT_TASK, "\x0a\x02\x01\x01")
RAW(truncated_varint, ALCHI_WAIT_TASK, "\x08\x80")
RAW(packed_empty, ALCHI_SUBMIT_TASK, "\x1a\x04\x12\x02\x1a\x00")
RAW(packed_part_of_double, ALCHI_SUBMIT_TASK,
    "\x1a\x09\x12\x07\x2a\x05"
    "12345")
RAW(list_that_is_no_list, ALCHI_SUBMIT_TASK, "\x1a\x0a\x12\x08\x08\x05\x10\x00\x1a\x02\x02\x04")
RAW(value_of_no_type, ALCHI_SUBMIT_TASK, "\x1a\x07\x12\x05\x08\x63\x1a\x01\x02")
RAW(empty_workers, ALCHI_WORKER_LIST, "\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00")

static void
frames_of_all_types(stream_t *stream)
{
    size_t k;

    for (k = 0; k < ALCHI_COUNT(types); k++)
        add_frame(stream, types[k]);
}

static void
truncated_frame(stream_t *stream)
{
    add_frame(stream, ALCHI_SUBMIT_TASK);
    stream->size -= 9;
}

static void
truncated_header(stream_t *stream)
{
    add_frame(stream, ALCHI_SUBMIT_TASK);
    stream->size = 13;
}

static void
bad_magic(stream_t *stream)
{
    add_frame(stream, ALCHI_PING);
    stream->bytes[1] = 'x';
}

static void
bad_version(stream_t *stream)
{
    add_frame(stream, ALCHI_PING);
    stream->bytes[4] = 2;
}

static void
bad_flags(stream_t *stream)
{
    add_frame(stream, ALCHI_PING);
    stream->bytes[5] = 0x80;
}

static void
bad_reserved(stream_t *stream)
{
    add_frame(stream, ALCHI_PING);
    stream->bytes[31] = 1;
}

static void
oversized(stream_t *stream)
{
    add_frame(stream, ALCHI_PING);
    memset(stream->bytes + 16, 0xff, 8);
}

static void
http_request(stream_t *stream)
{
    stream->size = (size_t)snprintf((char *)stream->bytes, STREAM_MAX, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* A library whose functions have signatures, which the fuzz target parses. */
static void
library_with_signatures(stream_t *stream)
{
    static const char *const signatures[] = {"A:matrix, k:int64=10, t:string[] -> U:matrix, s:vector",
                                             "z:complex128=1-2.5e3j, b:bool[]=[true, false], s:string=\"a,\\\"->\\n\"",
                                             "-> x:float32", "", "x:int8=300"};
    Alchw__Function functions[ALCHI_COUNT(signatures)], *pointers[ALCHI_COUNT(signatures)];
    Alchw__Library library = ALCHW__LIBRARY__INIT;
    uint8_t *bytes = zeroed(STREAM_MAX);
    size_t k;

    for (k = 0; k < ALCHI_COUNT(signatures); k++) {
        alchw__function__init(&functions[k]);
        functions[k].name = (char *)"f";
        functions[k].signature = (char *)signatures[k];
        functions[k].doc = (char *)"text\nA: the matrix\n s : values ";
        pointers[k] = &functions[k];
    }
    library.n_functions = ALCHI_COUNT(signatures);
    library.functions = pointers;
    k = alchw__library__pack(&library, bytes);
    add_raw(stream, ALCHI_LIBRARY, (const char *)bytes, k);
    free(bytes);
}

static void
write_corpus(const char *dir)
{
    static const struct {
        const char *name;
        void (*add)(stream_t *stream);
    } streams[] = {
#define STREAM(name) {#name, name}
        STREAM(unknown_type),     STREAM(empty_message), STREAM(string_with_nul),       STREAM(string_not_utf8),
        STREAM(string_too_long),  STREAM(string_huge),   STREAM(string_twice),          STREAM(group_field),
        STREAM(unknown_field),    STREAM(number_zero),   STREAM(endless_varint),        STREAM(wrong_wire_type),
        STREAM(truncated_varint), STREAM(packed_empty),  STREAM(packed_part_of_double), STREAM(list_that_is_no_list),
        STREAM(value_of_no_type), STREAM(empty_workers), STREAM(frames_of_all_types),   STREAM(truncated_frame),
        STREAM(truncated_header), STREAM(bad_magic),     STREAM(bad_version),           STREAM(bad_flags),
        STREAM(bad_reserved),     STREAM(oversized),     STREAM(http_request),          STREAM(library_with_signatures),
#undef STREAM
    };
    stream_t *stream = zeroed(sizeof(*stream));
    size_t k;

    for (k = 0; k < ALCHI_COUNT(types); k++) {
        stream->size = 0;
        add_frame(stream, types[k]);
        write_stream(stream, dir, alchi_message_name(types[k]));
    }
    free(stream);
    for (k = 0; k < ALCHI_COUNT(streams); k++)
        write_corpus_file(dir, streams[k].name, streams[k].add);
}

static void
write_text(const stream_t *stream, FILE *out)
{
    ProtobufCMessage *message;
    alchi_frame_t frame;

    check(!alchi_frame_peek(stream->bytes, stream->size, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, &frame), "peek");
    check(!alchi_message_decode(frame.type, stream->bytes + ALCHI_FRAME_HEADER, frame.meta, &message), "decode");
    frame_text(out, &frame, message, stream->bytes + ALCHI_FRAME_HEADER + frame.meta);
    alchi_message_free(message);
    check(!fclose(out), "close");
}

static void
write_golden_frame(const char *dir, unsigned type, const char *name)
{
    stream_t *stream = zeroed(sizeof(*stream));
    FILE *file = open_in(dir, name, ".bin", "wbx");

    add_frame(stream, type);
    if (file) {
        check(fwrite(stream->bytes, 1, stream->size, file) == stream->size && !fclose(file), name);
        write_text(stream, open_in(dir, name, ".txt", "w"));
    }
    free(stream);
}

#define GROWN_ROW(type, field) {ALCHI_##type, #type "-" field},

static void
write_golden(const char *dir)
{
    static const struct {
        unsigned type;
        const char *name;
    } later[] = {MESSAGES_GROWN(GROWN_ROW)};

    for (size_t k = 0; k < ALCHI_COUNT(types); k++)
        write_golden_frame(dir, types[k], alchi_message_name(types[k]));
    for (size_t k = 0; k < ALCHI_COUNT(later); k++)
        write_golden_frame(dir, later[k].type, later[k].name);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "corpus"))
        write_corpus(argv[2]);
    else if (argc == 3 && !strcmp(argv[1], "golden"))
        write_golden(argv[2]);
    else
        return fprintf(stderr, "usage: seed corpus|golden DIR\n"), EXIT_FAILURE;
    return EXIT_SUCCESS;
}
