/* Shared memory that dead processes left is removed, and shared memory in use stays. */
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
    unit_create_folder("/dev/shm", folder);
}

static void
teardown(void)
{
    unit_remove_folder(folder);
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

START_TEST(nothing_to_remove_is_no_error)
{
    ck_assert_int_eq(alchi_agent_sweep_files("/dev/shm/no/such/folder"), 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert_int_eq(alchi_agent_sweep_segments(NULL, 0), 0);
}
END_TEST

START_TEST(files_of_mpi_are_removed)
{
    close(make_file("mpich_shar_tmpAbCdEf", 4096));
    close(make_file("ucx_shm_posix_1234abcd", 4096));
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 2);
    ck_assert(!exists("mpich_shar_tmpAbCdEf"));
    ck_assert(!exists("ucx_shm_posix_1234abcd"));
}
END_TEST

START_TEST(files_with_other_names_stay)
{
    close(make_file("sem.mine", 4096));
    close(make_file("my_mpich_shar_tmpAbCdEf", 4096));
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("sem.mine"));
    ck_assert(exists("my_mpich_shar_tmpAbCdEf"));
}
END_TEST

START_TEST(a_new_empty_file_stays)
{
    close(make_file("mpich_shar_tmpEmpty1", 0)); /* its process may be about to fill it */
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("mpich_shar_tmpEmpty1"));
}
END_TEST

START_TEST(folders_links_and_pipes_stay)
{
    close(make_file("target", 4096));
    ck_assert_int_eq(mkdir(path_of("mpich_shar_tmpFolder"), 0700), 0);
    ck_assert_int_eq(symlink("target", path_of("mpich_shar_tmpLinkLi")), 0);
    ck_assert_int_eq(mkfifo(path_of("mpich_shar_tmpFifoFi"), 0600), 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("target"));
    ck_assert(exists("mpich_shar_tmpFolder"));
    ck_assert(exists("mpich_shar_tmpLinkLi"));
    ck_assert(exists("mpich_shar_tmpFifoFi"));
}
END_TEST

START_TEST(an_open_file_stays_until_it_is_closed)
{
    int fd = make_file("mpich_shar_tmpOpened", 4096);

    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("mpich_shar_tmpOpened"));
    close(fd);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 1);
    ck_assert(!exists("mpich_shar_tmpOpened"));
}
END_TEST

/* MPICH maps its file and closes it. */
START_TEST(a_file_that_another_process_has_mapped_stays_until_that_ends)
{
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        int fd = make_file("mpich_shar_tmpMapped", 4096);

        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED || close(fd) != 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 0);
    ck_assert(exists("mpich_shar_tmpMapped"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(alchi_agent_sweep_files(folder), 1);
    ck_assert(!exists("mpich_shar_tmpMapped"));
    close(ready[0]);
    close(ready[1]);
}
END_TEST

/* Make a System V segment in a child process that ends. */
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

START_TEST(only_segments_of_the_given_processes_are_removed)
{
    pid_t pid;
    int left = segment_of_child(&pid), own = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

    ck_assert_int_eq(alchi_agent_sweep_segments(NULL, 0), 0);
    ck_assert(segment_exists(left));
    ck_assert_int_eq(alchi_agent_sweep_segments(&pid, 1), 1);
    ck_assert(!segment_exists(left));
    ck_assert(segment_exists(own));
    shmctl(own, IPC_RMID, NULL);
}
END_TEST

START_TEST(an_attached_segment_stays_until_it_is_detached)
{
    pid_t pid;
    int segment = segment_of_child(&pid);
    void *attached = shmat(segment, NULL, 0);

    ck_assert_int_eq(alchi_agent_sweep_segments(&pid, 1), 0);
    ck_assert(segment_exists(segment));
    shmdt(attached);
    ck_assert_int_eq(alchi_agent_sweep_segments(&pid, 1), 1);
    ck_assert(!segment_exists(segment));
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *test = tcase_create("sweep");

    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, nothing_to_remove_is_no_error);
    tcase_add_test(test, files_of_mpi_are_removed);
    tcase_add_test(test, files_with_other_names_stay);
    tcase_add_test(test, a_new_empty_file_stays);
    tcase_add_test(test, folders_links_and_pipes_stay);
    tcase_add_test(test, an_open_file_stays_until_it_is_closed);
    tcase_add_test(test, a_file_that_another_process_has_mapped_stays_until_that_ends);
    tcase_add_test(test, only_segments_of_the_given_processes_are_removed);
    tcase_add_test(test, an_attached_segment_stays_until_it_is_detached);
    suite_add_tcase(suite, test);
}
