/* The data server refuses payload that was damaged on the way, and adds checksums to blocks on request. */
#include "dataserver_rank.h"

#include "base/crc32c.h"

#define M 500
#define N 100
#define BYTES ((size_t)M * N * 8)
#define CHUNK ((size_t)100000) /* four frames */

static server_t server;
static alchi_channel_t *channel;
static alchi_store_part_t *part;
static uint8_t sent[BYTES], got[BYTES];

static void
setup(void)
{
    server = server_start((alchi_data_config_t){.threads = 1});
    alchi_log_init("test", ALCHI_LOG_ERROR);
    channel = client_open(&server);
    part = server_matrix(&server, 4, M, N, ALCH_FLOAT64);
    for (size_t k = 0; k < BYTES; k++)
        sent[k] = (uint8_t)(k * 2654435761u >> 11);
}

static void
teardown(void)
{
    alchi_store_release(server.store, part);
    alchi_channel_destroy(channel);
    server_stop(&server);
}

/* Write the whole part as one message with checksums. Bit 3 of the byte at `flip` changes on the way; -1: none does. */
static int
write_checked(uint64_t id, ssize_t flip)
{
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataWrite write = ALCHW__DATA_WRITE__INIT;
    int code = ALCH_OK;

    where.has_m = where.has_n = true;
    where.m = M, where.n = N;
    write.has_matrix = true;
    write.matrix = 4;
    write.rect = &where;
    for (size_t at = 0; at < BYTES && code == ALCH_OK; at += CHUNK) {
        alchi_frame_t frame = {
            .type = ALCHI_DATA_WRITE, .flags = ALCHI_FRAME_CHECK, .id = id, .payload = (uint32_t)CHUNK};
        bool hit = flip >= (ssize_t)at && flip < (ssize_t)(at + CHUNK);

        frame.flags |= at + CHUNK < BYTES ? ALCHI_FRAME_MORE : 0;
        frame.check = alchi_crc32c(0, sent + at, CHUNK);
        if (hit)
            sent[flip] ^= 8;
        code = send_frame(channel, &frame, at == 0 ? &write : NULL, sent + at);
        if (hit)
            sent[flip] ^= 8;
    }
    return code ? code : receive_answer(channel, id, ALCHI_DATA_ACK);
}

START_TEST(an_intact_write_is_written)
{
    unit_code(write_checked(1, -1), ALCH_OK);
    ck_assert_mem_eq(part->data, sent, BYTES);
    ck_assert_int_eq(count_written(part), M * N);
}
END_TEST

/* The damage is in the first byte, in the last, on both sides of a border between frames, and within a frame. */
START_TEST(a_damaged_write_is_refused)
{
    static const ssize_t flips[] = {0, CHUNK - 1, CHUNK, 2 * CHUNK + 4711, BYTES - 1};
    char sums[64];

    unit_code(write_checked(1, flips[_i]), ALCH_EDAMAGED);
    ck_assert_int_eq(err.rank, RANK);
    ck_assert_msg(strstr(err.text,
                         "matrix 4 (1000 x 100, float64): 500 x 100 entries from (500, 0) were damaged on the "
                         "way to worker rank 1: CRC32C "),
                  "%s", err.text);
    snprintf(sums, sizeof(sums), "CRC32C %08x was sent,",
             alchi_crc32c(0, sent + (size_t)flips[_i] / CHUNK * CHUNK, CHUNK));
    ck_assert_msg(strstr(err.text, sums), "%s is not in: %s", sums, err.text);
    ck_assert_int_eq(count_written(part), 0);
    unit_code(read_rect(channel, 2, 4, (alch_rect_t){0, 0, 1, 1}, got, 8), ALCH_EINCOMPLETE);
    unit_code(write_checked(3, -1), ALCH_OK);
    ck_assert_mem_eq(part->data, sent, BYTES);
    ck_assert_int_eq(count_written(part), M * N);
}
END_TEST

