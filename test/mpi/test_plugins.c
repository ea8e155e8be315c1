/* procs: 1 2 3 5 7 */
/* Loading libraries and calling their operations, which use every service of plugin.h. */
#include "harness.h"

#include <errno.h>
#include <unistd.h>

static double
ramp(int64_t i, int64_t j, const void *context)
{
    (void)context;
    return (double)(i * 1000 + j);
}

static void
check_refusal(const char *name, int code, const char *part)
{
    Alchw__Library *library = NULL;

    CHECK_CODE(alchi_host_plugins_load(h.plugins, name, "", &library, &h.error), code);
    CHECK_TEXT(part);
    CHECK(library == NULL, "the result is written after a failure");
}

static void
libraries_that_do_not_fit_are_refused(void)
{
    check_refusal("", ALCH_EINVAL, "not a library's name");
    check_refusal("../plugins/hello", ALCH_EINVAL, "not a library's name");
    check_refusal("absent", ALCH_ENOENT, "hello");
    check_refusal("absent", ALCH_ENOENT, "test/plugins");
    check_refusal("wrongabi", ALCH_EPLUGIN, "ABI 2: this worker has ABI 1");
    check_refusal("wrongsize", ALCH_EPLUGIN, "this worker expects");
    check_refusal("wrongmpi", ALCH_EPLUGIN, "but this worker with MPICH");
    check_refusal("nosymbol", ALCH_EPLUGIN, "does not export alch_plugin()");
    check_refusal("badsignature", ALCH_EPLUGIN, "int65");
    check_refusal("misnamed", ALCH_EPLUGIN, "library 'another', but the client asked for 'misnamed'");
    check_refusal("openmpi1", ALCH_EPLUGIN, "openmpi1.so needs Open MPI (libmpi.so.40): this worker runs MPICH");
    check_refusal("openmpi2", ALCH_EPLUGIN, "openmpi2.so needs Open MPI (libmpi.so.40) through");
    check_refusal("openmpi2", ALCH_EPLUGIN, "openmpi_middle.so");
}

static void
a_path_outside_of_the_directories_is_refused(void)
{
    Alchw__Library *library = NULL;

    CHECK_CODE(alchi_host_plugins_load(h.plugins, "", "/no/such/file.so", &library, &h.error), ALCH_ENOENT);
    CHECK_CODE(alchi_host_plugins_load(h.plugins, "libm", "/etc/passwd", &library, &h.error), ALCH_EPERM);
    CHECK_TEXT("none of the listed directories");
    CHECK_TEXT("--plugin-dir");
}

static void
a_path_in_a_directory_is_loaded_if_the_name_fits(void)
{
    Alchw__Library *library = NULL;
    char *path = alchi_asprintf("%s/../plugins/hello.so", h.dirs[0]);

    CHECK_CODE(alchi_host_plugins_load(h.plugins, "other", path, &library, &h.error), ALCH_EPLUGIN);
    CHECK_CODE(alchi_host_plugins_load(h.plugins, "HELLO", path, &library, &h.error), ALCH_OK);
    CHECK(library && strcmp(library->name, "hello") == 0 && library->n_functions == 2, "its description");
    alchi_message_free(library);
    free(path);
}

static void
a_loaded_library_is_returned_again(void)
{
    for (int k = 0; k < 2; k++) {
        Alchw__Library *library = NULL;

        CHECK_CODE(alchi_host_plugins_load(h.plugins, "hello", "", &library, &h.error), ALCH_OK);
        alchi_message_free(library);
    }
}

static void
a_link_out_of_a_directory_is_refused(void)
{
    char *link = alchi_asprintf("%s/escape.so", h.dirs[1]);

    if (h.rank == 0)
        CHECK(unlink(link) == 0 || errno == ENOENT, "%s", link);
    if (h.rank == 0)
        CHECK(symlink("/etc/passwd", link) == 0, "%s", link);
    MPI_Barrier(MPI_COMM_WORLD);
    check_refusal("escape", ALCH_EPERM, "none of the listed directories");
    MPI_Barrier(MPI_COMM_WORLD);
    if (h.rank == 0)
        unlink(link);
    free(link);
}

