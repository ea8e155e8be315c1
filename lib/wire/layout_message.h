/**
 * @file wire/layout_message.h
 * Convert layouts, axes and rectangles to messages and back.
 */
#ifndef ALCHI_WIRE_LAYOUT_MESSAGE_H
#define ALCHI_WIRE_LAYOUT_MESSAGE_H

#include "wire/message.h"
#include <alchemist/layout.h>

/** The layout in a message. NULL: the default layout. Invalid values become values that alchi_layout_init() refuses. */
alch_layout_t alchi_wire_layout_in(const Alchw__Layout *message);
/** Initialize and fill the message. */
void alchi_wire_layout_out(const alch_layout_t *layout, Alchw__Layout *message);

/** Initialize and fill the message. Each axis is {block, period, first}. */
void alchi_wire_axes_out(const int64_t rows[3], const int64_t cols[3], Alchw__Axes *message);

/** The rectangle in a message. The numbers are not checked: use alchi_rect_within(). */
alch_rect_t alchi_wire_rect_in(const Alchw__Rect *message);
/** Initialize and fill the message. */
void alchi_wire_rect_out(const alch_rect_t *rect, Alchw__Rect *message);

#endif
