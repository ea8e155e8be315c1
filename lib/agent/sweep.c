/* Remove the shared memory that dead ranks left behind. */
#include "agent/sweep.h"

#include "base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const prefixes[] = {"mpich_shar_tmp", "mpich_s_shar_tmp", "ucx_shm_posix_"};

static bool
has_prefix(const char *name)
{
    for (size_t i = 0; i < ALCHI_COUNT(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Whether no process has the file open or mapped for writing. If a process opens it while this one has the lease, the
 * kernel sends a signal. The default signal, SIGIO, would end this process, so it is replaced by SIGURG, which is
 * ignored by default. */
static bool
is_unused(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) != 0 || fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
        return false;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

static bool
was_left_behind(int fd)
{
    struct timespec now;
    struct stat file;

    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_uid != geteuid() || file.st_nlink == 0)
        return false;
    /* An empty file may be so new that the process that creates it does not have it open yet. A later call can remove
     * it. */
    clock_gettime(CLOCK_REALTIME, &now);
    if (file.st_size == 0 && now.tv_sec - file.st_ctim.tv_sec < 2)
        return false;
    return is_unused(fd);
}

int
alchi_agent_sweep_files(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int removed = 0;

    if (!dir)
        return 0;
    while ((entry = readdir(dir))) {
        int fd;

        if (!has_prefix(entry->d_name))
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (was_left_behind(fd) && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            removed++;
        close(fd);
    }
    closedir(dir);
    return removed;
}

static bool
is_one_of(pid_t pid, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return pid > 0;
    return false;
}

int
alchi_agent_sweep_segments(const pid_t *pids, size_t count)
{
    struct shmid_ds segment;
    struct shm_info info;
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)&info), removed = 0;

    for (int i = 0; i <= last; i++) {
        int id = shmctl(i, SHM_STAT, &segment);

        if (id >= 0 && segment.shm_nattch == 0 && segment.shm_perm.cuid == geteuid() &&
            is_one_of(segment.shm_cpid, pids, count) && shmctl(id, IPC_RMID, NULL) == 0)
            removed++;
    }
    return removed;
}