static void
an_error_of_one_rank_is_the_error_of_all(void)
{
    alchi_host_plugins_env_t env = {
        .store = h.store, .comm = MPI_COMM_WORLD, .dirs = h.dirs, .dir_count = h.rank == h.size - 1 ? 0 : 2};
    alchi_host_plugins_t *plugins = alchi_host_plugins_create(&env);
    Alchw__Library *library = NULL;

    CHECK_CODE(alchi_host_plugins_load(plugins, "hello", "", &library, &h.error), ALCH_ENOENT);
    CHECK_TEXT("no directory is listed");
    CHECK(h.error.rank == h.size - 1, "the error is that of rank %d", h.error.rank);
    alchi_host_plugins_destroy(plugins);
}

static void
arguments_that_are_not_given_have_their_defaults(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("TestLib", "greet", &done), ALCH_OK);
    CHECK(done && done->n_results == 15 && done->n_matrices == 0, "all results");
    CHECK(result(done, "i64")->i[0] == -64000000000, "default of i64");
    CHECK(result(done, "u64")->u[0] == UINT64_MAX, "default of u64");
    CHECK(result(done, "c128")->d[0] == -1e300 && result(done, "c128")->d[1] == 2, "default of c128");
    CHECK(result(done, "c64")->d[0] == 1.5 && result(done, "c64")->d[1] == -2.5, "default of c64");
    CHECK(strcmp(result(done, "text")->s[0], "Gr\xc3\xbc\xc3\x9f Gott") == 0, "default of text");
    alchi_message_free(done);
}

static void
arguments_reach_the_operation_unchanged(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call("testlib", "greet", &done, arg_i("i8", -128), arg_i("i64", INT64_MIN), arg_d("f64", -0.1),
                    arg_s("name", "\xe4\xb8\x96\xe7\x95\x8c")),
               ALCH_OK);
    CHECK(result(done, "i8")->i[0] == -128 && result(done, "i64")->i[0] == INT64_MIN, "integers");
    CHECK(result(done, "f64")->d[0] == -0.1, "reals");
    CHECK(strcmp(result(done, "greeting")->s[0], "Hello, \xe4\xb8\x96\xe7\x95\x8c!") == 0, "UTF-8");
    alchi_message_free(done);
}

static void
an_integer_for_a_bool_is_refused(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call("testlib", "greet", &done, arg_i("b", 0)), ALCH_ETYPE);
}

static void
total_counts_each_entry_once_in_every_layout(void)
{
    alch_layout_t layouts[] = {ALCH_LAYOUT_DEFAULT, {ALCH_STAR_STAR, 0, 0, 0, 0}, {ALCH_MC_STAR, 0, 0, 0, 0}};
    Alchw__WorkerTaskDone *done = NULL;

    for (size_t k = 0; k < ALCHI_COUNT(layouts); k++) {
        uint64_t id = make_matrix(70, 3, ALCH_FLOAT64, &layouts[k], ramp, NULL);

        CHECK_CODE(call("hello", "total", &done, arg_m("A", id)), ALCH_OK);
        CHECK(result(done, "sum")->d[0] == 3 * 1000 * (69 * 70 / 2) + 70 * 3, "the sum in layout %zu", k);
        alchi_message_free(done);
        free_matrix(id);
    }
}

static void
total_refuses_other_types_and_unknown_matrices(void)
{
    Alchw__WorkerTaskDone *done = NULL;
    uint64_t id = make_matrix(5, 5, ALCH_INT32, NULL, ramp, NULL);

    CHECK_CODE(call("hello", "total", &done, arg_m("A", id)), ALCH_ETYPE);
    free_matrix(id);
    CHECK_CODE(call("hello", "total", &done, arg_m("A", 4711)), ALCH_ENOENT);
}

