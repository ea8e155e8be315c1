/* Files: resolved, locked, opened by all ranks, and made beside the one whose place they take. */
#define _GNU_SOURCE /* renameat2() */
#include "h5.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define STALE_S 60 /* an unlocked file of our making that is older was left behind by a process that was killed */

void
hdf5_file_init(hdf5_file_t *file, alch_call_t *call, const char *asked)
{
    memset(file, 0, sizeof(*file));
    file->call = call;
    file->asked = asked;
    file->lock = -1;
    file->id = H5I_INVALID_HID;
    file->fd = -1;
}

static int
resolve(hdf5_file_t *file, bool for_writing)
{
    const alch_host_t *host = file->call->host;

    return host->agree(file->call, host->data_path(file->call, file->asked, for_writing, file->path, PATH_MAX), NULL);
}

/* Rank 0 speaks for all. File systems without locks do without. */
static int
take_lock(hdf5_file_t *file, bool exclusive)
{
    alch_call_t *call = file->call;

    if ((file->lock = open(file->path, (exclusive ? O_RDWR : O_RDONLY) | O_CLOEXEC)) < 0)
        return call->host->fail(call, errno == EACCES || errno == EROFS ? ALCH_EPERM : ALCH_ESYSTEM,
                                "file '%s' cannot be opened for %s: %s", file->asked, exclusive ? "writing" : "reading",
                                strerror(errno));
    if (flock(file->lock, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) && errno == EWOULDBLOCK)
        return call->host->fail(call, ALCH_EBUSY, "file '%s' is being %s by somebody else", file->asked,
                                exclusive ? "used" : "written");
    return ALCH_OK;
}

/* On other hosts the same path may mean another file. */
static int
check_same(hdf5_file_t *file)
{
    struct stat mine = {0};
    int64_t facts[2];
    bool there = stat(file->path, &mine) == 0;

    facts[0] = (int64_t)mine.st_ino;
    facts[1] = there;
    MPI_Bcast(facts, 2, MPI_INT64_T, 0, file->call->comm);
    if (there != (facts[1] != 0) || (there && facts[0] != (int64_t)mine.st_ino))
        return file->call->host->fail(file->call, ALCH_ENOENT,
                                      "file '%s' is not the same on all workers' hosts: it must be on a shared file "
                                      "system",
                                      file->asked);
    return ALCH_OK;
}

int
hdf5_file_find(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = resolve(file, false);

    if (code || (code = call->host->agree(call, check_same(file), NULL)))
        return code;
    return call->host->agree(call, call->rank == 0 ? take_lock(file, false) : ALCH_OK, NULL);
}

int
hdf5_file_inspect(hdf5_file_t *file, const char *dataset, hdf5_facts_t *facts)
{
    alch_call_t *call = file->call;
    int code = hdf5_file_find(file);
    hid_t id;

    if (code)
        return code;
    memset(facts, 0, sizeof(*facts));
    if (call->rank == 0 && !(code = hdf5_open_alone(file, false, &id))) {
        code = hdf5_inspect(call, id, file->asked, dataset, facts);
        H5Fclose(id);
    }
    return hdf5_share(call, code, facts, sizeof(*facts));
}

int
hdf5_file_claim(hdf5_file_t *file, bool *there_p)
{
    alch_call_t *call = file->call;
    int code = resolve(file, true);

    if (code || (code = call->host->agree(call, check_same(file), NULL)))
        return code;
    *there_p = access(file->path, F_OK) == 0;
    if (call->rank == 0 && *there_p)
        code = take_lock(file, true);
    return hdf5_share(call, code, there_p, sizeof(*there_p));
}

int
hdf5_file_room(const hdf5_file_t *file, int64_t bytes)
{
    char directory[PATH_MAX];
    struct statvfs room;
    double free_bytes;

    snprintf(directory, sizeof(directory), "%s", file->path);
    if (statvfs(dirname(directory), &room))
        return ALCH_OK;
    free_bytes = (double)room.f_bavail * (double)room.f_frsize;
    if ((double)bytes <= free_bytes)
        return ALCH_OK;
    return file->call->host->fail(file->call, ALCH_ESYSTEM,
                                  "no room for file '%s': %.1f MB are to be written, %.1f MB are free", file->asked,
                                  (double)bytes / 1e6, free_bytes / 1e6);
}

/* ".data.h5.alchemist-": hidden, and in the same directory, so that it can be renamed. */
static void
made_prefix(const hdf5_file_t *file, char *directory, char *prefix)
{
    const char *slash = strrchr(file->path, '/');

    snprintf(directory, PATH_MAX, "%.*s", (int)(slash - file->path), file->path);
    snprintf(prefix, PATH_MAX, ".%.200s.alchemist-", slash + 1);
}

