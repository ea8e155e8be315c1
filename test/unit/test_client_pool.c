/* Data connections: transfers and session handles share them, and the pool closes the idle ones. */
#include "client_world.h"

static const double column[100]; /* the matrix's data */

/* Start 2 workers and write a 100 x 1 matrix, half of it to each.
 * @param idle_timeout_ms  of the workers; 0: their default */
static void
world_start_and_write(world_t *world, int idle_timeout_ms)
{
    const alch_layout_t spec = {ALCH_VC_STAR, 0, 0, 0, 0};

    world_start_with_timeout(world, 2, idle_timeout_ms);
    world_matrix(world, 100, 1, ALCH_FLOAT64, &spec);
    unit_code(alch_matrix_write(world->handle, NULL, column, 1, 100, &err), ALCH_OK);
}

typedef struct {
    const world_t *world;
    int first, second;
} expected_connections_t;

static bool
has_connections(void *context)
{
    const expected_connections_t *expected = context;

    return alchi_data_server_connections(expected->world->servers[0]) == expected->first &&
           alchi_data_server_connections(expected->world->servers[1]) == expected->second;
}

/* Wait until the two workers have this many connections: they notice the end of one a little late. */
static void
expect_connections(const world_t *world, int first, int second)
{
    expected_connections_t expected = {world, first, second};

    unit_wait_for(has_connections, &expected, 10000);
}

START_TEST(transfers_use_the_same_connections_again)
{
    world_t world;

    world_start_and_write(&world, 0);
    for (int k = 0; k < 10; k++)
        unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    ck_assert_int_eq(alchi_data_server_connections(world.servers[0]), 1);
    ck_assert_int_eq(alchi_data_server_connections(world.servers[1]), 1);
    world_stop(&world);
}
END_TEST

/* Another session handle with the id and the key of world's. */
typedef struct {
    peer_t peer;
    alch_session_t *session;
    alch_matrix_t *handle;
} other_t;

static void
other_start(other_t *other, world_t *world)
{
    peer_start(&other->peer, answer_driver, world);
    other->session = peer_session(&other->peer);
    unit_code(alch_matrix_open(other->session, world->matrix.id, &other->handle, &err), ALCH_OK);
}

static void
other_stop(other_t *other)
{
    alch_matrix_destroy(other->handle);
    alch_session_destroy(other->session);
    peer_join(&other->peer);
}

START_TEST(handles_of_one_session_share_connections)
{
    other_t others[2];
    world_t world;

    world_start_and_write(&world, 0);
    for (int k = 0; k < 2; k++)
        other_start(&others[k], &world);
    for (int k = 0; k < 4; k++)
        unit_code(alch_matrix_write(others[k % 2].handle, NULL, column, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    for (int k = 0; k < 2; k++)
        other_stop(&others[k]);
    world_stop(&world);
}
END_TEST

START_TEST(session_with_another_key_gets_no_connection)
{
    other_t other;
    world_t world;

    world_start_and_write(&world, 0);
    other_start(&other, &world);
    other.session->key[0] ^= 1;
    unit_code(alch_matrix_write(other.handle, NULL, column, 1, 100, &err), ALCH_EAUTH);
    expect_connections(&world, 1, 1);
    other_stop(&other);
    world_stop(&world);
}
END_TEST

START_TEST(only_the_last_handle_closes_shared_connections)
{
    other_t other;
    world_t world;

    world_start_and_write(&world, 0);
    other_start(&other, &world);
    unit_code(alch_matrix_write(other.handle, NULL, column, 1, 100, &err), ALCH_OK);
    alchi_cli_pool_close_idle(world.session->pool);
    expect_connections(&world, 1, 1);
    other_stop(&other);
    expect_connections(&world, 1, 1);
    unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    alchi_cli_pool_close_idle(world.session->pool);
    expect_connections(&world, 0, 0);
    world_stop(&world);
}
END_TEST

START_TEST(connections_idle_for_too_long_are_closed_at_the_next_use)
{
    const alch_rect_t corner = {0, 0, 1, 1};
    world_t world;

    world_start_and_write(&world, 0);
    world.session->options.idle_timeout_ms = 30;
    unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    usleep(60000); /* longer than idle_timeout_ms */
    unit_code(alch_matrix_write(world.handle, &corner, column, 1, 1, &err), ALCH_OK);
    expect_connections(&world, 1, 0);
    world_stop(&world);
}
END_TEST

START_TEST(without_an_idle_timeout_no_connection_is_kept)
{
    world_t world;

    world_start_and_write(&world, 0);
    world.session->options.idle_timeout_ms = 0;
    unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 0, 0);
    world_stop(&world);
}
END_TEST

START_TEST(transfers_work_after_the_workers_closed_idle_connections)
{
    world_t world;

    world_start_and_write(&world, 300);
    world.session->options.idle_timeout_ms = 60000;
    for (int k = 0; k < 2; k++) {
        unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
        expect_connections(&world, 0, 0);
    }
    world_stop(&world);
}
END_TEST

/* After a second the client asks with a PING first, and later uses the connection without one. */
START_TEST(connection_that_was_idle_for_a_second_is_used_again)
{
    world_t world;

    world_start_and_write(&world, 0);
    usleep(1050000);
    unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    unit_code(alch_matrix_write(world.handle, NULL, column, 1, 100, &err), ALCH_OK);
    expect_connections(&world, 1, 1);
    world_stop(&world);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("pool");

    tcase_add_test(tcase, transfers_use_the_same_connections_again);
    tcase_add_test(tcase, handles_of_one_session_share_connections);
    tcase_add_test(tcase, session_with_another_key_gets_no_connection);
    tcase_add_test(tcase, only_the_last_handle_closes_shared_connections);
    tcase_add_test(tcase, connections_idle_for_too_long_are_closed_at_the_next_use);
    tcase_add_test(tcase, without_an_idle_timeout_no_connection_is_kept);
    tcase_add_test(tcase, transfers_work_after_the_workers_closed_idle_connections);
    tcase_add_test(tcase, connection_that_was_idle_for_a_second_is_used_again);
    suite_add_tcase(suite, tcase);
}
