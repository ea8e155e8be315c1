/* Verify the bytes of a message before they are unpacked. */
#include "wire/verify.h"
#include "base/util.h"

#include <string.h>

/* No message is recursive. The limit holds if a later version adds one. */
#define DEPTH_MAX 8
#define FIELDS_MAX 64

typedef struct {
    const uint8_t *at, *end;
} cursor_t;

static bool verify_fields(const ProtobufCMessageDescriptor *descriptor, cursor_t in, int depth);

static bool
get_varint(cursor_t *in, uint64_t *x_p)
{
    uint64_t x = 0;
    unsigned shift;

    for (shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;

        if (shift == 63 && byte > 1)
            return false;
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *x_p = x;
            return true;
        }
    }
    return false;
}

static bool
get_span(cursor_t *in, uint64_t size, cursor_t *span_p)
{
    if (size > (uint64_t)(in->end - in->at))
        return false;
    *span_p = (cursor_t){in->at, in->at + size};
    in->at += size;
    return true;
}

/* Read a field's number and wire type. */
static bool
get_tag(cursor_t *in, uint32_t *number_p, unsigned *wire_p)
{
    uint64_t tag;

    if (!get_varint(in, &tag) || tag > UINT32_MAX || !(tag >> 3))
        return false;
    *number_p = (uint32_t)(tag >> 3);
    *wire_p = tag & 7;
    return true;
}

static unsigned
wire_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static bool
varint_fits(ProtobufCType type, uint64_t x)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return x <= 1;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return x <= UINT32_MAX;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        return (int64_t)x >= INT32_MIN && (int64_t)x <= INT32_MAX;
    default:
        return true;
    }
}

/* Verify one number. */
static bool
verify_number(ProtobufCType type, cursor_t *in)
{
    cursor_t span;
    uint64_t x;

    switch (wire_type(type)) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return get_varint(in, &x) && varint_fits(type, x);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return get_span(in, 8, &span);
    default:
        return get_span(in, 4, &span);
    }
}

static bool
verify_packed(ProtobufCType type, cursor_t in)
{
    if (in.at == in.end)
        return false;
    while (in.at < in.end)
        if (!verify_number(type, &in))
            return false;
    return true;
}

static bool
verify_field(const ProtobufCFieldDescriptor *field, unsigned wire, cursor_t *in, int depth)
{
    bool packed = field->flags & PROTOBUF_C_FIELD_FLAG_PACKED;
    cursor_t span;
    uint64_t size;

    if (wire != (packed ? (unsigned)PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED : wire_type(field->type)))
        return false;
    if (wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return verify_number(field->type, in);
    if (!get_varint(in, &size) || !get_span(in, size, &span))
        return false;
    if (packed)
        return verify_packed(field->type, span);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return alchi_utf8_valid((const char *)span.at, (size_t)size);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return verify_fields(field->descriptor, span, depth + 1);
    return true;
}

static bool
skip_unknown(unsigned wire, cursor_t *in)
{
    cursor_t span;
    uint64_t x;

    switch (wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return get_varint(in, &x);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return get_span(in, 8, &span);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return get_varint(in, &x) && get_span(in, x, &span);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return get_span(in, 4, &span);
    default:
        return false;
    }
}

static bool
verify_fields(const ProtobufCMessageDescriptor *descriptor, cursor_t in, int depth)
{
    uint64_t seen = 0; /* bit k: field k of the descriptor */
    uint32_t number;
    unsigned wire;

    if (depth > DEPTH_MAX || descriptor->n_fields > FIELDS_MAX)
        return false;
    while (in.at < in.end) {
        const ProtobufCFieldDescriptor *field;
        uint64_t bit;

        if (!get_tag(&in, &number, &wire))
            return false;
        field = protobuf_c_message_descriptor_get_field(descriptor, number);
        if (!field) {
            if (!skip_unknown(wire, &in))
                return false;
            continue;
        }
        bit = UINT64_C(1) << (field - descriptor->fields);
        /* protobuf would merge a second value into the first one; no encoder of this protocol sends one. */
        if (seen & bit && field->label != PROTOBUF_C_LABEL_REPEATED)
            return false;
        seen |= bit;
        if (!verify_field(field, wire, &in, depth))
            return false;
    }
    return true;
}

bool
alchi_message_verify(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size)
{
    cursor_t in = {bytes, bytes};

    if (size)
        in.end += size;
    return verify_fields(descriptor, in, 0);
}
