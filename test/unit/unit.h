/** @file unit.h  The header of every unit test. A test defines unit_suite() and adds test cases to the suite. */
#ifndef ALCHI_UNIT_H
#define ALCHI_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void unit_suite(Suite *suite);

/** Assert that a call returns a code, showing names. */
#define unit_code(call, expected)                                                                         \
    do {                                                                                                  \
        int unit_got_ = (call);                                                                           \
        ck_assert_msg(unit_got_ == (expected), "%s: got %s, expected %s", #call, alch_errname(unit_got_), \
                      alch_errname(expected));                                                            \
    } while (0)

/** Assert that a text contains a part, showing both. */
#define unit_contains(text, part) ck_assert_msg(strstr(text, part) != NULL, "'%s' lacks '%s'", text, part)

/** Create a folder for the files of a test in `parent`. @param[out] folder  its path */
static inline void
unit_create_folder(const char *parent, char folder[64])
{
    snprintf(folder, 64, "%s/alchemist-test-XXXXXX", parent);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

/** Remove a folder that unit_create_folder() created, with all that it contains. */
static inline void
unit_remove_folder(const char *folder)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

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
