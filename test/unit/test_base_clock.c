/* Deadlines, and waits that end at a deadline. */
#include "base/clock.h"
#include "unit.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool done;

START_TEST(a_deadline_is_in_the_future_or_never)
{
    int64_t now = alchi_now_ns();
    alchi_deadline_t soon = alchi_deadline_in_ms(1000);

    ck_assert_int_ge(soon, now + 1000000000);
    ck_assert_int_le(soon, alchi_now_ns() + 1000000000);
    ck_assert_int_eq(alchi_deadline_in_ms(-1), ALCHI_NEVER);
    ck_assert_int_eq(alchi_deadline_in_ms(INT64_MAX), ALCHI_NEVER);
    ck_assert_int_eq(alchi_deadline_in_ms(INT64_MAX / 1000000), ALCHI_NEVER);
}
END_TEST

START_TEST(time_left_is_capped_and_never_negative)
{
    ck_assert_int_eq(alchi_deadline_left_ms(ALCHI_NEVER), -1);
    ck_assert_int_eq(alchi_deadline_left_ms(0), 0);
    ck_assert_int_eq(alchi_deadline_left_ms(INT64_MIN), 0);
    ck_assert_int_eq(alchi_deadline_left_ms(ALCHI_NEVER - 1), 3600000);
    ck_assert_int_eq(alchi_deadline_left_ms(alchi_now_ns()), 0);
    ck_assert_int_eq(alchi_deadline_left_ms(alchi_now_ns() + 500000000000000), 3600000);
    ck_assert_int_ge(alchi_deadline_left_ms(alchi_deadline_in_ms(60000)), 59000);
    ck_assert_int_le(alchi_deadline_left_ms(alchi_deadline_in_ms(60000)), 60000);
}
END_TEST

/* Half a millisecond must not become 0, or poll() would not sleep. If the machine is so busy that the deadline passes
 * before the test looks again, the answer proves nothing, and the test repeats the call. */
START_TEST(time_left_is_rounded_up)
{
    alchi_deadline_t deadline;
    int left;

    do {
        deadline = alchi_now_ns() + 900000;
        left = alchi_deadline_left_ms(deadline);
    } while (alchi_now_ns() >= deadline);
    ck_assert_int_eq(left, 1);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
    alchi_deadline_t soon = alchi_deadline_in_ms(30);

    pthread_mutex_lock(&mutex);
    while (alchi_cond_wait(&cond, &mutex, soon))
        ;
    ck_assert_int_ge(alchi_now_ns(), soon);
    ck_assert(!alchi_cond_wait(&cond, &mutex, 0));
    pthread_mutex_unlock(&mutex);
}
END_TEST

static void *
wake(void *context)
{
    (void)context;
    pthread_mutex_lock(&mutex);
    done = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

START_TEST(a_wait_ends_when_signaled)
{
    alchi_deadline_t deadline = _i ? ALCHI_NEVER : alchi_deadline_in_ms(30000);
    pthread_t thread;

    done = false;
    pthread_mutex_lock(&mutex);
    ck_assert_int_eq(pthread_create(&thread, NULL, wake, NULL), 0);
    while (!done)
        ck_assert(alchi_cond_wait(&cond, &mutex, deadline));
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("clock");

    tcase_add_test(tcase, a_deadline_is_in_the_future_or_never);
    tcase_add_test(tcase, time_left_is_capped_and_never_negative);
    tcase_add_test(tcase, time_left_is_rounded_up);
    tcase_add_test(tcase, a_wait_ends_at_its_deadline);
    tcase_add_loop_test(tcase, a_wait_ends_when_signaled, 0, 2);
    suite_add_tcase(suite, tcase);
}
