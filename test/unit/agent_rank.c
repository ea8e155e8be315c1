/* What the agent's tests run as a rank: compiled by them, it does what TEST_MODE says. Not a test itself. */
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

static void
print_file(const char *path, const char *only)
{
    FILE *file = fopen(path, "r");
    char line[256];

    while (file && fgets(line, sizeof(line), file))
        if (!only || strncmp(line, only, strlen(only)) == 0)
            printf("%s: %s", path, line);
    fclose(file);
}

static int
show(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    char config[4096] = "", target[256];
    int count = 0, death = 0;
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
    printf("group %s\n", getpgid(0) == getpid() ? "own" : "shared");
    prctl(PR_GET_PDEATHSIG, &death);
    printf("death %d\n", death);
    print_file("/proc/self/oom_score_adj", NULL);
    print_file("/proc/self/status", "SigBlk");
    print_file("/proc/self/status", "SigIgn");
    printf("rank %s of %s threads %s\n", getenv("PMI_RANK"), getenv("PMI_SIZE"), getenv("OMP_NUM_THREADS"));
    printf("token %s\n", getenv("ALCHEMIST_TOKEN") ? "there" : "gone");
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
with_child(void)
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
flood(void)
{
    for (int i = 0; i < 3000; i++)
        printf("line %d of a rank that has a lot to say\n", i);
    return 0;
}

/* In the mode "mpi-leave" a rank dies when MPICH is about to unlink its shared memory within MPI_Init. */
int
unlink(const char *path)
{
    const char *mode = getenv("TEST_MODE");

    if (mode && strcmp(mode, "mpi-leave") == 0 && strstr(path, "mpich_shar_tmp")) {
        printf("%s\n", path);
        fflush(stdout);
        raise(SIGKILL);
    }
    return (int)syscall(SYS_unlink, path);
}

static int
job(const char *mode)
{
    int rank, size, sum, world;

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
        sleep(30);
    if (strcmp(mode, "mpi-hosts") == 0) {
        MPI_Comm host;

        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
        MPI_Comm_size(host, &world);
        printf("on host %d\n", world);
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
    if (strcmp(mode, "exit") == 0) {
        puts("to output");
        fflush(stdout);
        fputs("to error", stderr);
        return 7;
    }
    if (strcmp(mode, "show") == 0)
        return show();
    if (strcmp(mode, "kill") == 0)
        return raise(SIGKILL);
    if (strcmp(mode, "segv") == 0)
        return raise(SIGSEGV);
    if (strcmp(mode, "stubborn") == 0)
        signal(SIGTERM, SIG_IGN);
    if (strcmp(mode, "child") == 0)
        return with_child();
    if (strcmp(mode, "flood") == 0)
        return flood();
    if (strncmp(mode, "mpi", 3) == 0)
        return job(mode);
    if (strcmp(mode, "listen") == 0)
        return listen(inherited_socket(), 8) == 0 ? sleep_forever("listening") : 1;
    if (strcmp(mode, "garbage") == 0) {
        fd = (int)strtol(getenv("PMI_FD"), NULL, 10);
        return send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0) == 18 && sleep(1) == 0 ? 5 : 6;
    }
    return sleep_forever("asleep");
}
