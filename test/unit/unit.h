/** @file unit.h  What every unit test includes. Define unit_suite() and add test cases to the suite. */
#ifndef ALCHI_UNIT_H
#define ALCHI_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <unistd.h>

void unit_suite(Suite *suite);

/** Assert that a call returns a code, showing names. */
#define unit_code(call, expected)                                                                         \
    do {                                                                                                  \
        int unit_got_ = (call);                                                                           \
        ck_assert_msg(unit_got_ == (expected), "%s: got %s, expected %s", #call, alch_errname(unit_got_), \
                      alch_errname(expected));                                                            \
    } while (0)

/** Poll until the condition is true; the test fails when that takes longer than timeout_ms. */
static inline void
unit_wait_for(bool (*condition)(void *context), void *context, int timeout_ms)
{
    for (int waited_ms = 0; !condition(context); waited_ms++) {
        ck_assert_msg(waited_ms < timeout_ms, "the condition was not met within %d ms", timeout_ms);
        usleep(1000);
    }
}

#endif
