/**
 * @file wire/verify.h
 * Verify the bytes of a message before they are unpacked. Allocates nothing.
 */
#ifndef ALCHI_WIRE_VERIFY_H
#define ALCHI_WIRE_VERIFY_H

#include "wire/message.h"

/**
 * Whether the bytes are what an encoder of this protocol writes: each known field has its own wire type, a list is
 * packed if and only if it is declared so and is never packed when empty, other fields occur at most once, numbers are
 * within their type, and strings are UTF-8 without NUL. Unknown fields are skipped. Groups are refused.
 */
bool alchi_message_verify(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size);

#endif
