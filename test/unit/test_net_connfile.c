/* Connection files: written, locked, read back, found, and refused if others could have changed them. */
#include "unit.h"

#include "base/util.h"
#include "net/connfile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char home[64], runtime[96], place[160];

static void
setup(void)
{
    unit_create_folder("/tmp", home);
    snprintf(runtime, sizeof(runtime), "%s/run", home);
    ck_assert_int_eq(mkdir(runtime, 0700), 0);
    snprintf(place, sizeof(place), "%s/alchemist", runtime);
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    unsetenv("ALCHEMIST_CONNECTION");
}

static void
teardown(void)
{
    unit_remove_folder(home);
}

static alchi_connfile_t
make(const char *host, int port)
{
    alchi_connfile_t file = {.address = {.port = port}};

    snprintf(file.address.host, sizeof(file.address.host), "%s", host);
    for (int i = 0; i < ALCHI_KEY_SIZE; i++)
        file.token[i] = (uint8_t)(i + port);
    return file;
}

static int
write_file(alchi_connfile_t *file)
{
    int fd = -1;

    unit_code(alchi_connfile_write(file, &fd, NULL), ALCH_OK);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void
write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* A daemon writes a file and is killed before it can remove it. */
static void
leave_stale(const char *host, int port, alchi_connfile_t *file)
{
    int status;
    pid_t pid;

    *file = make(host, port);
    snprintf(file->path, sizeof(file->path), "%s/alchemist-%s-%d.json", place, host, port);
    mkdir(place, 0700);
    pid = fork();
    if (pid == 0) {
        write_file(file);
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

START_TEST(directory_needs_home)
{
    char path[4096];

    unsetenv("HOME");
    unsetenv("XDG_RUNTIME_DIR");
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_ENOENT);
    setenv("HOME", "/tmp/there is no such place", 1);
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_ESYSTEM);
}
END_TEST

START_TEST(directory_is_closed_to_others)
{
    char path[4096];
    struct stat info;

    unit_code(alchi_connfile_dir(false, path, sizeof(path), NULL), ALCH_OK);
    ck_assert_str_eq(path, place);
    ck_assert_int_eq(stat(place, &info), -1);
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_OK);
    ck_assert_int_eq(stat(place, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0700);
    ck_assert_int_eq(chmod(place, 0750), 0);
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_EPERM);
    ck_assert_int_eq(chmod(place, 0700), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(place, 12345, 12345), 0);
        unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_EPERM);
    }
}
END_TEST

START_TEST(directory_in_home_is_the_second_choice)
{
    char path[4096], expected[128];

    snprintf(expected, sizeof(expected), "%s/.alchemist", home);
    unsetenv("XDG_RUNTIME_DIR");
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_OK);
    ck_assert_str_eq(path, expected);
    setenv("XDG_RUNTIME_DIR", "/no/such/place", 1);
    unit_code(alchi_connfile_dir(true, path, sizeof(path), NULL), ALCH_OK);
    ck_assert_str_eq(path, expected);
}
END_TEST

START_TEST(file_is_read_back_as_written)
{
    alchi_connfile_t file = make("127.0.0.1", 24960), back;
    int fd = write_file(&file);
    char expected[256];
    struct stat info;

    snprintf(expected, sizeof(expected), "%s/alchemist-localhost-24960.json", place);
    ck_assert_str_eq(file.path, expected);
    ck_assert_int_eq(stat(file.path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 07777, 0600);
    unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_OK);
    ck_assert_str_eq(back.address.host, "127.0.0.1");
    ck_assert_int_eq(back.address.port, 24960);
    ck_assert_int_eq(back.pid, getpid());
    ck_assert_str_eq(back.path, expected);
    ck_assert_mem_eq(back.token, file.token, sizeof(back.token));
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(remove_leaves_nothing_behind)
{
    alchi_connfile_t file = make("127.0.0.1", 24960), back;
    int fd = write_file(&file);

    alchi_connfile_remove(&file, fd);
    unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_ENOENT);
    ck_assert_int_eq(rmdir(place), 0); /* works only if the directory is empty */
}
END_TEST

START_TEST(every_interface_is_written_as_loopback)
{
    static const char *const hosts[][2] = {
        {"0.0.0.0", "127.0.0.1"}, {"::", "::1"}, {"", "127.0.0.1"}, {"10.0.0.1", "10.0.0.1"}};
    alchi_connfile_t file = make(hosts[_i][0], 5), back;

    write_file(&file);
    unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_OK);
    ck_assert_str_eq(back.address.host, hosts[_i][1]);
}
END_TEST

START_TEST(given_path_is_used)
{
    alchi_connfile_t file = make("127.0.0.1", 5), back;
    int fd;

    ck_assert_int_eq(chdir(home), 0);
    snprintf(file.path, sizeof(file.path), "mine.json");
    fd = write_file(&file);
    ck_assert_int_eq(file.path[0], '/');
    ck_assert_int_eq(chdir("/"), 0);
    setenv("ALCHEMIST_CONNECTION", file.path, 1);
    unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_OK);
    ck_assert_int_eq(back.address.port, 5);
    alchi_connfile_remove(&file, fd);
    unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_ENOENT);
}
END_TEST