/* The documentation of alch_transfer_wait() promises this. */
START_TEST(a_damaged_rewrite_leaves_entries_written)
{
    unit_code(write_checked(1, -1), ALCH_OK);
    unit_code(write_checked(2, 12345), ALCH_EDAMAGED);
    ck_assert_int_eq(count_written(part), M * N);
    unit_code(write_checked(3, -1), ALCH_OK);
    unit_code(read_rect(channel, 4, 4, (alch_rect_t){0, 0, M, N}, got, BYTES), ALCH_OK);
    ck_assert_mem_eq(got, sent, BYTES);
}
END_TEST

/* Several messages are in flight before the first answer; each has its own answer. */
START_TEST(damage_refuses_only_its_own_message)
{
    alch_rect_t column = {0, 0, M, 1};

    for (uint64_t id = 1; id <= 6; id++) {
        Alchw__Rect where = ALCHW__RECT__INIT;
        Alchw__DataWrite write = ALCHW__DATA_WRITE__INIT;
        alchi_frame_t frame = {.type = ALCHI_DATA_WRITE, .flags = ALCHI_FRAME_CHECK, .id = id, .payload = M * 8};

        where.has_j = where.has_m = where.has_n = write.has_matrix = true;
        where.j = (int64_t)id, where.m = M, where.n = 1;
        write.matrix = 4;
        write.rect = &where;
        frame.check = alchi_crc32c(0, sent, M * 8) ^ (id == 3);
        unit_code(send_frame(channel, &frame, &write, sent), ALCH_OK);
    }
    for (uint64_t id = 1; id <= 6; id++) {
        unit_code(receive_answer(channel, id, ALCHI_DATA_ACK), id == 3 ? ALCH_EDAMAGED : ALCH_OK);
        column.j = (int64_t)id;
        unit_code(alchi_store_check_written(server.store, part, &column, &err), id == 3 ? ALCH_EINCOMPLETE : ALCH_OK);
    }
}
END_TEST

/* Frames of a block have a checksum if the request asks for it, and only then. */
START_TEST(blocks_have_checksums_on_request_only)
{
    Alchw__Rect where = ALCHW__RECT__INIT;
    Alchw__DataRead read = ALCHW__DATA_READ__INIT;
    const alch_rect_t rects[] = {{0, 0, M, N}, {3, 5, 300, 90}, {7, 0, 5, N}};
    bool more = true;

    unit_code(write_checked(1, -1), ALCH_OK);
    where.has_i = where.has_j = where.has_m = where.has_n = read.has_matrix = read.has_check = true;
    where.i = rects[_i / 2].i, where.j = rects[_i / 2].j, where.m = rects[_i / 2].m, where.n = rects[_i / 2].n;
    read.matrix = 4;
    read.rect = &where;
    read.check = _i % 2;
    unit_code(alchi_channel_send(channel, ALCHI_DATA_READ, 0, 2, &read), ALCH_OK);
    while (more) {
        ProtobufCMessage *message = NULL;
        alchi_frame_t frame;
        size_t done = 0;

        unit_code(alchi_channel_receive_by(channel, alchi_deadline_in_ms(WAIT_MS), &frame, &message), ALCH_OK);
        alchi_message_free(message);
        ck_assert_int_eq(frame.type, ALCHI_DATA_BLOCK);
        ck_assert_int_eq(!!(frame.flags & ALCHI_FRAME_CHECK), _i % 2);
        while (done < frame.payload) {
            ssize_t n = alchi_channel_read_payload(channel, got + done, frame.payload - done);

            ck_assert_int_ge(n, 0);
            if (n == 0)
                unit_code(alchi_stream_wait(alchi_channel_stream(channel), POLLIN, alchi_deadline_in_ms(WAIT_MS)),
                          ALCH_OK);
            done += (size_t)n;
        }
        ck_assert_uint_eq(frame.check, _i % 2 ? alchi_crc32c(0, got, done) : 0);
        ck_assert_uint_eq(alchi_channel_payload_sum(channel), frame.check);
        more = frame.flags & ALCHI_FRAME_MORE;
    }
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("checksum");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_intact_write_is_written);
    tcase_add_loop_test(tcase, a_damaged_write_is_refused, 0, 5);
    tcase_add_test(tcase, a_damaged_rewrite_leaves_entries_written);
    tcase_add_test(tcase, damage_refuses_only_its_own_message);
    tcase_add_loop_test(tcase, blocks_have_checksums_on_request_only, 0, 6);
    suite_add_tcase(suite, tcase);
}
