/* Slots: the numbers that they get, and which ones a group gets. */
#include "unit.h"
#include "driver/slots.h"
#include <stdlib.h>

#define NODE_SLOTS_MAX 8

/* Add a node that is connected. @param port  of its first slot; 0: no slot has a port
 * @return NULL: the hello was refused */
static alchi_drv_node_t *
add_node(alchi_drv_slots_t *slots, const char *host, const char *node, int count, unsigned port)
{
    Alchw__AgentHello hello = ALCHW__AGENT_HELLO__INIT;
    Alchw__AgentSlot slot[NODE_SLOTS_MAX], *list[NODE_SLOTS_MAX];
    alchi_drv_node_t *added;

    ck_assert_int_le(count, NODE_SLOTS_MAX);
    for (int i = 0; i < count; i++) {
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
    if ((added = alchi_drv_slots_add(slots, &hello, "")))
        added->link = slots; /* any pointer but NULL: the slots never use the link */
    return added;
}

START_TEST(invalid_hellos_are_refused)
{
    alchi_drv_slots_t slots = {NULL};

    ck_assert_ptr_null(add_node(&slots, "a", "n", 0, 1));
    ck_assert_ptr_null(add_node(&slots, "a", "n", 2, 0));
    ck_assert_ptr_null(add_node(&slots, "a", "n", 2, 65535)); /* the second port is above the maximum */
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 0);
}
END_TEST

/* ---- numbers ---- */