START_TEST(second_daemon_is_refused)
{
    alchi_connfile_t file = make("127.0.0.1", 5), same = make("0.0.0.0", 5), other = make("127.0.0.1", 6);
    alch_error_t err = {0};
    int fd = write_file(&file), fd2 = -7;

    unit_code(alchi_connfile_write(&same, &fd2, &err), ALCH_EBUSY);
    ck_assert_int_eq(fd2, -7);
    ck_assert_ptr_nonnull(strstr(err.text, "alchemist-localhost-5.json"));
    write_file(&other);
    alchi_connfile_remove(&file, fd);
    write_file(&same);
}
END_TEST

/* The lock decides, not the process id. */
START_TEST(file_of_killed_daemon_is_stale)
{
    alchi_connfile_t file, back;
    alchi_address_t address = {.host = "localhost", .port = 5};
    alch_error_t err = {0};

    leave_stale("localhost", 5, &file);
    ck_assert_int_eq(access(file.path, F_OK), 0);
    unit_code(alchi_connfile_read(file.path, &back, &err), ALCH_ESTATE);
    ck_assert_msg(strstr(err.text, "is stale"), "%s", err.text);
    unit_code(alchi_connfile_find(&address, &back, NULL), ALCH_ESTATE);
    unit_code(alchi_connfile_find(NULL, &back, &err), ALCH_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "is stale"));
}
END_TEST

START_TEST(stale_file_is_replaced)
{
    alchi_connfile_t file, back, again = make("localhost", 5);

    leave_stale("localhost", 5, &file);
    again.token[0] = 99;
    write_file(&again);
    unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_OK);
    ck_assert_int_eq(back.token[0], 99);
}
END_TEST

/* A client that checks whether the file is stale holds a shared lock. A daemon that starts in this time waits for the
 * lock. */
START_TEST(reader_does_not_stop_a_daemon)
{
    alchi_connfile_t file;
    char lock[4200];
    int status, fd;
    pid_t pid;

    leave_stale("localhost", 5, &file);
    snprintf(lock, sizeof(lock), "%s.lock", file.path);
    fd = open(lock, O_RDONLY);
    ck_assert_int_eq(flock(fd, LOCK_SH), 0);
    pid = fork();
    if (pid == 0) {
        usleep(50000); /* hold the lock while the daemon tries to take it */
        _exit(flock(fd, LOCK_UN));
    }
    write_file(&file);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* Take and release the lock many times. The marker file exists only while it is held; returns 0 if no other process
 * had the lock at the same time. */
static int
compete_for_lock(int rounds)
{
    alchi_connfile_t file = make("127.0.0.1", 5);
    char marker[160];
    int fd, mark, code;

    snprintf(marker, sizeof(marker), "%s/marker", home);
    while (rounds > 0) {
        code = alchi_connfile_write(&file, &fd, NULL);
        if (code == ALCH_EBUSY)
            continue;
        if (code != ALCH_OK)
            return 1;
        mark = open(marker, O_CREAT | O_EXCL, 0600);
        if (mark < 0)
            return 2;
        close(mark);
        unlink(marker);
        alchi_connfile_remove(&file, fd);
        rounds--;
    }
    return 0;
}

/* Two daemons start and stop all the time: they never hold the lock at the same time. */
START_TEST(one_daemon_at_a_time_holds_the_lock)
{
    pid_t pids[2];
    int status;

    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(compete_for_lock(200));
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

START_TEST(file_open_to_others_is_refused)
{
    alchi_connfile_t file = make("127.0.0.1", 5), back;

    write_file(&file);
    ck_assert_int_eq(chmod(file.path, 0640), 0);
    unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_EPERM);
    ck_assert_int_eq(chmod(file.path, 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(file.path, 12345, 12345), 0);
        unit_code(alchi_connfile_read(file.path, &back, NULL), ALCH_EPERM);
        unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_EPERM);
    }
}
END_TEST

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const malformed[] = {
    "",
    "{",
    "[]",
    "{\"address\": \"h\", \"port\": 1, \"token\": \"" TOKEN "\"}",
    "{\"address\": \"h\", \"port\": 0, \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"h\", \"port\": 65536, \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"\", \"port\": 1, \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"h:7\", \"port\": 1, \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"h/x\", \"port\": 1, \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"h\", \"port\": \"1\", \"token\": \"" TOKEN "\", \"pid\": 1}",
    "{\"address\": \"h\", \"port\": 1, \"token\": \"" TOKEN "0\", \"pid\": 1}",
    "{\"address\": \"h\", \"port\": 1, \"token\": \"xyz\", \"pid\": 1}",
};

START_TEST(malformed_file_is_refused)
{
    char path[128];
    alchi_connfile_t back = {.pid = -5};
    alch_error_t err = {0};

    snprintf(path, sizeof(path), "%s/x.json", home);
    umask(077);
    write_text(path, malformed[_i]);
    unit_code(alchi_connfile_read(path, &back, &err), ALCH_EPROTO);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_ptr_null(strstr(err.text, "0123456789abcdef"));
    ck_assert_int_eq(back.pid, -5);
}
END_TEST

