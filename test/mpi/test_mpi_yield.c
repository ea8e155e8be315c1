/* procs: 1 2 3 5 */
/* The yielding MPI calls: each one does what MPI promises, and libraries call them through the program. */
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

/* The sum of 1..n. */
static int
triangle(int n)
{
    return n * (n + 1) / 2;
}

/* A library finds the blocking calls of the program before those of libmpich. */
static void
libraries_find_the_yielding_calls(void)
{
    static const char *const names[] = {"MPI_Send",      "MPI_Recv",     "MPI_Bcast",      "MPI_Reduce",
                                        "MPI_Allreduce", "MPI_Barrier",  "MPI_Waitall",    "MPI_Sendrecv",
                                        "MPI_Rsend",     "MPI_Comm_dup", "MPI_Comm_split", "MPI_Alltoallw_c"};
    char profiled[64];

    for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
        snprintf(profiled, sizeof(profiled), "P%s", names[k]);
        CHECK(dlsym(RTLD_DEFAULT, names[k]) && dlsym(RTLD_DEFAULT, names[k]) != dlsym(RTLD_DEFAULT, profiled));
    }
    CHECK((void *)MPI_Send == dlsym(RTLD_DEFAULT, "MPI_Send"));
}

static void
every_kind_of_send_is_received(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size, got, sent = rank;
    MPI_Request request;
    MPI_Status status;

    for (int kind = 0; kind < 4; kind++) {
        got = -1;
        MPI_Irecv(&got, 1, MPI_INT, previous, kind, MPI_COMM_WORLD, &request);
        MPI_Barrier(MPI_COMM_WORLD); /* MPI_Rsend needs a receive that waits */
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
}

static void
a_probed_message_is_received_once(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size, got = -1, sent = rank, count = -1, flag;
    MPI_Message message;
    MPI_Status status;
    char buffer[1024];
    void *detached;

    MPI_Buffer_attach(buffer, sizeof(buffer));
    MPI_Bsend(&sent, 1, MPI_INT, next, 9, MPI_COMM_WORLD);
    MPI_Probe(MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK(status.MPI_SOURCE == previous && count == 1);
    MPI_Mprobe(previous, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    CHECK(status.MPI_TAG == 9);
    MPI_Mrecv(&got, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    CHECK(got == previous);
    MPI_Buffer_detach(&detached, &count);
    MPI_Iprobe(MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &flag, &status);
    CHECK(!flag);
}

static void
a_receive_from_no_process_sets_the_status(void)
{
    int got;
    MPI_Message message;
    MPI_Status status;

    memset(&status, 0, sizeof(status));
    MPI_Recv(&got, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL);
    memset(&status, 0, sizeof(status));
    MPI_Mprobe(MPI_PROC_NULL, 0, MPI_COMM_WORLD, &message, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL && message == MPI_MESSAGE_NO_PROC);
    memset(&status, 0, sizeof(status));
    MPI_Mrecv(&got, 1, MPI_INT, &message, &status);
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL);
}

static void
sendrecv_exchanges_large_messages(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size, n = 1 << 18;
    int *sent = malloc(sizeof(int) * n), *got = calloc(n, sizeof(int));
    MPI_Status status;

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
}

static void
sendrecv_replace_exchanges_entries_with_gaps(void)
{
    int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    MPI_Datatype column;
    double a[12];

    for (int k = 0; k < 12; k++)
        a[k] = 100 * rank + k;
    MPI_Type_vector(4, 1, 3, MPI_DOUBLE, &column);
    MPI_Type_commit(&column);
    MPI_Sendrecv_replace_c(a + 1, 1, column, next, 3, previous, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int k = 0; k < 12; k++)
        CHECK(a[k] == (k % 3 == 1 ? 100 * previous : 100 * rank) + k);
    MPI_Type_free(&column);
}

/* Rank 0 receives from all ranks, and waits with MPI_Waitall, MPI_Waitany and MPI_Waitsome. */
static void
waiting_for_several_requests_completes_all(void)
{
    MPI_Request *requests = malloc(sizeof(MPI_Request) * size), send;
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
        MPI_Isend(&sum, 1, MPI_INT, 0, kind, MPI_COMM_WORLD, &send);
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
        MPI_Wait(&send, MPI_STATUS_IGNORE);
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
broadcast_and_reduce_work_for_every_root(void)
{
    for (int root = 0; root < size; root++) {
        int x = rank == root ? 42 + root : -1, y;

        MPI_Bcast(&x, 1, MPI_INT, root, MPI_COMM_WORLD);
        CHECK(x == 42 + root);
        x = rank + 1;
        y = -1;
        MPI_Reduce(&x, &y, 1, MPI_INT, MPI_SUM, root, MPI_COMM_WORLD);
        CHECK(y == (rank == root ? triangle(size) : -1));
        MPI_Reduce(rank == root ? MPI_IN_PLACE : &x, &x, 1, MPI_INT, MPI_MAX, root, MPI_COMM_WORLD);
        CHECK(x == (rank == root ? size : rank + 1));
    }
}

static void
gather_and_scatter_work_for_every_root(void)
{
    int *all = malloc(sizeof(int) * size);

    for (int root = 0; root < size; root++) {
        int x = rank;

        MPI_Gather(&x, 1, MPI_INT, all, 1, MPI_INT, root, MPI_COMM_WORLD);
        for (int k = 0; rank == root && k < size; k++) {
            CHECK(all[k] == k);
            all[k] = 10 * k;
        }
        MPI_Scatter(all, 1, MPI_INT, rank == root ? MPI_IN_PLACE : &x, 1, MPI_INT, root, MPI_COMM_WORLD);
        CHECK(x == (rank == root ? rank : 10 * rank));
    }
    free(all);
}

static void
gather_and_scatter_of_several_entries_work_for_every_root(void)
{
    int *counts = malloc(sizeof(int) * size), *displs = malloc(sizeof(int) * size);
    int *many = calloc(triangle(size), sizeof(int));

    for (int k = 0; k < size; k++) {
        counts[k] = k + 1;
        displs[k] = triangle(k);
    }
    for (int root = 0; root < size; root++) {
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
    free(counts);
    free(displs);
    free(many);
}

static void
allreduce_gives_every_rank_the_result(void)
{
    int x = rank + 1, y;

    MPI_Allreduce(&x, &y, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(y == triangle(size));
    MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    CHECK(x == size);
}

static void
allgather_and_alltoall_reach_every_rank(void)
{
    int *all = malloc(sizeof(int) * size), *other = malloc(sizeof(int) * size);

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
    free(all);
    free(other);
}

static void
allgather_of_several_entries_reaches_every_rank(void)
{
    int *counts = malloc(sizeof(int) * size), *displs = malloc(sizeof(int) * size);
    int *many = calloc(triangle(size), sizeof(int));

    for (int k = 0; k < size; k++) {
        counts[k] = k + 1;
        displs[k] = triangle(k);
    }
    for (int k = 0; k <= rank; k++)
        many[displs[rank] + k] = rank;
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, many, counts, displs, MPI_INT, MPI_COMM_WORLD);
    for (int k = 0; k < size; k++)
        CHECK(many[displs[k] + k] == k);
    free(counts);
    free(displs);
    free(many);
}

static void
reduce_scatter_gives_each_rank_its_part(void)
{
    int *all = malloc(sizeof(int) * size), *counts = malloc(sizeof(int) * size);
    int *many = calloc(triangle(size), sizeof(int)), x = -1;

    for (int k = 0; k < size; k++) {
        all[k] = 100 * rank + k;
        counts[k] = k + 1;
    }
    MPI_Reduce_scatter_block(all, &x, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(x == 100 * triangle(size - 1) + size * rank);
    for (int k = 0; k < triangle(size); k++)
        many[k] = k;
    MPI_Reduce_scatter(MPI_IN_PLACE, many, counts, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(many[0] == size * triangle(rank) && many[rank] == size * (triangle(rank) + rank));
    free(all);
    free(many);
    free(counts);
}

/* Every rank sends k + 1 entries to rank k, through MPI_Alltoallv, MPI_Alltoallv_c and MPI_Alltoallw. */
static void
alltoall_of_several_entries_reaches_every_rank(void)
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
scans_give_the_sums_of_the_ranks_before(void)
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

static int copied; /* calls of copy_attribute() */

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
a_duplicate_has_the_attributes_and_the_error_handler(void)
{
    MPI_Errhandler handler;
    MPI_Comm copy;
    int key, value = 5, *found, flag;

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
    MPI_Comm_free(&copy);
}

static void
a_split_communicator_has_the_ranks_of_its_color(void)
{
    MPI_Comm half;
    int x = rank % 2;

    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
    MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_INT, MPI_SUM, half);
    CHECK(x == (rank % 2 ? size / 2 : 0));
    MPI_Comm_free(&half);
}

static void
a_communicator_of_a_group_has_only_its_ranks(void)
{
    MPI_Group group, part;
    MPI_Comm made;
    int zero = 0;

    MPI_Comm_group(MPI_COMM_WORLD, &group);
    MPI_Group_incl(group, 1, &zero, &part);
    MPI_Comm_create(MPI_COMM_WORLD, part, &made);
    CHECK((made != MPI_COMM_NULL) == (rank == 0));
    if (made != MPI_COMM_NULL)
        MPI_Comm_free(&made);
    MPI_Group_free(&group);
    MPI_Group_free(&part);
}

static void
duplicates_can_be_made_and_freed_without_end(void)
{
    for (int k = 0; k < 300; k++) {
        MPI_Comm copy;

        MPI_Comm_dup(MPI_COMM_WORLD, &copy);
        MPI_Barrier(copy);
        MPI_Comm_free(&copy);
    }
}

static void
neighbors_in_a_ring_exchange_entries(void)
{
    int periodic = 1, around[2] = {-1, -1}, mine[2] = {2 * rank, 2 * rank + 1};
    int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    MPI_Comm ring;

    MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &periodic, 0, &ring);
    MPI_Neighbor_allgather(&rank, 1, MPI_INT, around, 1, MPI_INT, ring);
    CHECK(around[0] == previous && around[1] == next);
    if (size > 2) { /* with 2 ranks both neighbors are the same rank, and the order is undefined */
        MPI_Neighbor_alltoall(mine, 1, MPI_INT, around, 1, MPI_INT, ring);
        CHECK(around[0] == 2 * previous + 1 && around[1] == 2 * next);
    }
    MPI_Comm_free(&ring);
}

static void
errors_are_those_of_the_blocking_calls(void)
{
    int two[2] = {1, 2}, got = 0, class = 0, code;
    MPI_Request request;

    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Isend(two, 2, MPI_INT, rank, 5, MPI_COMM_WORLD, &request);
    code = MPI_Recv(&got, 1, MPI_INT, rank, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_TRUNCATE);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    code = MPI_Sendrecv(two, 1, MPI_INT, size, 6, &got, 1, MPI_INT, rank, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_RANK);
    code = MPI_Bcast(&got, -1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_COUNT);
    code = MPI_Send(two, 1, MPI_INT, size, 0, MPI_COMM_WORLD);
    MPI_Error_class(code, &class);
    CHECK(class == MPI_ERR_RANK);
}

int
main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    libraries_find_the_yielding_calls();
    every_kind_of_send_is_received();
    a_probed_message_is_received_once();
    a_receive_from_no_process_sets_the_status();
    sendrecv_exchanges_large_messages();
    sendrecv_replace_exchanges_entries_with_gaps();
    waiting_for_several_requests_completes_all();
    broadcast_and_reduce_work_for_every_root();
    gather_and_scatter_work_for_every_root();
    gather_and_scatter_of_several_entries_work_for_every_root();
    allreduce_gives_every_rank_the_result();
    allgather_and_alltoall_reach_every_rank();
    allgather_of_several_entries_reaches_every_rank();
    reduce_scatter_gives_each_rank_its_part();
    alltoall_of_several_entries_reaches_every_rank();
    scans_give_the_sums_of_the_ranks_before();
    a_duplicate_has_the_attributes_and_the_error_handler();
    a_split_communicator_has_the_ranks_of_its_color();
    a_communicator_of_a_group_has_only_its_ranks();
    duplicates_can_be_made_and_freed_without_end();
    neighbors_in_a_ring_exchange_entries();
    errors_are_those_of_the_blocking_calls();
    MPI_Allreduce(MPI_IN_PLACE, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