static void
hello_greets_the_world(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("hello", "hello", &done), ALCH_OK);
    CHECK(strstr(result(done, "greeting")->s[0], "Hello, world, from"), "the greeting");
    alchi_message_free(done);
}

static void
an_operation_without_results_succeeds(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("faults", "nothing", &done), ALCH_OK);
    alchi_message_free(done);
}

static void
ranks_that_fail_alone_keep_their_own_errors(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call("faults", "fail_all", &done, arg_s("text", "all of us")), ALCH_EFUNCTION);
    CHECK_TEXT("all of us");
    CHECK(h.error.rank == h.rank, "the error is that of rank %d", h.error.rank);
}

static void
ranks_that_agree_have_the_error_of_the_failed_rank(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call("faults", "fail_agreed", &done, arg_s("text", "agreed"), arg_i("rank", h.size - 1)), ALCH_ENUMERIC);
    CHECK(h.error.rank == h.size - 1 && strcmp(h.error.text, "agreed") == 0, "%d: %s", h.error.rank, h.error.text);
}

static void
an_operation_that_breaks_the_rules_fails(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("faults", "fail_unknown", &done), ALCH_EFUNCTION);
    CHECK_TEXT("returned 4711");
    CHECK_CODE(call0("faults", "misuse", &done), ALCH_EFUNCTION);
    CHECK_TEXT("no parameter 'absent'");
    CHECK_CODE(call0("faults", "bad_range", &done), ALCH_EFUNCTION);
    CHECK_TEXT("300");
}

static void
a_failed_operation_leaves_no_matrix(void)
{
    Alchw__WorkerTaskDone *done = NULL;
    alchi_store_part_t *part;
    uint64_t id = h.next_id; /* of its first result */

    CHECK_CODE(call0("faults", "fail_late", &done), ALCH_EFUNCTION);
    CHECK_CODE(alchi_store_acquire(h.store, id, &part, &h.error), ALCH_ENOENT);
}

static void
a_result_beyond_the_memory_limit_is_refused(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("faults", "huge_result", &done), ALCH_ELIMIT);
    CHECK_TEXT("--memory-limit");
}

static void
an_unknown_function_is_refused(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    CHECK_CODE(call0("faults", "absent", &done), ALCH_ENOENT);
}

static void
progress_is_reported_with_its_text(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    h.progress_calls = 0;
    CHECK_CODE(call("faults", "busy", &done, arg_d("seconds", 0.3)), ALCH_OK);
    CHECK(h.progress_calls >= 1, "%d progress calls in 0.3 s", h.progress_calls);
    CHECK(strstr(h.progress_text, "of 0.3 s"), "%s", h.progress_text);
    alchi_message_free(done);
}

static void
a_cancel_that_one_rank_has_seen_stops_all_ranks(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    atomic_store(&h.cancel, h.rank == h.size - 1);
    CHECK_CODE(call("faults", "busy", &done, arg_d("seconds", 60)), ALCH_ECANCELED);
    atomic_store(&h.cancel, false);
}

static void
lists_come_back_as_they_were(void)
{
    Alchw__WorkerTaskDone *done = NULL;
    Alchw__Value *ints = alchi_value_create(ALCH_TYPE_INT64, true);

    alchi_value_add_i(ints, -1);
    alchi_value_add_i(ints, 2);
    CHECK_CODE(call("faults", "lists", &done, alchi_named_create("ints", ints)), ALCH_OK);
    CHECK(result(done, "ints")->n_i == 2 && result(done, "ints")->i[0] == -1, "integers");
    CHECK(result(done, "reals")->n_d == 0 && result(done, "texts")->list, "empty lists");
    alchi_message_free(done);
}

static void
a_library_keeps_its_state_between_calls(void)
{
    Alchw__WorkerTaskDone *done = NULL;

    for (int64_t k = 1; k <= 2; k++) {
        CHECK_CODE(call0("faults", "count", &done), ALCH_OK);
        CHECK(result(done, "calls")->i[0] == k, "call %lld", (long long)k);
        alchi_message_free(done);
    }
}

