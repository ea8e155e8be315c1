/* Ranks of a new group read their parts from the data servers of an old group: every pair of layouts, complete matrices
 * or not, and the errors of the old group. */
#include "base/log.h"
#include "net/address.h"
#include "unit.h"
#include "dataserver/dataserver.h"
#include "worker/migrate.h"
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define RANKS 5
#define SESSION 4
#define GROUP 9
#define MATRIX 7
#define VERSION 3

typedef struct {
    alchi_store_t *store;
    alchi_data_server_t *data;
    alchi_data_config_t config;
    int port;
} server_t;

static server_t servers[RANKS];
static int server_count;
static const uint8_t control_key[ALCHI_KEY_SIZE] = {5, 4, 3};
static atomic_bool cancel;
static double fraction;

static void
start_server(server_t *server, int rank, int size)
{
    alchi_address_t address = {"127.0.0.1", 0};
    alch_error_t err;

    *server = (server_t){.store = alchi_store_create(rank, size, 0)};
    server->config = (alchi_data_config_t){.store = server->store, .session = SESSION, .group = GROUP, .rank = rank};
    memset(server->config.key, 100 + rank, sizeof(server->config.key));
    unit_code(alchi_bind(&address, &server->config.listen_fd, &err), ALCH_OK);
    unit_code(alchi_data_server_start(&server->config, &server->data, &server->port, &err), ALCH_OK);
}

static void
start_servers(int size)
{
    alchi_log_init("test", ALCHI_LOG_ERROR);
    atomic_store(&cancel, false);
    for (server_count = 0; server_count < size; server_count++)
        start_server(&servers[server_count], server_count, size);
}

static void
stop_servers(void)
{
    while (server_count > 0) {
        server_t *server = &servers[--server_count];

        alchi_data_server_stop(server->data);
        close(server->config.listen_fd);
        alchi_store_destroy(server->store);
    }
}

typedef struct {
    int64_t m, n;
    alch_dtype_t dtype;
    alch_layout_t layout;
} matrix_t;

/* A byte of entry (i, j). */
static uint8_t
byte_of_entry(int64_t i, int64_t j, size_t byte)
{
    return (uint8_t)(i * 31 + j * 7 + (int64_t)byte * 3 + 1);
}

/* Whether entry (i, j) is written, in runs of 1 to 5 rows. density 0: none; 1: one in four; 2: the same; 3: all */
static bool
is_written(int64_t i, int64_t j, int density)
{
    return (uint64_t)(i / (1 + j % 5) * 2654435761u + j * 40503u) >> 5 & 3 ? density > 2 : density > 0;
}

static alchi_store_part_t *
reserve_part(alchi_store_t *store, const matrix_t *matrix)
{
    alchi_store_part_t *part = NULL;
    alch_error_t err;

    unit_code(alchi_store_reserve(store, MATRIX, matrix->m, matrix->n, matrix->dtype, &matrix->layout, "", &part, &err),
              ALCH_OK);
    alchi_store_part_set_version(part, VERSION);
    return part;
}

static void
write_part(server_t *server, const matrix_t *matrix, int density)
{
    alchi_store_part_t *part = reserve_part(server->store, matrix);
    alch_error_t err;
    int failed = 0;

    for (int64_t j = 0; j < part->local_n; j++)
        for (int64_t i = 0; i < part->local_m; i++) {
            int64_t row = alchi_axis_global(&part->rows, i), col = alchi_axis_global(&part->cols, j);
            uint8_t *entry = (uint8_t *)part->data + (size_t)(i + j * part->lld) * part->entry;

            if (!is_written(row, col, density))
                continue;
            for (size_t byte = 0; byte < part->entry; byte++)
                entry[byte] = byte_of_entry(row, col, byte);
            failed += alchi_store_mark_written(server->store, part, &(alch_rect_t){i, j, 1, 1}, &err) != ALCH_OK;
        }
    ck_assert_int_eq(failed, 0);
    alchi_store_release(server->store, part);
}

static void
check_part(alchi_store_t *store, alchi_store_part_t *part, int density)
{
    int wrong = 0;

    for (int64_t j = 0; j < part->local_n; j++)
        for (int64_t i = 0; i < part->local_m; i++) {
            int64_t row = alchi_axis_global(&part->rows, i), col = alchi_axis_global(&part->cols, j);
            const uint8_t *entry = (uint8_t *)part->data + (size_t)(i + j * part->lld) * part->entry;
            bool there = alchi_store_check_written(store, part, &(alch_rect_t){i, j, 1, 1}, NULL) == ALCH_OK;

            wrong += there != is_written(row, col, density);
            for (size_t byte = 0; there && byte < part->entry; byte++)
                wrong += entry[byte] != byte_of_entry(row, col, byte);
        }
    ck_assert_int_eq(wrong, 0);
}

