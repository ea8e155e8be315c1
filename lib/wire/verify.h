/**
 * @file wire/verify.h
 * Verify the bytes of a message before they are unpacked. Allocates nothing.
 */
#ifndef ALCHI_WIRE_VERIFY_H
#define ALCHI_WIRE_VERIFY_H

#include "wire/message.h"

/**
 * Whether an encoder of this protocol could have written the bytes. Each known field has the wire type of its
 * declaration. A list is packed if and only if it is declared packed, and a packed list is not empty. Other fields
 * occur at most once. Numbers are within the range of their type, and strings are UTF-8 without NUL. Unknown fields are
 * skipped. Groups are refused.
 */
bool alchi_message_verify(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size);

#endif
