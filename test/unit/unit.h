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

/** unit_wait_for(condition, context, timeout_ms): poll until condition(context) is true. The test fails when that takes
 *  longer than timeout_ms milliseconds. */
#define unit_wait_for(condition, ...) unit_wait_for_at(__FILE__, __LINE__, #condition, condition, __VA_ARGS__)

static inline void
unit_wait_for_at(const char *file, int line, const char *name, bool (*condition)(void *context), void *context,
                 int timeout_ms)
{
    for (int waited_ms = 0; !condition(context); waited_ms++) {
        ck_assert_msg(waited_ms < timeout_ms, "%s:%d: %s() did not become true within %d ms", file, line, name,
                      timeout_ms);
        usleep(1000);
    }
}

#endif
