#include "unit.h"
#include "base/util.h"
#include "driver/timer.h"
#include <string.h>

typedef struct {
    alchi_drv_timer_t timer;
    char name;
} mark_t;

static char fired[16];
static alchi_drv_timers_t timers;
static mark_t marks[4];

static void
note(alchi_drv_timer_t *timer)
{
    size_t used = strlen(fired);

    fired[used] = ALCHI_CONTAINER(timer, mark_t, timer)->name;
    fired[used + 1] = '\0';
}

static void
note_and_stop_second(alchi_drv_timer_t *timer)
{
    note(timer);
    alchi_drv_timer_stop(&marks[1].timer);
}

static void
setup(void)
{
    int i;

    memset(&timers, 0, sizeof(timers));
    memset(marks, 0, sizeof(marks));
    memset(fired, 0, sizeof(fired));
    for (i = 0; i < 4; i++)
        marks[i].name = (char)('a' + i);
}

START_TEST(earliest_first)
{
    ck_assert(alchi_drv_timers_next(&timers) == ALCHI_NEVER);
    alchi_drv_timer_start(&timers, &marks[0].timer, 3000, note);
    alchi_drv_timer_start(&timers, &marks[1].timer, 1000, note);
    alchi_drv_timer_start(&timers, &marks[2].timer, 2000, note);
    alchi_drv_timer_start(&timers, &marks[3].timer, 4000, note);
    ck_assert(alchi_drv_timers_next(&timers) == marks[1].timer.deadline);
    alchi_drv_timers_run(&timers, marks[0].timer.deadline);
    ck_assert_str_eq(fired, "bca");
    ck_assert(alchi_drv_timers_next(&timers) == marks[3].timer.deadline);
}
END_TEST

START_TEST(not_before_its_time)
{
    alchi_drv_timer_start(&timers, &marks[0].timer, 1000, note);
    alchi_drv_timers_run(&timers, marks[0].timer.deadline - 1);
    ck_assert_str_eq(fired, "");
    alchi_drv_timers_run(&timers, marks[0].timer.deadline);
    alchi_drv_timers_run(&timers, marks[0].timer.deadline);
    ck_assert_str_eq(fired, "a");
}
END_TEST

START_TEST(stop_and_restart)
{
    alchi_drv_timer_stop(&marks[0].timer);
    alchi_drv_timer_start(&timers, &marks[0].timer, 1000, note);
    alchi_drv_timer_start(&timers, &marks[1].timer, 2000, note);
    alchi_drv_timer_start(&timers, &marks[0].timer, 3000, note);
    alchi_drv_timer_stop(&marks[1].timer);
    alchi_drv_timer_stop(&marks[1].timer);
    ck_assert(alchi_drv_timers_next(&timers) == marks[0].timer.deadline);
    alchi_drv_timers_run(&timers, ALCHI_NEVER);
    ck_assert_str_eq(fired, "a");
}
END_TEST

START_TEST(one_may_stop_another)
{
    alchi_drv_timer_start(&timers, &marks[0].timer, 1000, note_and_stop_second);
    alchi_drv_timer_start(&timers, &marks[1].timer, 1001, note);
    alchi_drv_timers_run(&timers, ALCHI_NEVER);
    ck_assert_str_eq(fired, "a");
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("timer");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, earliest_first);
    tcase_add_test(tcase, not_before_its_time);
    tcase_add_test(tcase, stop_and_restart);
    tcase_add_test(tcase, one_may_stop_another);
    suite_add_tcase(suite, tcase);
}