START_TEST(special_and_large_files_are_refused)
{
    char path[128];
    alchi_connfile_t back;

    snprintf(path, sizeof(path), "%s/fifo", home);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    unit_code(alchi_connfile_read(path, &back, NULL), ALCH_EPROTO);
    unit_code(alchi_connfile_read(home, &back, NULL), ALCH_EPROTO);
    snprintf(path, sizeof(path), "%s/large", home);
    umask(077);
    write_text(path, "");
    ck_assert_int_eq(truncate(path, 1 << 30), 0);
    unit_code(alchi_connfile_read(path, &back, NULL), ALCH_EPROTO);
}
END_TEST

START_TEST(file_is_found_by_any_spelling_of_its_host)
{
    static const char *const spellings[] = {"localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::"};
    alchi_connfile_t file = make("0.0.0.0", 5), other = make("10.0.0.1", 5), back;
    alchi_address_t address = {.port = 5};
    alch_error_t err = {0};

    write_file(&file);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
        snprintf(address.host, sizeof(address.host), "%s", spellings[i]);
        unit_code(alchi_connfile_find(&address, &back, &err), ALCH_OK);
    }
    ck_assert_int_eq(gethostname(address.host, sizeof(address.host)), 0);
    unit_code(alchi_connfile_find(&address, &back, &err), ALCH_OK);
    snprintf(address.host, sizeof(address.host), "10.0.0.1");
    unit_code(alchi_connfile_find(&address, &back, &err), ALCH_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "10.0.0.1:5"));
    ck_assert_ptr_nonnull(strstr(err.text, place));
    ck_assert_ptr_nonnull(strstr(err.text, "/.alchemist"));
    write_file(&other);
    unit_code(alchi_connfile_find(&address, &back, &err), ALCH_OK);
    ck_assert_str_eq(back.address.host, "10.0.0.1");
    address.port = 6;
    unit_code(alchi_connfile_find(&address, &back, &err), ALCH_ENOENT);
}
END_TEST

static void
set_age(const char *path, int seconds)
{
    struct timespec times[2];

    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(newest_file_of_a_running_daemon_is_found)
{
    alchi_connfile_t old = make("127.0.0.1", 5), newer = make("127.0.0.1", 6), elsewhere = make("127.0.0.1", 7), stale,
                     back;
    alch_error_t err = {0};
    int fd;

    unit_code(alchi_connfile_find(NULL, &back, &err), ALCH_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, place));
    write_file(&old);
    set_age(old.path, 100);
    fd = write_file(&newer);
    set_age(newer.path, 50);
    leave_stale("localhost", 8, &stale);
    unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_OK);
    ck_assert_int_eq(back.address.port, 6);
    alchi_connfile_remove(&newer, fd);
    unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_OK);
    ck_assert_int_eq(back.address.port, 5);
    unsetenv("XDG_RUNTIME_DIR");
    write_file(&elsewhere);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    unit_code(alchi_connfile_find(NULL, &back, NULL), ALCH_OK);
    ck_assert_int_eq(back.address.port, 7);
}
END_TEST

START_TEST(host_cannot_leave_the_directory)
{
    alchi_connfile_t file = make("../../Etc/x", 5);
    char expected[256];

    snprintf(expected, sizeof(expected), "%s/alchemist-.._.._etc_x-5.json", place);
    write_file(&file);
    ck_assert_str_eq(file.path, expected);
}
END_TEST

void
unit_suite(Suite *suite)
{
    TCase *tcase = tcase_create("connfile");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, directory_needs_home);
    tcase_add_test(tcase, directory_is_closed_to_others);
    tcase_add_test(tcase, directory_in_home_is_the_second_choice);
    tcase_add_test(tcase, file_open_to_others_is_refused);
    tcase_add_loop_test(tcase, malformed_file_is_refused, 0, ALCHI_COUNT(malformed));
    tcase_add_test(tcase, special_and_large_files_are_refused);
    tcase_add_test(tcase, file_is_read_back_as_written);
    tcase_add_test(tcase, remove_leaves_nothing_behind);
    tcase_add_loop_test(tcase, every_interface_is_written_as_loopback, 0, 4);
    tcase_add_test(tcase, given_path_is_used);
    tcase_add_test(tcase, second_daemon_is_refused);
    tcase_add_test(tcase, file_of_killed_daemon_is_stale);
    tcase_add_test(tcase, stale_file_is_replaced);
    tcase_add_test(tcase, reader_does_not_stop_a_daemon);
    tcase_add_test(tcase, one_daemon_at_a_time_holds_the_lock);
    tcase_add_test(tcase, file_is_found_by_any_spelling_of_its_host);
    tcase_add_test(tcase, newest_file_of_a_running_daemon_is_found);
    tcase_add_test(tcase, host_cannot_leave_the_directory);
    suite_add_tcase(suite, tcase);
}