static void
note_fraction(void *context, double now)
{
    (void)context;
    ck_assert(now > fraction && now <= 1);
    fraction = now;
}

/* Read the part of rank `rank` of the new group. */
static int
migrate_part(alchi_store_t *store, int rank, const matrix_t *matrix, bool complete, int timeout_ms, int64_t limit,
             alch_error_t *err)
{
    const alchi_rank_migrate_env_t env = {.store = store,
                                          .driver_address = "127.0.0.1:24960",
                                          .control_key = control_key,
                                          .session = SESSION,
                                          .name = "reader",
                                          .rank = rank,
                                          .message_limit = limit,
                                          .io_timeout_ms = timeout_ms};
    const alchi_rank_migrate_watch_t watch = {&cancel, note_fraction, NULL};
    Alchw__WorkerFetch request = ALCHW__WORKER_FETCH__INIT;
    Alchw__Matrix message = ALCHW__MATRIX__INIT;
    Alchw__Layout layout = ALCHW__LAYOUT__INIT;
    Alchw__Source sources[RANKS], *list[RANKS];
    uint8_t keys[RANKS][ALCHI_KEY_SIZE];

    for (int k = 0; k < server_count; k++) {
        alchw__source__init(&sources[k]);
        alchi_key_wrap(control_key, GROUP, k, servers[k].config.key, keys[k]);
        sources[k].port = (uint32_t)servers[k].port;
        sources[k].slot = (uint32_t)k + 1;
        sources[k].address = (char *)(k % 2 ? "127.0.0.1" : "");
        sources[k].key = (ProtobufCBinaryData){ALCHI_KEY_SIZE, keys[k]};
        list[k] = &sources[k];
    }
    layout.dist = (uint32_t)matrix->layout.dist;
    layout.mb = matrix->layout.mb;
    layout.nb = matrix->layout.nb;
    message.id = MATRIX;
    message.rows = matrix->m;
    message.cols = matrix->n;
    message.dtype = (uint32_t)matrix->dtype;
    message.layout = &layout;
    message.workers = (uint32_t)server_count;
    message.group = GROUP;
    message.version = VERSION;
    request.matrix = &message;
    request.complete = complete;
    request.n_sources = (size_t)server_count;
    request.sources = list;
    fraction = 0;
    return alchi_rank_migrate(&env, &request, &watch, err);
}

/* Read a matrix as each rank of a new group does, and check the entries. */
static void
migrate_to_group(const matrix_t *from, const matrix_t *to, int workers, int density)
{
    alch_error_t err;

    for (int rank = 0; rank < workers; rank++) {
        alchi_store_t *store = alchi_store_create(rank, workers, 0);
        alchi_store_part_t *part = reserve_part(store, to);
        int code = migrate_part(store, rank, from, density > 2, 10000, rank % 2 ? 1000 : 0, &err);

        ck_assert_msg(code == ALCH_OK, "%s", err.text);
        check_part(store, part, density);
        ck_assert(part->local_m * part->local_n == 0 || fraction == 1);
        if (density > 2)
            unit_code(alchi_store_check(store, MATRIX, &err), ALCH_OK);
        alchi_store_release(store, part);
        alchi_store_destroy(store);
    }
}

static const alch_layout_t layouts[] = {
    {ALCH_BLOCK_CYCLIC, 0, 0, 0, 0}, {ALCH_BLOCK_CYCLIC, 5, 3, 0, 0}, {ALCH_BLOCK_CYCLIC, 1, 1, 0, 0},
    {ALCH_MC_MR, 0, 0, 0, 0},        {ALCH_VC_STAR, 0, 0, 0, 0},      {ALCH_STAR_VC, 0, 0, 0, 0},
    {ALCH_STAR_STAR, 0, 0, 0, 0},    {ALCH_MC_STAR, 0, 0, 0, 0},      {ALCH_CIRC_CIRC, 0, 0, 0, 0}};

#define LAYOUTS ((int)(sizeof(layouts) / sizeof(layouts[0])))

