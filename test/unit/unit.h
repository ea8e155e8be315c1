/** @file unit.h  What every unit test includes. Define unit_suite() and add test cases to the suite. */
#ifndef ALCHI_UNIT_H
#define ALCHI_UNIT_H

#include <check.h>

void unit_suite(Suite *suite);

/** Assert that a call returns a code, showing names. */
#define unit_code(call, expected)                                                                         \
    do {                                                                                                  \
        int unit_got_ = (call);                                                                           \
        ck_assert_msg(unit_got_ == (expected), "%s: got %s, expected %s", #call, alch_errname(unit_got_), \
                      alch_errname(expected));                                                            \
    } while (0)

#endif
