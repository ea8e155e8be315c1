/* Timers: deadlines in one list. */
#include "unit.h"
#include "base/util.h"
#include "driver/timer.h"
#include <string.h>

#define COUNT 4

typedef struct fixture fixture_t;

typedef struct {
    alchi_drv_timer_t timer;
    fixture_t *fixture;
    char name;
} named_timer_t;

/* Timers that are named "a" to "d", and a list of them. */
struct fixture {
    alchi_drv_timers_t timers;
    named_timer_t named[COUNT];
    char expired[16]; /* names, in the order in which the timers have expired */
};

static void
init_fixture(fixture_t *fixture)
{
    *fixture = (fixture_t){.expired = ""};
    for (int i = 0; i < COUNT; i++) {
        fixture->named[i].fixture = fixture;
        fixture->named[i].name = (char)('a' + i);
    }
}

static void
record_expiry(alchi_drv_timer_t *timer)
{
    named_timer_t *named = ALCHI_CONTAINER(timer, named_timer_t, timer);
    size_t used = strlen(named->fixture->expired);

    ck_assert_uint_lt(used + 1, sizeof(named->fixture->expired));
    named->fixture->expired[used] = named->name;
    named->fixture->expired[used + 1] = '\0';
}

static void
record_expiry_and_stop_second(alchi_drv_timer_t *timer)
{
    record_expiry(timer);
    alchi_drv_timer_stop(&ALCHI_CONTAINER(timer, named_timer_t, timer)->fixture->named[1].timer);
}

static void
start_timer(fixture_t *fixture, int index, int64_t ms)
{
    alchi_drv_timer_start(&fixture->timers, &fixture->named[index].timer, ms, record_expiry);
}

START_TEST(next_deadline_is_the_earliest)
{
    fixture_t fixture;

    init_fixture(&fixture);
    ck_assert(alchi_drv_timers_next(&fixture.timers) == ALCHI_NEVER);
    start_timer(&fixture, 0, 3000);
    start_timer(&fixture, 1, 1000);
    start_timer(&fixture, 2, 2000);
    ck_assert(alchi_drv_timers_next(&fixture.timers) == fixture.named[1].timer.deadline);
}
END_TEST

START_TEST(timers_expire_in_the_order_of_their_deadlines)
{
    fixture_t fixture;

    init_fixture(&fixture);
    start_timer(&fixture, 0, 3000);
    start_timer(&fixture, 1, 1000);
    start_timer(&fixture, 2, 2000);
    start_timer(&fixture, 3, 4000);
    alchi_drv_timers_run(&fixture.timers, fixture.named[0].timer.deadline);
    ck_assert_str_eq(fixture.expired, "bca");
    ck_assert(alchi_drv_timers_next(&fixture.timers) == fixture.named[3].timer.deadline);
}
END_TEST

START_TEST(timer_expires_at_its_deadline_and_once)
{
    fixture_t fixture;
    alchi_deadline_t deadline;

    init_fixture(&fixture);
    start_timer(&fixture, 0, 1000);
    deadline = fixture.named[0].timer.deadline;
    alchi_drv_timers_run(&fixture.timers, deadline - 1);
    ck_assert_str_eq(fixture.expired, "");
    alchi_drv_timers_run(&fixture.timers, deadline);
    alchi_drv_timers_run(&fixture.timers, deadline);
    ck_assert_str_eq(fixture.expired, "a");
}
END_TEST

START_TEST(timer_that_is_started_again_has_the_later_deadline)
{
    fixture_t fixture;

    init_fixture(&fixture);
    start_timer(&fixture, 0, 1000);
    start_timer(&fixture, 1, 2000);
    start_timer(&fixture, 0, 3000);
    ck_assert(alchi_drv_timers_next(&fixture.timers) == fixture.named[1].timer.deadline);
    alchi_drv_timers_run(&fixture.timers, ALCHI_NEVER);
    ck_assert_str_eq(fixture.expired, "ba");
}
END_TEST

START_TEST(stopped_timer_does_not_expire)
{
    fixture_t fixture;

    init_fixture(&fixture);
    start_timer(&fixture, 0, 3000);
    start_timer(&fixture, 1, 2000);
    alchi_drv_timer_stop(&fixture.named[1].timer);
    ck_assert(alchi_drv_timers_next(&fixture.timers) == fixture.named[0].timer.deadline);
    alchi_drv_timers_run(&fixture.timers, ALCHI_NEVER);
    ck_assert_str_eq(fixture.expired, "a");
}
END_TEST

START_TEST(stopping_a_stopped_timer_has_no_effect)
{
    fixture_t fixture;

    init_fixture(&fixture);
    alchi_drv_timer_stop(&fixture.named[0].timer);
    start_timer(&fixture, 0, 3000);
    start_timer(&fixture, 1, 2000);
    alchi_drv_timer_stop(&fixture.named[1].timer);
    alchi_drv_timer_stop(&fixture.named[1].timer);
    alchi_drv_timers_run(&fixture.timers, ALCHI_NEVER);
    ck_assert_str_eq(fixture.expired, "a");
}
END_TEST

START_TEST(expired_timer_can_stop_another_one)
{
    fixture_t fixture;

    init_fixture(&fixture);
    alchi_drv_timer_start(&fixture.timers, &fixture.named[0].timer, 1000, record_expiry_and_stop_second);
    start_timer(&fixture, 1, 1001);
    alchi_drv_timers_run(&fixture.timers, ALCHI_NEVER);
    ck_assert_str_eq(fixture.expired, "a");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("timer");

    tcase_add_test(tcase, next_deadline_is_the_earliest);
    tcase_add_test(tcase, timers_expire_in_the_order_of_their_deadlines);
    tcase_add_test(tcase, timer_expires_at_its_deadline_and_once);
    tcase_add_test(tcase, timer_that_is_started_again_has_the_later_deadline);
    tcase_add_test(tcase, stopped_timer_does_not_expire);
    tcase_add_test(tcase, stopping_a_stopped_timer_has_no_effect);
    tcase_add_test(tcase, expired_timer_can_stop_another_one);
    suite_add_tcase(suite, tcase);
}
