/* Shared memory of the dead is removed, that of the living is not. */
#include "unit.h"

#include "agent/sweep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static void
setup(void)
{
    snprintf(folder, sizeof(folder), "/dev/shm/alchemist-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void
teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *
path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int
make_file(const char *name, int size)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    return fd;
}

static bool
exists(const char *name)
{
    struct stat file;

    return lstat(path_of(name), &file) == 0;
}

START_TEST(test_nothing)
{
    ck_assert_int_eq(alchi_agent_sweep_files("/dev/shm/no/such/folder"), 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert_int_eq(alchi_agent_sweep_segments(NULL, 0), 0);
}
END_TEST

START_TEST(test_files)
{
    close(make_file("mpich_shar_tmpAbCdEf", 4096));
    close(make_file("ucx_shm_posix_1234abcd", 4096));
    close(make_file("sem.mine", 4096));
    close(make_file("my_mpich_shar_tmpAbCdEf", 4096));
    close(make_file("mpich_shar_tmpEmpty1", 0)); /* perhaps about to be filled */
    ck_assert_int_eq(mkdir(path_of("mpich_shar_tmpFolder"), 0700), 0);
    ck_assert_int_eq(symlink("sem.mine", path_of("mpich_shar_tmpLinkLi")), 0);
    ck_assert_int_eq(mkfifo(path_of("mpich_shar_tmpFifoFi"), 0600), 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 2);
    ck_assert(!exists("mpich_shar_tmpAbCdEf"));
    ck_assert(!exists("ucx_shm_posix_1234abcd"));
    ck_assert(exists("sem.mine"));
    ck_assert(exists("my_mpich_shar_tmpAbCdEf"));
    ck_assert(exists("mpich_shar_tmpEmpty1"));
    ck_assert(exists("mpich_shar_tmpFolder"));
    ck_assert(exists("mpich_shar_tmpLinkLi"));
    ck_assert(exists("mpich_shar_tmpFifoFi"));
}
END_TEST

/* Another job's: open here, or mapped and closed in another process, as MPICH does it. */
START_TEST(test_files_in_use)
{
    int fd = make_file("mpich_shar_tmpOpened", 4096), ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        int own = make_file("mpich_shar_tmpMapped", 4096);

        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0) == MAP_FAILED || close(own) != 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("mpich_shar_tmpOpened"));
    ck_assert(exists("mpich_shar_tmpMapped"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 1);
    ck_assert(exists("mpich_shar_tmpOpened"));
    close(fd);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 1);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

static int
segment_of_child(pid_t *pid_p)
{
    int fds[2], id = -1;

    ck_assert_int_eq(pipe(fds), 0);
    *pid_p = fork();
    if (*pid_p == 0) {
        id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
        _exit(write(fds[1], &id, sizeof(id)) == (ssize_t)sizeof(id) ? 0 : 1);
    }
    ck_assert_int_eq(read(fds[0], &id, sizeof(id)), sizeof(id));
    waitpid(*pid_p, NULL, 0);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_ge(id, 0);
    return id;
}

static bool
segment_exists(int id)
{
    struct shmid_ds segment;

    return shmctl(id, IPC_STAT, &segment) == 0;
}

START_TEST(test_segments)
{
    pid_t first, second, pids[2];
    int one = segment_of_child(&first), other = segment_of_child(&second), own;
    void *attached = shmat(other, NULL, 0);

    own = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    ck_assert_int_eq(alchi_agent_sweep_segments(NULL, 0), 0);
    pids[0] = first;
    pids[1] = second;
    ck_assert_int_eq(alchi_agent_sweep_segments(pids, 2), 1);
    ck_assert(!segment_exists(one));
    ck_assert(segment_exists(other));
    ck_assert(segment_exists(own));
    shmdt(attached);
    ck_assert_int_eq(alchi_agent_sweep_segments(pids, 1), 0);
    ck_assert_int_eq(alchi_agent_sweep_segments(pids, 2), 1);
    ck_assert(!segment_exists(other));
    shmctl(own, IPC_RMID, NULL);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("sweep");

    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, test_nothing);
    tcase_add_test(test, test_files);
    tcase_add_test(test, test_files_in_use);
    tcase_add_test(test, test_segments);
    suite_add_tcase(suite, test);
}
