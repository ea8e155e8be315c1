/* procs: 1 2 3 5 */
/*
 * The yielding MPI layer: every call gives what MPI promises, and libraries reach it through the program.
 */
#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size, failures;

#define CHECK(condition)                                                                               \
    do {                                                                                               \
        if (!(condition)) {                                                                            \
            failures++;                                                                                \
            fprintf(stderr, "%s:%d: rank %d of %d: %s\n", __FILE__, __LINE__, rank, size, #condition); \
        }                                                                                              \
    } while (0)

/* sum of 1 .. n */
static int
triangle(int n)
{
    return n * (n + 1) / 2;
}

/* A library finds the program's calls before libmpich's; the blocking ones are ours, the nonblocking ones are not. */
static void
test_interposed(void)
{
    static const char *const names[] = {"MPI_Send",      "MPI_Recv",     "MPI_Bcast",      "MPI_Reduce",
                                        "MPI_Allreduce", "MPI_Barrier",  "MPI_Waitall",    "MPI_Sendrecv",
                                        "MPI_Rsend",     "MPI_Comm_dup", "MPI_Comm_split", "MPI_Alltoallw_c"};
    char twin[64];

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        snprintf(twin, sizeof twin, "P%s", names[k]);
        CHECK(dlsym(RTLD_DEFAULT, names[k]) && dlsym(RTLD_DEFAULT, names[k]) != dlsym(RTLD_DEFAULT, twin));
    }
    CHECK((void *)MPI_Send == dlsym(RTLD_DEFAULT, "MPI_Send"));
}

