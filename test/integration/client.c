/* A client in C: it connects, sends a matrix, calls truncated_svd on the workers, and fetches and checks the result.
 * Build it against the installed tree: cc client.c $(pkg-config --cflags --libs alchemist-client) -lm */
#include <alchemist/alchemist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS 300
#define COLS 40
#define RANK 5

static alch_error_t err;

/* End the program with `code` unless it is ALCH_OK. */
static void
check(int code, const char *what)
{
    if (code == ALCH_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, alch_errname(code), err.text);
    exit(code);
}

/* End the program unless a call failed as it should. */
static void
expect(int code, int expected, const char *what)
{
    if (code == expected)
        return;
    fprintf(stderr, "%s: the code is %d, not %d\n", what, code, expected);
    exit(1);
}

/* A matrix in C order whose singular values are 1, 2, ..., COLS. */
static double *
make_matrix(void)
{
    double *a = calloc(ROWS * COLS, sizeof(*a));

    for (int j = 0; a && j < COLS; j++)
        a[(7 * j % ROWS) * COLS + j] = j + 1;
    return a;
}

int
main(void)
{
    double *a = make_matrix(), s[RANK];
    alch_session_t *session;
    alch_library_t *library;
    alch_matrix_t *matrix, *result;
    alch_values_t *args = alch_values_create();
    alch_task_t *task;

    check(a && args ? ALCH_OK : ALCH_ENOMEM, "memory");
    check(alch_session_open(NULL, &session, &err), "connect");
    check(alch_session_request_workers(session, 3, 30000, &err), "request workers");
    check(alch_library_load(session, "testlib", NULL, 30000, &library, &err), "load library");
    check(alch_matrix_create(session, ROWS, COLS, ALCH_FLOAT64, NULL, "A", &matrix, &err), "create");
    check(alch_matrix_write(matrix, NULL, a, COLS, 1, &err), "send");

    check(alch_values_set_matrix(args, "A", alch_matrix_id(matrix)), "argument A");
    check(alch_values_set_int(args, "rank", RANK), "argument rank");
    check(alch_task_submit(session, alch_library_name(library), "truncated_svd", args, 0, &task, &err), "submit");
    expect(alch_task_matrix(task, "S", 0, &result, &err), ALCH_ESTATE, "a result before the end");
    check(alch_task_wait(task, 60000, &err), "truncated_svd");
    expect(alch_task_matrix(task, "none", 0, &result, &err), ALCH_ENOENT, "a result of an unknown name");
    expect(alch_task_matrix(task, "S", 1, &result, &err), ALCH_ENOENT,
           "a second matrix in a result that is one matrix");
    check(alch_task_matrix(task, "S", 0, &result, &err), "result S");
    check(alch_matrix_read(result, NULL, s, 1, RANK, &err), "fetch");

    for (int k = 0; k < RANK; k++) { /* ascending */
        printf("%.10g\n", s[k]);
        check(fabs(s[k] - (COLS - RANK + 1 + k)) < 1e-8 * COLS ? ALCH_OK : ALCH_ENUMERIC, "singular value");
    }
    alch_matrix_destroy(result);
    alch_task_destroy(task);
    alch_values_destroy(args);
    alch_matrix_destroy(matrix);
    alch_library_destroy(library);
    check(alch_session_close(session, &err), "close");
    alch_session_destroy(session);
    free(a);
    return 0;
}