/* Copy a matrix into the default layout, and compare all entries and the description of the result. */
static void
check_copy(alch_dtype_t dtype, const alch_layout_t *layout, int64_t m, int64_t n)
{
    Alchw__WorkerTaskDone *done = NULL;
    uint64_t id = make_matrix(m, n, dtype, layout, ramp, NULL), copy;
    int64_t m2 = 0, n2 = 0;
    double *all;
    int wrong = 0;

    CHECK_CODE(call("faults", "copy", &done, arg_m("A", id)), ALCH_OK);
    CHECK(done && done->n_matrices == 1, "one matrix");
    copy = done->matrices[0]->id;
    CHECK(done->matrices[0]->rows == m && done->matrices[0]->cols == n && done->matrices[0]->dtype == dtype &&
              result(done, "B")->u[0] == copy && strcmp(done->matrices[0]->name, "B") == 0,
          "its description");
    CHECK_CODE(alchi_store_check(h.store, copy, &h.error), ALCH_OK);
    all = gather(copy, &m2, &n2);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++)
            wrong += all[i + j * m] != ramp(i, j, NULL);
    CHECK(wrong == 0, "%d of %lld x %lld entries differ, %s from %s", wrong, (long long)m, (long long)n,
          alch_dtype_name(dtype), alch_dist_name(layout->dist));
    free(all);
    alchi_message_free(done);
    free_matrix(copy);
    free_matrix(id);
}

static void
a_copy_into_another_layout_has_equal_entries(void)
{
    static const int64_t shapes[][2] = {{0, 5}, {1, 1}, {3, 200}, {131, 67}};

    for (int dist = 0; dist <= ALCH_CIRC_CIRC; dist++) {
        alch_layout_t layout = {(alch_dist_t)dist, 0, 0, 0, 0};

        if (dist == ALCH_BLOCK_CYCLIC)
            layout = (alch_layout_t){ALCH_BLOCK_CYCLIC, 3, 5, h.size, 1};
        for (size_t k = 0; k < ALCHI_COUNT(shapes); k++)
            check_copy((alch_dtype_t)(1 + (dist + k) % 6), &layout, shapes[k][0], shapes[k][1]);
    }
    /* This matrix is larger than one tile of the exchange. */
    check_copy(ALCH_COMPLEX128, &(alch_layout_t){ALCH_VC_STAR, 0, 0, 0, 0}, 2001, 701);
}

int
main(int argc, char **argv)
{
    harness_init(&argc, &argv, INT64_C(1) << 30);
    libraries_that_do_not_fit_are_refused();
    a_path_outside_of_the_directories_is_refused();
    a_path_in_a_directory_is_loaded_if_the_name_fits();
    a_loaded_library_is_returned_again();
    a_link_out_of_a_directory_is_refused();
    an_error_of_one_rank_is_the_error_of_all();
    arguments_that_are_not_given_have_their_defaults();
    arguments_reach_the_operation_unchanged();
    an_integer_for_a_bool_is_refused();
    total_counts_each_entry_once_in_every_layout();
    total_refuses_other_types_and_unknown_matrices();
    hello_greets_the_world();
    an_operation_without_results_succeeds();
    ranks_that_fail_alone_keep_their_own_errors();
    ranks_that_agree_have_the_error_of_the_failed_rank();
    an_operation_that_breaks_the_rules_fails();
    a_failed_operation_leaves_no_matrix();
    a_result_beyond_the_memory_limit_is_refused();
    an_unknown_function_is_refused();
    progress_is_reported_with_its_text();
    a_cancel_that_one_rank_has_seen_stops_all_ranks();
    lists_come_back_as_they_were();
    a_library_keeps_its_state_between_calls();
    a_copy_into_another_layout_has_equal_entries();
    return harness_fini();
}
