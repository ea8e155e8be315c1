/** @file driver_fake.h  Recorded links for tests of the driver: what was sent can be looked at, nothing is connected.
 */
#ifndef ALCHI_DRIVER_FAKE_H
#define ALCHI_DRIVER_FAKE_H

#include "unit.h"
#include "driver/driver.h"
#include <string.h>

#define FAKE_SENT_MAX 64

typedef struct {
    unsigned type, flags;
    uint64_t id;
    void *message;
} fake_sent_t;

typedef struct {
    alchi_link_t link;
    fake_sent_t sent[FAKE_SENT_MAX];
    int count;
    bool closed;
} fake_t;

static void
fake_send(alchi_link_t *link, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    fake_t *fake = (fake_t *)link;

    ck_assert_int_lt(fake->count, FAKE_SENT_MAX);
    fake->sent[fake->count++] = (fake_sent_t){type, flags, id, message ? alchi_message_copy(message) : NULL};
}

static void
fake_close(alchi_link_t *link)
{
    ((fake_t *)link)->closed = true;
}

static const alchi_link_ops_t fake_ops = {fake_send, fake_close};

/* Forget what was sent so far. */
static inline void
fake_clear(fake_t *fake)
{
    while (fake->count)
        alchi_message_free(fake->sent[--fake->count].message);
}

/* The last message of a type, or NULL. */
static inline const fake_sent_t *
fake_last(const fake_t *fake, unsigned type)
{
    int i;

    for (i = fake->count - 1; i >= 0; i--) {
        if (fake->sent[i].type == type)
            return &fake->sent[i];
    }
    return NULL;
}

static inline const void *
fake_message(const fake_t *fake, unsigned type)
{
    const fake_sent_t *sent = fake_last(fake, type);

    ck_assert_msg(sent && sent->message, "no %s was sent", alchi_message_name(type));
    return sent->message;
}

static inline void
fake_say(alchi_driver_t *driver, fake_t *fake, unsigned type, unsigned flags, uint64_t id, const void *message)
{
    alchi_frame_t frame = {.type = (uint16_t)type, .flags = (uint8_t)flags, .id = id};
    alch_error_t error;

    unit_code(alchi_driver_message(driver, &fake->link, &frame, message, &error), ALCH_OK);
}

#endif
