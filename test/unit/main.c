/* Runs the suite that a test file fills in: each test_*.c is one program. */
#include "unit.h"
#include <stdlib.h>

int
main(void)
{
    Suite *suite = suite_create(ALCHI_TEST_NAME);
    SRunner *runner;
    int failed;

    /* The limit for one test, in seconds. Check's 4 seconds are too few for tests that do heavy work on a loaded
     * machine. A test that blocks forever should fail before run-tests ends the program after 120 seconds. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    unit_suite(suite);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