/* From 1..5 to 1..4 workers. Each layout of the old group is combined with every second one of the new group. */
START_TEST(every_pair_of_layouts_moves_the_written_entries)
{
    const alch_dtype_t dtypes[] = {ALCH_FLOAT64, ALCH_FLOAT32, ALCH_COMPLEX128, ALCH_COMPLEX64, ALCH_INT64, ALCH_INT32};
    const int size = 1 + _i % RANKS, density = _i / RANKS % 4;

    for (int k = 0; k < LAYOUTS; k++) {
        matrix_t from = {17 + k, 23 - k, dtypes[k % 6], layouts[k]}, to = from;

        start_servers(size);
        for (int rank = 0; rank < size; rank++)
            write_part(&servers[rank], &from, density);
        for (int l = k % 2; l < LAYOUTS; l += 2) {
            to.layout = layouts[l];
            migrate_to_group(&from, &to, 1 + (k + l) % 4, density);
        }
        stop_servers();
    }
}
END_TEST

/* Columns so long that a message has several frames. */
START_TEST(long_columns_arrive_complete)
{
    const matrix_t from = {300001, 2, ALCH_FLOAT64, {ALCH_STAR_VC, 0, 0, 0, 0}};
    const matrix_t to = {300001, 2, ALCH_FLOAT64, {_i ? ALCH_STAR_VR : ALCH_BLOCK_CYCLIC, 0, 0, 0, 0}};

    start_servers(2);
    for (int rank = 0; rank < 2; rank++) {
        alchi_store_part_t *part = reserve_part(servers[rank].store, &from);

        for (int64_t k = 0; k < part->local_m * part->local_n * 8; k++)
            ((uint8_t *)part->data)[k] = byte_of_entry(
                k / 8 % part->local_m, alchi_axis_global(&part->cols, k / 8 / part->local_m), (size_t)(k % 8));
        alchi_store_part_mark_written(part);
        alchi_store_release(servers[rank].store, part);
    }
    migrate_to_group(&from, &to, 3, 3);
    stop_servers();
}
END_TEST

static void
check_refusal(int code, const char *text, const matrix_t *matrix, bool complete)
{
    alchi_store_t *store = alchi_store_create(0, 1, 0);
    alchi_store_part_t *part = reserve_part(store, matrix);
    alch_error_t err = {0};

    unit_code(migrate_part(store, 0, matrix, complete, 300, 0, &err), code);
    unit_contains(err.text, text);
    alchi_store_release(store, part);
    alchi_store_destroy(store);
}

static const matrix_t matrix = {40, 30, ALCH_FLOAT64, {ALCH_VC_STAR, 0, 0, 0, 0}};

/* Start 2 servers that have some entries of `matrix`. */
static void
start_incomplete_group(void)
{
    start_servers(2);
    for (int rank = 0; rank < 2; rank++)
        write_part(&servers[rank], &matrix, 1);
}

START_TEST(a_matrix_that_the_old_group_lacks_is_not_found)
{
    start_servers(2);
    check_refusal(ALCH_ENOENT, "worker 1 at 127.0.0.1", &matrix, true);
    stop_servers();
}
END_TEST

START_TEST(a_matrix_that_must_be_complete_but_is_not_is_refused)
{
    start_incomplete_group();
    check_refusal(ALCH_EINCOMPLETE, "are not written", &matrix, true);
    stop_servers();
}
END_TEST

START_TEST(a_cancel_ends_the_migration)
{
    start_incomplete_group();
    atomic_store(&cancel, true);
    check_refusal(ALCH_ECANCELED, "canceled", &matrix, false);
    stop_servers();
}
END_TEST

START_TEST(a_worker_with_another_key_is_refused_by_name)
{
    start_incomplete_group();
    servers[0].config.key[3] ^= 1;
    check_refusal(ALCH_EAUTH, "worker 1 at 127.0.0.1", &matrix, false);
    servers[0].config.key[3] ^= 1;
    stop_servers();
}
END_TEST

START_TEST(a_worker_that_has_ended_is_named)
{
    start_incomplete_group();
    alchi_data_server_stop(servers[1].data);
    close(servers[1].config.listen_fd);
    check_refusal(ALCH_ECONNECT, "worker 2 at 127.0.0.1", &matrix, false);
    alchi_store_destroy(servers[1].store);
    server_count = 1;
    stop_servers();
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tests = tcase_create("migrate");

    tcase_add_loop_test(tests, every_pair_of_layouts_moves_the_written_entries, 0, 20);
    tcase_add_loop_test(tests, long_columns_arrive_complete, 0, 2);
    tcase_add_test(tests, a_matrix_that_the_old_group_lacks_is_not_found);
    tcase_add_test(tests, a_matrix_that_must_be_complete_but_is_not_is_refused);
    tcase_add_test(tests, a_cancel_ends_the_migration);
    tcase_add_test(tests, a_worker_with_another_key_is_refused_by_name);
    tcase_add_test(tests, a_worker_that_has_ended_is_named);
    suite_add_tcase(suite, tests);
}