START_TEST(slots_are_numbered_over_all_nodes)
{
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *a = add_node(&slots, "a", "na", 3, 24961), *b = add_node(&slots, "b", "nb", 2, 24961);

    ck_assert_int_eq(a->slots[0].id, 1);
    ck_assert_int_eq(b->slots[1].id, 5);
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 5);
    ck_assert_int_eq(alchi_drv_slots_count(&slots, ALCH_WORKER_IDLE), 5);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(node_without_a_name_has_the_name_of_its_host)
{
    alchi_drv_slots_t slots = {NULL};

    ck_assert_str_eq(add_node(&slots, "b", "", 2, 24961)->node, "b");
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(slots_are_found_by_their_numbers)
{
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *b;

    add_node(&slots, "a", "na", 3, 24961);
    b = add_node(&slots, "b", "nb", 2, 24961);
    ck_assert_ptr_eq(alchi_drv_slots_find(&slots, 4), &b->slots[0]);
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 6));
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 0));
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(slots_of_a_node_without_a_connection_do_not_count)
{
    alchi_drv_slots_t slots = {NULL};

    add_node(&slots, "a", "na", 3, 24961);
    add_node(&slots, "b", "nb", 2, 24961)->link = NULL;
    ck_assert_int_eq(alchi_drv_slots_total(&slots), 3);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(slots_of_a_removed_node_are_not_found)
{
    alchi_drv_slots_t slots = {NULL};

    add_node(&slots, "a", "na", 3, 24961);
    alchi_drv_slots_remove(&slots, add_node(&slots, "b", "nb", 2, 24961));
    ck_assert_ptr_null(alchi_drv_slots_find(&slots, 4));
    alchi_drv_slots_fini(&slots);
}
END_TEST

/* ---- the choice of slots ---- */

START_TEST(first_node_that_has_enough_slots_is_chosen)
{
    alchi_drv_slot_t *chosen[NODE_SLOTS_MAX];
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *a = add_node(&slots, "a", "na", 2, 100), *b = add_node(&slots, "b", "nb", 4, 100);

    ck_assert(alchi_drv_slots_choose(&slots, 3, NULL, chosen));
    ck_assert_ptr_eq(chosen[0], &b->slots[0]);
    ck_assert_ptr_eq(chosen[2], &b->slots[2]);
    ck_assert(alchi_drv_slots_choose(&slots, 2, NULL, chosen));
    ck_assert_ptr_eq(chosen[0], &a->slots[0]);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(idle_slots_of_one_node_after_the_other_are_chosen)
{
    alchi_drv_slot_t *chosen[NODE_SLOTS_MAX];
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *a = add_node(&slots, "a", "na", 2, 100), *b = add_node(&slots, "b", "nb", 4, 100);

    b->slots[1].state = ALCH_WORKER_ACTIVE;
    ck_assert(alchi_drv_slots_choose(&slots, 5, NULL, chosen));
    ck_assert_ptr_eq(chosen[1], &a->slots[1]);
    ck_assert_ptr_eq(chosen[2], &b->slots[0]);
    ck_assert_ptr_eq(chosen[3], &b->slots[2]);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(more_slots_than_are_idle_are_not_chosen)
{
    alchi_drv_slot_t *chosen[NODE_SLOTS_MAX];
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *b;

    add_node(&slots, "a", "na", 2, 100);
    b = add_node(&slots, "b", "nb", 4, 100);
    ck_assert(!alchi_drv_slots_choose(&slots, 7, NULL, chosen));
    b->slots[1].state = ALCH_WORKER_ACTIVE;
    ck_assert(!alchi_drv_slots_choose(&slots, 6, NULL, chosen));
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(preferred_slots_are_chosen_if_they_are_idle)
{
    const int preferred[] = {2, 4};
    alchi_drv_slot_t *chosen[2];
    alchi_drv_slots_t slots = {NULL};

    add_node(&slots, "a", "na", 4, 100);
    ck_assert(alchi_drv_slots_choose(&slots, 2, preferred, chosen));
    ck_assert_int_eq(chosen[0]->id, 2);
    ck_assert_int_eq(chosen[1]->id, 4);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(other_slots_are_chosen_if_a_preferred_one_is_not_idle)
{
    const int preferred[] = {2, 4};
    alchi_drv_slot_t *chosen[2];
    alchi_drv_slots_t slots = {NULL};
    alchi_drv_node_t *a = add_node(&slots, "a", "na", 4, 100);

    a->slots[3].state = ALCH_WORKER_RELEASING;
    ck_assert(alchi_drv_slots_choose(&slots, 2, preferred, chosen));
    ck_assert_int_eq(chosen[0]->id, 1);
    alchi_drv_slots_fini(&slots);
}
END_TEST

/* ---- shared memory ---- */

/* Two slots on node "na", two on "nb", and two more on "na". */
static void
choose_slots_on_two_nodes(alchi_drv_slots_t *slots, alchi_drv_slot_t *chosen[6])
{
    add_node(slots, "a", "na", 2, 100);
    add_node(slots, "b", "nb", 2, 100);
    add_node(slots, "a", "na", 2, 200);
    ck_assert(alchi_drv_slots_choose(slots, 6, NULL, chosen));
}

START_TEST(mapping_gives_agents_on_one_node_the_same_number)
{
    alchi_drv_slot_t *chosen[6];
    alchi_drv_slots_t slots = {NULL};
    char *text;

    choose_slots_on_two_nodes(&slots, chosen);
    text = alchi_drv_slots_mapping(chosen, 6);
    ck_assert_str_eq(text, "(vector,(0,1,2),(1,1,2),(0,1,2))");
    free(text);
    text = alchi_drv_slots_mapping(chosen, 2);
    ck_assert_str_eq(text, "(vector,(0,1,2))");
    free(text);
    alchi_drv_slots_fini(&slots);
}
END_TEST

START_TEST(only_slots_on_one_node_share_memory)
{
    alchi_drv_slot_t *chosen[6];
    alchi_drv_slots_t slots = {NULL};

    choose_slots_on_two_nodes(&slots, chosen);
    ck_assert(!alchi_drv_slots_same_node(chosen, 6));
    ck_assert(alchi_drv_slots_same_node(chosen, 2));
    alchi_drv_slots_fini(&slots);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("slots");

    tcase_add_test(tcase, invalid_hellos_are_refused);
    tcase_add_test(tcase, slots_are_numbered_over_all_nodes);
    tcase_add_test(tcase, node_without_a_name_has_the_name_of_its_host);
    tcase_add_test(tcase, slots_are_found_by_their_numbers);
    tcase_add_test(tcase, slots_of_a_node_without_a_connection_do_not_count);
    tcase_add_test(tcase, slots_of_a_removed_node_are_not_found);
    tcase_add_test(tcase, first_node_that_has_enough_slots_is_chosen);
    tcase_add_test(tcase, idle_slots_of_one_node_after_the_other_are_chosen);
    tcase_add_test(tcase, more_slots_than_are_idle_are_not_chosen);
    tcase_add_test(tcase, preferred_slots_are_chosen_if_they_are_idle);
    tcase_add_test(tcase, other_slots_are_chosen_if_a_preferred_one_is_not_idle);
    tcase_add_test(tcase, mapping_gives_agents_on_one_node_the_same_number);
    tcase_add_test(tcase, only_slots_on_one_node_share_memory);
    suite_add_tcase(suite, tcase);
}