/* Files that nobody has locked, although their makers keep a lock while they live. */
static void
remove_stale(const char *directory, const char *prefix)
{
    DIR *entries = opendir(*directory ? directory : "/");
    struct dirent *entry;

    while (entries && (entry = readdir(entries))) {
        struct stat status;
        int fd;

        if (strncmp(entry->d_name, prefix, strlen(prefix)) ||
            (fd = openat(dirfd(entries), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
            continue;
        if (fstat(fd, &status) == 0 && status.st_mtime + STALE_S < time(NULL) && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
        close(fd);
    }
    if (entries)
        closedir(entries);
}

/* The permissions of the file that it replaces, or those that a new file gets. */
static void
set_permissions(const hdf5_file_t *file, int fd)
{
    struct stat status;
    mode_t mask = umask(0);

    umask(mask);
    (void)!fchmod(fd, stat(file->path, &status) == 0 ? status.st_mode & 0777 : 0666 & ~mask);
}

static int
make_beside(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    char directory[PATH_MAX], prefix[PATH_MAX];
    int fd;

    made_prefix(file, directory, prefix);
    remove_stale(directory, prefix);
    if (snprintf(file->made, PATH_MAX, "%s/%.230sXXXXXX", directory, prefix) >= PATH_MAX ||
        (fd = mkstemp(file->made)) < 0) {
        int code = call->host->fail(call, errno == EACCES || errno == EROFS ? ALCH_EPERM : ALCH_ESYSTEM,
                                    "no file can be made in the directory of '%s': %s", file->asked, strerror(errno));
        file->made[0] = '\0';
        return code;
    }
    set_permissions(file, fd);
    if (file->lock >= 0)
        close(file->lock);
    file->lock = fd;
    flock(fd, LOCK_EX | LOCK_NB);
    return ALCH_OK;
}

static int
create_alone(hdf5_file_t *file)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);

    /* Ours is on it already. */
    H5Pset_file_locking(access, false, true);
    file->id = H5Fcreate(file->made, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    return file->id < 0 ? hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' cannot be made", file->asked) : ALCH_OK;
}

int
hdf5_file_create(hdf5_file_t *file, int64_t bytes)
{
    int code = ALCH_OK;

    if (file->call->rank == 0 && !(code = hdf5_file_room(file, bytes)) && !(code = make_beside(file)))
        code = create_alone(file);
    return hdf5_share(file->call, code, file->made, sizeof(file->made));
}

static int
end_hdf5(hdf5_file_t *file)
{
    hid_t id = file->id;

    file->id = H5I_INVALID_HID;
    if (id >= 0 && H5Fclose(id) < 0)
        return hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' was not written to its end", file->asked);
    return ALCH_OK;
}

int
hdf5_file_settle(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = call->host->agree(call, end_hdf5(file), NULL);

    if (code)
        return code;
    file->fd = open(file->made[0] ? file->made : file->path, O_WRONLY | O_CLOEXEC);
    if (file->fd < 0)
        code = call->host->fail(call, ALCH_ESYSTEM, "file '%s' cannot be opened: %s", file->asked, strerror(errno));
    return call->host->agree(call, code, NULL);
}

int
hdf5_file_sync(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int failed = fsync(file->fd), error = errno, code = ALCH_OK;

    /* Some file systems report here what went wrong long before. */
    if (close(file->fd) && !failed)
        failed = -1, error = errno;
    file->fd = -1;
    if (failed)
        code = call->host->fail(call, ALCH_ESYSTEM, "file '%s' was not written to its end: %s", file->asked,
                                strerror(error));
    return call->host->agree(call, code, NULL);
}

static int
put_in_place(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;
    int failed = replace ? rename(file->made, file->path)
                         : renameat2(AT_FDCWD, file->made, AT_FDCWD, file->path, RENAME_NOREPLACE);
    /* Not every file system knows how to rename like that. */
    if (failed && !replace && (errno == EINVAL || errno == ENOSYS) && !(failed = link(file->made, file->path)))
        unlink(file->made);
    if (failed && errno == EEXIST)
        return call->host->fail(call, ALCH_ESTATE, "file '%s' was made by somebody else meanwhile", file->asked);
    if (failed)
        return call->host->fail(call, ALCH_ESYSTEM, "file '%s' cannot be put in its place: %s", file->asked,
                                strerror(errno));
    file->made[0] = '\0';
    return ALCH_OK;
}

int
hdf5_file_commit(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;

    return call->host->agree(call, call->rank == 0 ? put_in_place(file, replace) : ALCH_OK, NULL);
}

void
hdf5_file_close(hdf5_file_t *file)
{
    (void)end_hdf5(file);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    if (file->call->rank == 0 && file->made[0])
        unlink(file->made);
    file->made[0] = '\0';
    if (file->lock >= 0)
        close(file->lock);
    file->lock = -1;
}
