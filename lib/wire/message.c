/* Frame types and their messages. */
#include "wire/message.h"
#include "wire/verify.h"
#include "base/util.h"

#include <stdlib.h>

/* A decoded message is larger than its bytes: an empty string in a list takes 2 bytes on the wire and, with the
 * unpacker's table of fields, about 100 in memory. The messages that programs of this project send stay far below the
 * limit of MEMORY_FACTOR bytes for each byte. */
#define MEMORY_FACTOR 64
#define MEMORY_BASE 16384
#define CHUNK_OVERHEAD 16 /* approximate overhead of malloc(), bytes */

static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
} messages[] = {
#define MESSAGE_ROW(name, value, message) [value] = {#name, &alchw__##message##__descriptor},
    ALCHI_MESSAGE_LIST(MESSAGE_ROW)
#undef MESSAGE_ROW
};

/* The memory that one decoding may still allocate. */
typedef struct {
    size_t left; /* bytes */
    bool exceeded;
} budget_t;

const char *
alchi_message_name(unsigned type)
{
    return type < ALCHI_COUNT(messages) && messages[type].name ? messages[type].name : "?";
}

static void *
budget_alloc(void *data, size_t size)
{
    budget_t *budget = data;

    if (budget->left < CHUNK_OVERHEAD || size > budget->left - CHUNK_OVERHEAD) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= size + CHUNK_OVERHEAD;
    return malloc(size);
}

static void
budget_free(void *data, void *pointer)
{
    (void)data;
    free(pointer);
}

int
alchi_message_decode(unsigned type, const void *bytes, size_t size, ProtobufCMessage **message_p)
{
    const ProtobufCMessageDescriptor *descriptor = type < ALCHI_COUNT(messages) ? messages[type].descriptor : NULL;
    budget_t budget = {0};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *message;

    if (!descriptor || size > (SIZE_MAX - MEMORY_BASE) / MEMORY_FACTOR)
        return ALCH_EPROTO;
    if (!alchi_message_verify(descriptor, bytes, size))
        return ALCH_EPROTO;
    budget.left = MEMORY_BASE + size * MEMORY_FACTOR;
    message = protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
    if (!message)
        /* After verification, unpacking fails only if the machine has no memory or the budget is exceeded. */
        return budget.exceeded ? ALCH_EPROTO : ALCH_ENOMEM;
    *message_p = message;
    return ALCH_OK;
}

void
alchi_message_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

int
alchi_message_code(const Alchw__Error *message)
{
    return message && message->code > 0 && message->code < 256 ? (int)message->code : ALCH_EPROTO;
}
