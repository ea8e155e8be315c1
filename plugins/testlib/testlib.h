/** @file testlib/testlib.h  The operations of TestLib. */
#ifndef PLUGIN_TESTLIB_TESTLIB_H
#define PLUGIN_TESTLIB_TESTLIB_H

#include <alchemist/plugin.h>

/* ---- greet.c ---- */

int testlib_greet(alch_call_t *call);
extern const char testlib_greet_signature[], testlib_greet_doc[];

/* ---- svd.c ---- */

int testlib_truncated_svd(alch_call_t *call);

#endif
