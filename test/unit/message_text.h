/** @file message_text.h  Frames as text, one line for each field that is set, to compare with golden bytes. */
#ifndef ALCHI_MESSAGE_TEXT_H
#define ALCHI_MESSAGE_TEXT_H

#include "wire/frame.h"
#include "wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** Messages that got fields later: there are further golden bytes of them, named TYPE-FIELD. Rows are only appended. */
#define MESSAGES_GROWN(ROW)        \
    ROW(DATA_WRITE, "axes")        \
    ROW(DATA_READ, "axes")         \
    ROW(DATA_READ, "written")      \
    ROW(DATA_BLOCK, "mask")        \
    ROW(REQUEST_WORKERS, "move")   \
    ROW(GROUP, "moving")           \
    ROW(MATRIX, "group")           \
    ROW(TASK, "notes")             \
    ROW(TASK, "matrices")          \
    ROW(WORKER_TASK_DONE, "notes") \
    ROW(DATA_READ, "check")        \
    ROW(LIST_MATRICES, "after")    \
    ROW(MATRIX_LIST, "more")       \
    ROW(DATA_MISSING, "version")

static void message_text(FILE *out, const ProtobufCMessage *message, const char *path);

static void
bytes_text(FILE *out, const uint8_t *bytes, size_t size)
{
    size_t k;

    for (k = 0; k < size; k++)
        fprintf(out, "%02x", bytes[k]);
}

/* One element at `at`, of a field that is not a message. */
static void
element_text(FILE *out, ProtobufCType type, const void *at)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
        fprintf(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        fprintf(out, "%" PRId32, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        fprintf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
        fprintf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        fprintf(out, "%a", *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        fputs(*(const protobuf_c_boolean *)at ? "true" : "false", out);
        break;
    case PROTOBUF_C_TYPE_STRING:
        fprintf(out, "\"%s\"", *(char *const *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes_text(out, ((const ProtobufCBinaryData *)at)->data, ((const ProtobufCBinaryData *)at)->len);
        break;
    default:
        fprintf(out, "? (type %d)", (int)type);
    }
}

static size_t
element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 8;
    }
}

static void
value_text(FILE *out, const ProtobufCFieldDescriptor *field, const void *at, const char *path)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        fprintf(out, "%s {}\n", path);
        message_text(out, *(ProtobufCMessage *const *)at, path);
        return;
    }
    fprintf(out, "%s = ", path);
    element_text(out, field->type, at);
    fputc('\n', out);
}

static size_t
field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(base + field->quantifier_offset);
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const void *pointer = *(void *const *)(base + field->offset);

        return pointer && pointer != field->default_value;
    }
    return *(const protobuf_c_boolean *)(base + field->quantifier_offset) != 0;
}

static void
message_text(FILE *out, const ProtobufCMessage *message, const char *path)
{
    unsigned f;
    size_t k;

    for (f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        const char *at = (const char *)message + field->offset;
        char name[512], index[32] = "";

        for (k = 0; k < field_count(message, field); k++) {
            if (repeated)
                snprintf(index, sizeof(index), "[%zu]", k);
            snprintf(name, sizeof(name), "%s%s%s%s", path, *path ? "." : "", field->name, index);
            value_text(out, field, repeated ? *(char *const *)at + k * element_size(field->type) : at, name);
        }
    }
    for (k = 0; k < message->n_unknown_fields; k++)
        fprintf(out, "%s: unknown field %u\n", path, message->unknown_fields[k].tag);
}

/** Header, message, payload. */
static inline void
frame_text(FILE *out, const alchi_frame_t *frame, const ProtobufCMessage *message, const uint8_t *payload)
{
    fprintf(out, "type %s (%u), version %u, id %" PRIu64 ", flags%s%s%s, meta %u, payload %u, check %08x\n",
            alchi_message_name(frame->type), frame->type, frame->version, frame->id,
            frame->flags & ALCHI_FRAME_MORE ? " MORE" : "", frame->flags & ALCHI_FRAME_REPLY ? " REPLY" : "",
            frame->flags & ALCHI_FRAME_CHECK ? " CHECK" : "", frame->meta, frame->payload, frame->check);
    message_text(out, message, "");
    if (frame->payload) {
        fputs("payload ", out);
        bytes_text(out, payload, frame->payload);
        fputc('\n', out);
    }
}

#endif