static void
test_send(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size, got = -1, sent = rank, count = -1, flag;
    MPI_Request request;
    MPI_Message message;
    MPI_Status status;
    char buffer[1024];

    for (int kind = 0; kind < 4; kind++) {
        got = -1;
        MPI_Irecv(&got, 1, MPI_INT, previous, kind, MPI_COMM_WORLD, &request);
        MPI_Barrier(MPI_COMM_WORLD);
        if (kind == 0)
            MPI_Send(&sent, 1, MPI_INT, next, kind, MPI_COMM_WORLD);
        else if (kind == 1)
            MPI_Ssend(&sent, 1, MPI_INT, next, kind, MPI_COMM_WORLD);
        else if (kind == 2)
            MPI_Rsend(&sent, 1, MPI_INT, next, kind, MPI_COMM_WORLD);
        else
            MPI_Send_c(&sent, 1, MPI_INT, next, kind, MPI_COMM_WORLD);
        MPI_Wait(&request, &status);
        CHECK(got == previous && status.MPI_SOURCE == previous && status.MPI_TAG == kind);
        CHECK(request == MPI_REQUEST_NULL);
    }
    MPI_Buffer_attach(buffer, sizeof buffer);
    MPI_Bsend(&sent, 1, MPI_INT, next, 9, MPI_COMM_WORLD);
    MPI_Probe(MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK(status.MPI_SOURCE == previous && count == 1);
    MPI_Mprobe(previous, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    CHECK(status.MPI_TAG == 9);
    MPI_Mrecv(&got, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    CHECK(got == previous);
    {
        void *detached;
        MPI_Buffer_detach(&detached, &count);
    }
    MPI_Iprobe(MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &flag, &status);
    CHECK(!flag);
    memset(&status, 0, sizeof status);
    MPI_Recv(&got, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL);
    memset(&status, 0, sizeof status);
    MPI_Mprobe(MPI_PROC_NULL, 0, MPI_COMM_WORLD, &message, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL && message == MPI_MESSAGE_NO_PROC);
    memset(&status, 0, sizeof status);
    MPI_Mrecv(&got, 1, MPI_INT, &message, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL);
}

static void
test_sendrecv(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size, n = 1 << 18;
    int *sent = malloc(sizeof(int) * n), *got = calloc(n, sizeof(int));
    MPI_Datatype column;
    MPI_Status status;
    double a[12];

    for (int k = 0; k < n; k++)
        sent[k] = rank + k;
    MPI_Sendrecv(sent, n, MPI_INT, next, 1, got, n, MPI_INT, previous, 1, MPI_COMM_WORLD, &status);
    CHECK(got[0] == previous && got[n - 1] == previous + n - 1 && status.MPI_SOURCE == previous);
    MPI_Sendrecv_replace(got, n, MPI_INT, previous, 2, next, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(got[0] == rank && got[n - 1] == rank + n - 1);
    MPI_Sendrecv_replace(got, n, MPI_INT, MPI_PROC_NULL, 2, MPI_PROC_NULL, 2, MPI_COMM_WORLD, &status);
    CHECK(got[0] == rank && status.MPI_SOURCE == MPI_PROC_NULL);
    free(sent);
    free(got);

    for (int k = 0; k < 12; k++)
        a[k] = 100 * rank + k;
    MPI_Type_vector(4, 1, 3, MPI_DOUBLE, &column);
    MPI_Type_commit(&column);
    MPI_Sendrecv_replace_c(a + 1, 1, column, next, 3, previous, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int k = 0; k < 12; k++)
        CHECK(a[k] == (k % 3 == 1 ? 100 * previous : 100 * rank) + k);
    MPI_Type_free(&column);
}

/* Rank 0 gets from everyone, in every manner of waiting. */
static void
test_wait_many(void)
{
    MPI_Request *requests = malloc(sizeof(MPI_Request) * size);
    MPI_Status *statuses = malloc(sizeof(MPI_Status) * size), status;
    int *got = malloc(sizeof(int) * size), *indices = malloc(sizeof(int) * size), sum, done, index;

    for (int kind = 0; kind < 3; kind++) {
        for (int k = 0; k < size; k++) {
            got[k] = -1;
            requests[k] = MPI_REQUEST_NULL;
            if (rank == 0)
                MPI_Irecv(&got[k], 1, MPI_INT, k, kind, MPI_COMM_WORLD, &requests[k]);
        }
        sum = rank + 1;
        MPI_Request own;
        MPI_Isend(&sum, 1, MPI_INT, 0, kind, MPI_COMM_WORLD, &own);
        if (kind == 0) {
            MPI_Waitall(size, requests, rank == 0 ? statuses : MPI_STATUSES_IGNORE);
            for (int k = 0; rank == 0 && k < size; k++)
                CHECK(statuses[k].MPI_SOURCE == k);
        } else if (kind == 1) {
            for (int k = 0; rank == 0 && k < size; k++) {
                MPI_Waitany(size, requests, &index, &status);
                CHECK(status.MPI_SOURCE == index);
            }
            MPI_Waitany(size, requests, &index, MPI_STATUS_IGNORE);
            CHECK(index == MPI_UNDEFINED);
        } else {
            for (int k = 0; rank == 0 && k < size; k += done) {
                MPI_Waitsome(size, requests, &done, indices, statuses);
                CHECK(done > 0 && statuses[0].MPI_SOURCE == indices[0]);
                if (done <= 0)
                    break;
            }
            MPI_Waitsome(size, requests, &done, indices, statuses);
            CHECK(done == MPI_UNDEFINED);
        }
        MPI_Wait(&own, MPI_STATUS_IGNORE);
        sum = 0;
        for (int k = 0; rank == 0 && k < size; k++)
            sum += got[k];
        CHECK(rank != 0 || sum == triangle(size));
    }
    free(requests);
    free(statuses);
    free(got);
    free(indices);
}

static void
test_rooted(void)
{
    int *all = calloc(size, sizeof(int)), *counts = malloc(sizeof(int) * size), *displs = malloc(sizeof(int) * size);
    int *many = calloc(triangle(size), sizeof(int)), x, y;

    for (int k = 0; k < size; k++) {
        counts[k] = k + 1;
        displs[k] = triangle(k);
    }
    for (int root = 0; root < size; root++) {
        x = rank == root ? 42 + root : -1;
        MPI_Bcast(&x, 1, MPI_INT, root, MPI_COMM_WORLD);
        CHECK(x == 42 + root);
        x = rank + 1;
        y = -1;
        MPI_Reduce(&x, &y, 1, MPI_INT, MPI_SUM, root, MPI_COMM_WORLD);
        CHECK(y == (rank == root ? triangle(size) : -1));
        MPI_Reduce(rank == root ? MPI_IN_PLACE : &x, &x, 1, MPI_INT, MPI_MAX, root, MPI_COMM_WORLD);
        CHECK(x == (rank == root ? size : rank + 1));

        x = rank;
        MPI_Gather(&x, 1, MPI_INT, all, 1, MPI_INT, root, MPI_COMM_WORLD);
        for (int k = 0; rank == root && k < size; k++) {
            CHECK(all[k] == k);
            all[k] = 10 * k;
        }
        MPI_Scatter(all, 1, MPI_INT, rank == root ? MPI_IN_PLACE : &x, 1, MPI_INT, root, MPI_COMM_WORLD);
        CHECK(x == (rank == root ? rank : 10 * rank));

        for (int k = 0; k <= rank; k++)
            many[rank == root ? displs[rank] + k : k] = rank;
        MPI_Gatherv(rank == root ? MPI_IN_PLACE : many, rank + 1, MPI_INT, many, counts, displs, MPI_INT, root,
                    MPI_COMM_WORLD);
        for (int k = 0; rank == root && k < size; k++)
            CHECK(many[displs[k]] == k && many[displs[k] + counts[k] - 1] == k);
        MPI_Scatterv(many, counts, displs, MPI_INT, rank == root ? MPI_IN_PLACE : many, rank + 1, MPI_INT, root,
                     MPI_COMM_WORLD);
        CHECK(many[rank == root ? displs[rank] + rank : rank] == rank);
    }
    free(all);
    free(counts);
    free(displs);
    free(many);
}

static void
test_all(void)
{
    int *all = malloc(sizeof(int) * size), *other = malloc(sizeof(int) * size), *many, *counts, *displs, x = rank + 1,
        y;

    MPI_Allreduce(&x, &y, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(y == triangle(size));
    MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    CHECK(x == size);
    MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD);
    for (int k = 0; k < size; k++)
        CHECK(all[k] == k);
    for (int k = 0; k < size; k++)
        all[k] = 100 * rank + k;
    MPI_Alltoall(all, 1, MPI_INT, other, 1, MPI_INT, MPI_COMM_WORLD);
    for (int k = 0; k < size; k++)
        CHECK(other[k] == 100 * k + rank);
    MPI_Alltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, other, 1, MPI_INT, MPI_COMM_WORLD);
    for (int k = 0; k < size; k++)
        CHECK(other[k] == 100 * rank + k);

    counts = malloc(sizeof(int) * size);
    displs = malloc(sizeof(int) * size);
    many = calloc(triangle(size), sizeof(int));
    for (int k = 0; k < size; k++) {
        counts[k] = k + 1;
        displs[k] = triangle(k);
    }
    for (int k = 0; k <= rank; k++)
        many[displs[rank] + k] = rank;
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, many, counts, displs, MPI_INT, MPI_COMM_WORLD);
    for (int k = 0; k < size; k++)
        CHECK(many[displs[k] + k] == k);
    x = -1;
    MPI_Reduce_scatter_block(all, &x, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(x == 100 * triangle(size - 1) + size * rank);
    for (int k = 0; k < triangle(size); k++)
        many[k] = k;
    MPI_Reduce_scatter(MPI_IN_PLACE, many, counts, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(many[0] == size * displs[rank] && many[rank] == size * (displs[rank] + rank));
    free(all);
    free(other);
    free(many);
    free(counts);
    free(displs);
}

/* k + 1 entries from everyone to rank k, by counts, by types, and with large counts. */
static void
test_alltoallv(void)
{
    int total = size * (rank + 1), n = triangle(size);
    int *sent = malloc(sizeof(int) * n), *got = malloc(sizeof(int) * total);
    int *scounts = malloc(sizeof(int) * size), *sdispls = malloc(sizeof(int) * size);
    int *rcounts = malloc(sizeof(int) * size), *rdispls = malloc(sizeof(int) * size);
    MPI_Datatype *types = malloc(sizeof(MPI_Datatype) * size);
    MPI_Count *large = malloc(2 * sizeof(MPI_Count) * size);
    MPI_Aint *far = malloc(2 * sizeof(MPI_Aint) * size);

    for (int k = 0; k < size; k++) {
        scounts[k] = k + 1;
        sdispls[k] = triangle(k);
        rcounts[k] = rank + 1;
        rdispls[k] = k * (rank + 1);
        types[k] = MPI_INT;
        large[k] = scounts[k];
        large[size + k] = rcounts[k];
        far[k] = sdispls[k];
        far[size + k] = rdispls[k];
    }
    for (int k = 0; k < n; k++)
        sent[k] = 1000 * rank + k;
    for (int kind = 0; kind < 3; kind++) {
        memset(got, 0xff, sizeof(int) * total);
        if (kind == 0)
            MPI_Alltoallv(sent, scounts, sdispls, MPI_INT, got, rcounts, rdispls, MPI_INT, MPI_COMM_WORLD);
        if (kind == 1)
            MPI_Alltoallv_c(sent, large, far, MPI_INT, got, large + size, far + size, MPI_INT, MPI_COMM_WORLD);
        for (int k = 0; kind == 2 && k < size; k++) {
            sdispls[k] *= (int)sizeof(int);
            rdispls[k] *= (int)sizeof(int);
        }
        if (kind == 2)
            MPI_Alltoallw(sent, scounts, sdispls, types, got, rcounts, rdispls, types, MPI_COMM_WORLD);
        for (int k = 0; k < total; k++)
            CHECK(got[k] == 1000 * (k / (rank + 1)) + triangle(rank) + k % (rank + 1));
    }
    free(sent);
    free(got);
    free(scounts);
    free(sdispls);
    free(rcounts);
    free(rdispls);
    free(types);
    free(large);
    free(far);
}

static void
test_prefix(void)
{
    int x = rank + 1, y = -7;

    MPI_Scan(&x, &y, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(y == triangle(rank + 1));
    y = -7;
    MPI_Exscan(&x, &y, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(y == (rank == 0 ? -7 : triangle(rank)));
    MPI_Scan(MPI_IN_PLACE, &x, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(x == triangle(rank + 1));
}

static int copied;

static int
copy_attribute(MPI_Comm comm, int key, void *extra, void *value, void *copy, int *flag)
{
    (void)comm, (void)key, (void)extra;
    copied++;
    *(void **)copy = value;
    *flag = 1;
    return MPI_SUCCESS;
}

static void
test_communicators(void)
{
    MPI_Comm copy, half, made;
    MPI_Group group, part;
    MPI_Errhandler handler;
    int key, value = 5, *found, flag, x, one = 0;

    MPI_Comm_create_keyval(copy_attribute, MPI_COMM_NULL_DELETE_FN, &key, NULL);
    MPI_Comm_set_attr(MPI_COMM_WORLD, key, &value);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
    MPI_Comm_get_attr(copy, key, &found, &flag);
    CHECK(copied == 1 && flag && found == &value);
    MPI_Comm_get_errhandler(copy, &handler);
    CHECK(handler == MPI_ERRORS_RETURN);
    MPI_Errhandler_free(&handler);
    MPI_Comm_delete_attr(MPI_COMM_WORLD, key);
    MPI_Comm_free_keyval(&key);

    MPI_Comm_split(copy, rank % 2, -rank, &half);
    x = rank % 2;
    MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_INT, MPI_SUM, half);
    CHECK(x == (rank % 2 ? size / 2 : 0));
    MPI_Comm_free(&half);
    MPI_Comm_group(copy, &group);
    MPI_Group_incl(group, 1, &one, &part);
    MPI_Comm_create(copy, part, &made);
    CHECK((made != MPI_COMM_NULL) == (rank == 0));
    if (made != MPI_COMM_NULL)
        MPI_Comm_free(&made);
    MPI_Group_free(&group);
    MPI_Group_free(&part);
    MPI_Comm_free(&copy);
    for (int k = 0; k < 300; k++) {
        MPI_Comm_dup(MPI_COMM_WORLD, &copy);
        MPI_Barrier(copy);
        MPI_Comm_free(&copy);
    }
}

static void
test_neighbours(void)
{
    int periodic = 1, around[2] = {-1, -1}, mine[2] = {2 * rank, 2 * rank + 1};
    int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    MPI_Comm ring;

    MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &periodic, 0, &ring);
    MPI_Neighbor_allgather(&rank, 1, MPI_INT, around, 1, MPI_INT, ring);
    CHECK(around[0] == previous && around[1] == next);
    if (size > 2) { /* with both neighbours the same process the order is not defined */
        MPI_Neighbor_alltoall(mine, 1, MPI_INT, around, 1, MPI_INT, ring);
        CHECK(around[0] == 2 * previous + 1 && around[1] == 2 * next);
    }
    MPI_Comm_free(&ring);
}

/* Errors come out as from the blocking calls. MPI_COMM_WORLD returns errors by now. */
static void
test_errors(void)
{
    int two[2] = {1, 2}, got = 0, class = 0, rc;
    MPI_Request request;

    MPI_Isend(two, 2, MPI_INT, rank, 5, MPI_COMM_WORLD, &request);
    rc = MPI_Recv(&got, 1, MPI_INT, rank, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Error_class(rc, &class);
    CHECK(class == MPI_ERR_TRUNCATE);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    rc = MPI_Sendrecv(two, 1, MPI_INT, size, 6, &got, 1, MPI_INT, rank, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Error_class(rc, &class);
    CHECK(class == MPI_ERR_RANK);
    rc = MPI_Bcast(&got, -1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Error_class(rc, &class);
    CHECK(class == MPI_ERR_COUNT);
    rc = MPI_Send(two, 1, MPI_INT, size, 0, MPI_COMM_WORLD);
    MPI_Error_class(rc, &class);
    CHECK(class == MPI_ERR_RANK);
}

int
main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    test_interposed();
    test_send();
    test_sendrecv();
    test_wait_many();
    test_rooted();
    test_all();
    test_alltoallv();
    test_prefix();
    test_communicators();
    test_neighbours();
    test_errors();
    MPI_Allreduce(MPI_IN_PLACE, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
