#include "unit.h"
#include "driver/slots.h"
#include <stdlib.h>

static alchi_drv_slots_t slots;
static int anything;

static alchi_drv_node_t *
add(const char *host, const char *node, int count, unsigned port)
{
    Alchw__AgentHello hello = ALCHW__AGENT_HELLO__INIT;
    Alchw__AgentSlot slot[8], *list[8];
    alchi_drv_node_t *added;
    int i;

    for (i = 0; i < count && i < 8; i++) {
        alchw__agent_slot__init(&slot[i]);
        slot[i].port = port ? port + (unsigned)i : 0;
        list[i] = &slot[i];
    }
    hello.host = (char *)host;
    hello.node = (char *)node;
    hello.n_slots = (size_t)count;
    hello.slots = list;
    hello.cores = 4;
    hello.memory = 1000;
    if ((added = alchi_drv_slots_add(&slots, &hello, "")))
        added->link = &anything;
    return added;
}

static void
teardown(void)
{
    alchi_drv_slots_fini(&slots);
}

START_TEST(nonsense_is_refused)
{
    ck_assert_ptr_null(add("a", "n", 0, 1));
    ck_assert_ptr_null(add("a", "n", 2, 0));
    ck_assert_ptr_null(add("a", "n", 2, 65535));
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 0);
}
END_TEST

START_TEST(numbers_go_on)
{
    alchi_drv_node_t *a = add("a", "na", 3, 24961), *b = add("b", "", 2, 24961);

    ck_assert_int_eq(a->slots[0].id, 1);
    ck_assert_int_eq(b->slots[1].id, 5);
    ck_assert_str_eq(b->node, "b");
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 5);
    ck_assert_int_eq(alchi_drv_slots_count(&slots, ALCH_WORKER_IDLE), 5);
    ck_assert_ptr_eq(alchi_drv_slots_find(&slots, 4), &b->slots[0]);
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 6));
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 0));
    b->link = NULL;
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 3);
    alchi_drv_slots_remove(&slots, b);
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 4));
}
END_TEST

START_TEST(one_node_is_preferred)
{
    alchi_drv_slot_t *chosen[8];
    alchi_drv_node_t *a = add("a", "na", 2, 100), *b = add("b", "nb", 4, 100);

    ck_assert(!alchi_drv_slots_choose(&slots, 7, NULL, chosen));
    ck_assert(alchi_drv_slots_choose(&slots, 3, NULL, chosen));
    ck_assert_ptr_eq(chosen[0], &b->slots[0]);
    ck_assert_ptr_eq(chosen[2], &b->slots[2]);
    ck_assert(alchi_drv_slots_choose(&slots, 2, NULL, chosen));
    ck_assert_ptr_eq(chosen[0], &a->slots[0]);
    b->slots[1].state = ALCH_WORKER_ACTIVE;
    ck_assert(alchi_drv_slots_choose(&slots, 5, NULL, chosen));
    ck_assert_ptr_eq(chosen[1], &a->slots[1]);
    ck_assert_ptr_eq(chosen[2], &b->slots[0]);
    ck_assert_ptr_eq(chosen[3], &b->slots[2]);
    ck_assert(!alchi_drv_slots_choose(&slots, 6, NULL, chosen));
}
END_TEST

START_TEST(wanted_slots_if_they_are_idle)
{
    alchi_drv_slot_t *chosen[2];
    alchi_drv_node_t *a = add("a", "na", 4, 100);
    int wanted[] = {2, 4};

    ck_assert(alchi_drv_slots_choose(&slots, 2, wanted, chosen));
    ck_assert_int_eq(chosen[0]->id, 2);
    ck_assert_int_eq(chosen[1]->id, 4);
    a->slots[3].state = ALCH_WORKER_RELEASING;
    ck_assert(alchi_drv_slots_choose(&slots, 2, wanted, chosen));
    ck_assert_int_eq(chosen[0]->id, 1);
}
END_TEST

START_TEST(mapping_says_who_shares_memory)
{
    alchi_drv_slot_t *chosen[6];
    char *text;

    add("a", "na", 2, 100);
    add("b", "nb", 2, 100);
    add("a", "na", 2, 200);
    ck_assert(alchi_drv_slots_choose(&slots, 6, NULL, chosen));
    text = alchi_drv_slots_mapping(chosen, 6);
    ck_assert_str_eq(text, "(vector,(0,1,2),(1,1,2),(0,1,2))");
    free(text);
    ck_assert(!alchi_drv_slots_same_node(chosen, 6));
    text = alchi_drv_slots_mapping(chosen, 2);
    ck_assert_str_eq(text, "(vector,(0,1,2))");
    free(text);
    ck_assert(alchi_drv_slots_same_node(chosen, 2));
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("slots");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, nonsense_is_refused);
    tcase_add_test(tcase, numbers_go_on);
    tcase_add_test(tcase, one_node_is_preferred);
    tcase_add_test(tcase, wanted_slots_if_they_are_idle);
    tcase_add_test(tcase, mapping_says_who_shares_memory);
    suite_add_tcase(suite, tcase);
}
