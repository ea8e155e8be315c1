/**
 * @file wire/verify.h
 * A look at the bytes of a message before they are unpacked: no allocation, no trust.
 */
#ifndef ALCHI_WIRE_VERIFY_H
#define ALCHI_WIRE_VERIFY_H

#include "wire/message.h"

/**
 * Whether the bytes are what an encoder of this protocol makes of the message: each known field with its own
 * wire type, lists packed exactly if declared so and never packed empty, other fields at most once, numbers
 * within their type, strings of valid UTF-8 without NUL. Fields that are not known are skipped; groups are not.
 */
bool alchi_message_verify(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size);

#endif
