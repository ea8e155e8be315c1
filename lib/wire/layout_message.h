/**
 * @file wire/layout_message.h
 * Layouts, axes and rectangles in messages and out of them.
 */
#ifndef ALCHI_WIRE_LAYOUT_MESSAGE_H
#define ALCHI_WIRE_LAYOUT_MESSAGE_H

#include "wire/message.h"
#include <alchemist/layout.h>

/** What a message says; NULL: the default layout. Values that no layout has stay such that alchi_layout_init() refuses
 *  them. */
alch_layout_t alchi_wire_layout_in(const Alchw__Layout *message);
/** Initializes the message. */
void alchi_wire_layout_out(const alch_layout_t *layout, Alchw__Layout *message);

/** Initializes the message. Each axis as {block, period, first}. */
void alchi_wire_axes_out(const int64_t rows[3], const int64_t cols[3], Alchw__Axes *message);

/** Any numbers: to be checked with alchi_rect_within(). */
alch_rect_t alchi_wire_rect_in(const Alchw__Rect *message);
/** Initializes the message. */
void alchi_wire_rect_out(const alch_rect_t *rect, Alchw__Rect *message);

#endif
