/* The program that the agent's tests compile and run as a rank. It does what the variable TEST_MODE says. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <mpi.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
inherited_socket(void)
{
    for (int fd = 3; fd < 256; fd++) {
        int domain = 0;
        socklen_t size = sizeof(domain);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET)
            return fd;
    }
    return -1;
}

/* Print the lines of a file that begin with a prefix; NULL: all lines. */
static void
print_file(const char *path, const char *prefix)
{
    FILE *file = fopen(path, "r");
    char line[256];

    while (file && fgets(line, sizeof(line), file))
        if (!prefix || strncmp(line, prefix, strlen(prefix)) == 0)
            printf("%s: %s", path, line);
    fclose(file);
}

/* Print what the rank has inherited. */
static int
print_inheritance(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    char config[4096] = "", target[256];
    int count = 0, death_signal = 0;
    ssize_t n;

    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && atol(entry->d_name) != dirfd(dir))
            count++;
    closedir(dir);
    printf("descriptors %d\n", count);
    n = readlink("/proc/self/fd/0", target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    printf("stdin %s\n", target);
    n = read((int)strtol(getenv("ALCHEMIST_WORKER_FD"), NULL, 10), config, sizeof(config));
    printf("config %s\n", memmem(config, n > 0 ? (size_t)n : 0, "driver.test:1234", 16) ? "good" : "bad");
    printf("process group %s\n", getpgid(0) == getpid() ? "leader" : "member");
    prctl(PR_GET_PDEATHSIG, &death_signal);
    printf("death signal %d\n", death_signal);
    print_file("/proc/self/oom_score_adj", NULL);
    print_file("/proc/self/status", "SigBlk");
    print_file("/proc/self/status", "SigIgn");
    printf("rank %s of %s threads %s\n", getenv("PMI_RANK"), getenv("PMI_SIZE"), getenv("OMP_NUM_THREADS"));
    printf("token %s\n", getenv("ALCHEMIST_TOKEN") ? "present" : "absent");
    return 0;
}

static int
sleep_forever(const char *word)
{
    puts(word);
    fflush(stdout);
    for (;;)
        pause();
}

static int
fork_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    printf("child %d\n", (int)pid);
    return 4;
}

static int
print_many_lines(void)
{
    for (int i = 0; i < 3000; i++)
        printf("line %d of many\n", i);
    return 0;
}

/* In the mode "mpi-die-in-init" a rank prints the path of MPICH's shared memory and dies when MPICH is about to unlink
 * it in MPI_Init. */
int
unlink(const char *path)
{
    const char *mode = getenv("TEST_MODE");

    if (mode && strcmp(mode, "mpi-die-in-init") == 0 && strstr(path, "mpich_shar_tmp")) {
        printf("%s\n", path);
        fflush(stdout);
        raise(SIGKILL);
    }
    return (int)syscall(SYS_unlink, path);
}

static int
run_mpi(const char *mode)
{
    int rank, size, sum;

    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    sum = rank + 1;
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("sum %d of %d\n", sum, size);
    fflush(stdout);
    if (strcmp(mode, "mpi-abort") == 0 && rank == size - 1)
        MPI_Abort(MPI_COMM_WORLD, 7);
    if (strcmp(mode, "mpi-abort") == 0)
        sleep(30); /* the agent kills this rank before */
    if (strcmp(mode, "mpi-hosts") == 0) {
        MPI_Comm host;
        int host_size;

        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
        MPI_Comm_size(host, &host_size);
        printf("ranks on this host: %d\n", host_size);
        MPI_Comm_free(&host);
    }
    MPI_Finalize();
    return 0;
}

int
main(int argc, char **argv)
{
    const char *mode = getenv("TEST_MODE");
    int fd;

    if (argc != 2 || strcmp(argv[1], "--rank") != 0 || !mode)
        return 99;
    if (strcmp(mode, "print-and-exit") == 0) {
        puts("to output");
        fflush(stdout);
        fputs("to error", stderr);
        return 7;
    }
    if (strcmp(mode, "print-inheritance") == 0)
        return print_inheritance();
    if (strcmp(mode, "print-many-lines") == 0)
        return print_many_lines();
    if (strcmp(mode, "sigkill") == 0)
        return raise(SIGKILL);
    if (strcmp(mode, "sigsegv") == 0)
        return raise(SIGSEGV);
    if (strcmp(mode, "fork-child") == 0)
        return fork_child();
    if (strncmp(mode, "mpi", 3) == 0)
        return run_mpi(mode);
    if (strcmp(mode, "listen") == 0)
        return listen(inherited_socket(), 8) == 0 ? sleep_forever("listening") : 1;
    if (strcmp(mode, "malformed-pmi") == 0) {
        fd = (int)strtol(getenv("PMI_FD"), NULL, 10);
        /* In this second the agent reads the text, and it must not end the rank. */
        return send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0) == 18 && sleep(1) == 0 ? 5 : 6;
    }
    if (strcmp(mode, "ignore-sigterm") == 0)
        signal(SIGTERM, SIG_IGN);
    return sleep_forever("asleep"); /* "sleep", "ignore-sigterm" */
}
