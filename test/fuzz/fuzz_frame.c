/* Fuzz target: reads arbitrary bytes as a stream of frames from a peer, decodes the messages, and uses their values and
 * signatures as the driver and the workers do. */
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/value.h"
#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_frame: %s\n", what);
    abort();
}

/* If a value passes the check, a conversion may fail, but its result must pass the check too. */
static void
try_value(const Alchw__Value *value)
{
    alch_error_t err;
    unsigned type;

    if (alchi_value_check(value, &err))
        return;
    for (type = 0; type <= ALCH_TYPE_MATRIX + 1; type++) {
        Alchw__Value *converted;

        if (alchi_value_convert(value, (alch_type_t)type, value->list, "x", &converted, &err))
            continue;
        require(converted->type == type && alchi_value_count(converted) == alchi_value_count(value), "conversion");
        require(!alchi_value_check(converted, &err), "converted value");
        alchi_message_free(converted);
    }
}

static void
try_arguments(const Alchw__Function *function, Alchw__NamedValue *const *given, size_t count)
{
    Alchw__NamedValue **arguments;
    alch_error_t err;
    size_t k;

    if (alchi_arguments_check("L", function, given, count, &arguments, &err))
        return;
    for (k = 0; k < function->n_parameters; k++) {
        require(arguments[k] && arguments[k]->value, "arguments");
        alchi_message_free(arguments[k]);
    }
    free(arguments);
}

/* Parse a function's signature, as a worker does with that of a plugin and the driver with that of a worker. */
static void
try_function(const Alchw__Function *function)
{
    Alchw__Function *parsed;
    alch_error_t err;

    try_arguments(function, NULL, 0);
    if (!function->name || !function->signature)
        return;
    if (alchi_function_parse(function->name, function->signature, function->summary, function->doc, &parsed, &err)) {
        require(alchi_utf8_valid(err.text, strlen(err.text)), "text of a refusal");
        return;
    }
    try_arguments(parsed, NULL, 0);
    alchi_message_free(parsed);
}

static void
try_values_of(const ProtobufCMessage *message)
{
    size_t k;

    if (message->descriptor == &alchw__submit_task__descriptor) {
        const Alchw__SubmitTask *submit = (const Alchw__SubmitTask *)message;

        for (k = 0; k < submit->n_arguments; k++)
            if (submit->arguments[k]->value)
                try_value(submit->arguments[k]->value);
    }
    if (message->descriptor == &alchw__library__descriptor) {
        const Alchw__Library *library = (const Alchw__Library *)message;

        for (k = 0; k < library->n_functions; k++)
            try_function(library->functions[k]);
    }
}

/* Check that a decoded message encodes to bytes that decode to the same message. */
static void
check_reencoding(unsigned type, const ProtobufCMessage *message, size_t size_before)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1), *again = malloc(size + 1);
    ProtobufCMessage *copy;

    require(bytes && again, "memory");
    require(size <= size_before, "encoding is longer than what was decoded");
    require(protobuf_c_message_pack(message, bytes) == size, "size of the encoding");
    /* The decoder bounds the memory of a message by the size of its encoding. The new encoding can be shorter than the
     * received one, so its decoding may exceed the bound. */
    if (!alchi_message_decode(type, bytes, size, &copy)) {
        require(protobuf_c_message_get_packed_size(copy) == size, "size of the second encoding");
        protobuf_c_message_pack(copy, again);
        require(!memcmp(bytes, again, size), "second encoding");
        alchi_message_free(copy);
    }
    free(bytes);
    free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    alchi_frame_t frame, short_frame;
    ProtobufCMessage *message;
    uint8_t header[ALCHI_FRAME_HEADER];

    while (!alchi_frame_peek(bytes, size, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, &frame)) {
        require(alchi_frame_peek(bytes, ALCHI_FRAME_HEADER - 1, ALCHI_META_MAX, ALCHI_PAYLOAD_MAX, &short_frame) ==
                    ALCH_EAGAIN,
                "part of a good header");
        alchi_frame_encode(&frame, header);
        require(!memcmp(header, bytes, sizeof(header)), "header");
        bytes += ALCHI_FRAME_HEADER;
        size -= ALCHI_FRAME_HEADER;
        if (size < frame.meta)
            break;
        if (!alchi_message_decode(frame.type, bytes, frame.meta, &message)) {
            check_reencoding(frame.type, message, frame.meta);
            try_values_of(message);
            alchi_message_free(message);
        }
        bytes += frame.meta;
        size -= frame.meta;
        if (size < frame.payload)
            break;
        bytes += frame.payload;
        size -= frame.payload;
    }
    return 0;
}
