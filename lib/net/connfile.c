/* The connection file: lock, write and read it. */
#include "net/connfile.h"

#include "base/error.h"
#include "base/util.h"
#include "net/connpath.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 16384                     /* bytes; a larger file is not a connection file */
#define PATH_SIZE (ALCHI_CONNPATH_MAX + 8) /* of a path with ".lock" or ".tmp" */
/* A daemon tries for 1 s to lock its file, because each reader holds a shared lock for a moment. */
#define LOCK_TRIES 200
#define LOCK_PAUSE_US 5000

/* ---- the lock ---- */

static void
make_lock_path(const char *path, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s.lock", path);
}

/* Whether the path still names the open lock file. Its last owner may have removed the file after this process opened
 * it. */
static bool
is_same_file(int fd, const char *path)
{
    struct stat open_info, path_info;

    return fstat(fd, &open_info) == 0 && stat(path, &path_info) == 0 && open_info.st_dev == path_info.st_dev &&
           open_info.st_ino == path_info.st_ino;
}

/* Try once. ALCH_EAGAIN: a reader had the lock, or the file was removed; ALCH_EBUSY: a daemon has the lock. */
static int
try_lock(const char *path, int *fd_p, alch_error_t *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat info;
    int code;

    if (fd < 0)
        return alchi_error_errno(err, errno, "cannot open %s", path);
    if (fstat(fd, &info) != 0 || info.st_uid != geteuid()) {
        close(fd);
        return alchi_error_set(err, ALCH_EPERM, "%s belongs to another user", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (is_same_file(fd, path)) {
            *fd_p = fd;
            return ALCH_OK;
        }
        close(fd);
        return ALCH_EAGAIN;
    }
    /* A shared lock is compatible with the shared locks of readers, but not with the exclusive lock of a daemon. */
    code = flock(fd, LOCK_SH | LOCK_NB) == 0 ? ALCH_EAGAIN : ALCH_EBUSY;
    close(fd);
    return code;
}

static int
take_lock(const char *path, int *fd_p, alch_error_t *err)
{
    char lock[PATH_SIZE];
    int code = ALCH_EAGAIN;

    make_lock_path(path, lock);
    for (int i = 0; i < LOCK_TRIES; i++) {
        code = try_lock(lock, fd_p, err);
        if (code != ALCH_EAGAIN)
            break;
        usleep(LOCK_PAUSE_US);
    }
    if (code == ALCH_EBUSY || code == ALCH_EAGAIN)
        return alchi_error_set(err, ALCH_EBUSY, "%s belongs to another alchemistd, which is running", path);
    return code;
}

/* Whether a running daemon holds the lock. */
static bool
has_running_daemon(const char *path)
{
    char lock[PATH_SIZE];
    bool locked;
    int fd;

    make_lock_path(path, lock);
    fd = open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

/* ---- writing ---- */

/* The host that a client on this host connects to: loopback, if the daemon listens on every interface. */
static const char *
host_for_clients(const char *host)
{
    if (!alchi_address_is_any(host))
        return host;
    return strchr(host, ':') ? "::1" : "127.0.0.1";
}

static char *
format_json(const alchi_connfile_t *file)
{
    char token[2 * ALCHI_KEY_SIZE + 1];
    json_t *root;
    char *text = NULL;

    alchi_hex_encode(file->token, ALCHI_KEY_SIZE, token);
    root = json_pack("{s:s, s:i, s:s, s:i, s:s}", "address", host_for_clients(file->address.host), "port",
                     file->address.port, "token", token, "pid", file->pid, "version", ALCH_VERSION);
    OPENSSL_cleanse(token, sizeof(token));
    if (root)
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}

static int
write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Write a temporary file and rename it, so the whole file appears at once or not at all. The caller holds the lock, so
 * no other process uses the temporary file. */
static int
replace_file(const char *path, const char *text, alch_error_t *err)
{
    char temporary[PATH_SIZE];
    int fd, number = 0;

    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return alchi_error_errno(err, errno, "cannot create %s", temporary);
    if (fchmod(fd, 0600) != 0 || write_all(fd, text, strlen(text)) != 0 || write_all(fd, "\n", 1) != 0)
        number = errno;
    if (close(fd) != 0 && number == 0)
        number = errno;
    if (number == 0 && rename(temporary, path) != 0)
        number = errno;
    if (number == 0)
        return ALCH_OK;
    unlink(temporary);
    return alchi_error_errno(err, number, "cannot write %s", path);
}

static void
release_lock(const char *path, int fd)
{
    char lock[PATH_SIZE];

    make_lock_path(path, lock);
    unlink(lock);
    close(fd);
}

int
alchi_connfile_write(alchi_connfile_t *file, int *lock_fd_p, alch_error_t *err)
{
    char dir[ALCHI_CONNPATH_MAX], path[sizeof(file->path)];
    int code = ALCH_OK, fd = -1;
    char *text;

    if (file->pid == 0)
        file->pid = (int)getpid();
    snprintf(path, sizeof(path), "%s", file->path);
    if (path[0] == '\0') {
        code = alchi_connfile_dir(true, dir, sizeof(dir), err);
        if (code == ALCH_OK)
            code = alchi_connpath_name(dir, &file->address, path, sizeof(path), err);
    }
    if (code != ALCH_OK)
        return code;
    code = take_lock(path, &fd, err);
    if (code != ALCH_OK)
        return code;
    text = format_json(file);
    if (text) {
        code = replace_file(path, text, err);
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    } else {
        code = alchi_error_set(err, ALCH_ENOMEM, "%s cannot be written: out of memory", path);
    }
    if (code != ALCH_OK) {
        release_lock(path, fd);
        return code;
    }
    /* Store the absolute path: the process may change its directory before it removes the file. */
    if (!realpath(path, file->path))
        memcpy(file->path, path, sizeof(path));
    *lock_fd_p = fd;
    return ALCH_OK;
}

void
alchi_connfile_remove(const alchi_connfile_t *file, int lock_fd)
{
    if (lock_fd < 0)
        return;
    unlink(file->path);
    release_lock(file->path, lock_fd);
}

/* ---- reading ---- */

static int
refuse_file(const char *path, const char *reason, alch_error_t *err)
{
    return alchi_error_set(err, ALCH_EPROTO, "%s is not a connection file: %s", path, reason);
}

static int
parse_json(const char *path, const char *text, size_t size, alchi_connfile_t *file, alch_error_t *err)
{
    const char *host, *token;
    alchi_address_t address;
    json_error_t error;
    int port, code = ALCH_OK;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

    if (!root)
        return refuse_file(path, error.text, err);
    if (json_unpack_ex(root, &error, 0, "{s:s, s:i, s:s, s:i}", "address", &host, "port", &port, "token", &token, "pid",
                       &file->pid) != 0)
        code = refuse_file(path, error.text, err);
    else if (port < 1 || port > 65535 || host[0] == '\0' || alchi_address_parse(host, -1, &address, NULL) != ALCH_OK ||
             address.port != -1)
        code = refuse_file(path, "its address is not a host name, or its port is not from 1 to 65535", err);
    else if (!alchi_hex_decode(token, file->token, ALCHI_KEY_SIZE))
        code = refuse_file(path, "its token is not 64 hexadecimal digits", err);
    else
        file->address = address;
    file->address.port = port;
    json_decref(root);
    return code;
}

/* Refuse a file that other users could have read or written: they would know the token, or could have chosen it. */
static int
check_file(const char *path, const struct stat *info, alch_error_t *err)
{
    if (!S_ISREG(info->st_mode))
        return refuse_file(path, "it is not a regular file", err);
    if (info->st_uid != geteuid())
        return alchi_error_set(err, ALCH_EPERM, "%s belongs to user %u, this process to user %u", path,
                               (unsigned)info->st_uid, (unsigned)geteuid());
    if (info->st_mode & 077)
        return alchi_error_set(err, ALCH_EPERM, "%s is open to other users (mode %03o): chmod 600 %s", path,
                               (unsigned)info->st_mode & 0777, path);
    if (info->st_size >= FILE_MAX)
        return refuse_file(path, "it has 16 KiB or more", err);
    return ALCH_OK;
}

static int
read_text(const char *path, char text[FILE_MAX], size_t *size_p, alch_error_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), code;
    struct stat info;
    ssize_t n;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return alchi_error_set(err, ALCH_ENOENT, "there is no connection file %s", path);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return alchi_error_set(err, ALCH_EPERM, "%s may not be read by this user", path);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int number = errno;

        if (fd >= 0)
            close(fd);
        return alchi_error_errno(err, number, "cannot read %s", path);
    }
    code = check_file(path, &info, err);
    if (code == ALCH_OK) {
        n = read(fd, text, FILE_MAX);
        *size_p = n > 0 ? (size_t)n : 0;
        if (n < 0)
            code = alchi_error_errno(err, errno, "cannot read %s", path);
    }
    close(fd);
    return code;
}

int
alchi_connfile_read(const char *path, alchi_connfile_t *file_p, alch_error_t *err)
{
    char text[FILE_MAX];
    alchi_connfile_t file = {0};
    size_t size = 0;
    int code;

    /* The lock is next to the file itself, not next to a symbolic link to it. */
    if (!realpath(path, file.path))
        snprintf(file.path, sizeof(file.path), "%s", path);
    code = read_text(file.path, text, &size, err);
    if (code == ALCH_OK)
        code = parse_json(file.path, text, size, &file, err);
    OPENSSL_cleanse(text, sizeof(text));
    if (code == ALCH_OK && !has_running_daemon(file.path))
        code = alchi_error_set(err, ALCH_ESTATE, "%s is stale: its alchemistd (process %d) has ended", file.path,
                               file.pid);
    if (code == ALCH_OK)
        *file_p = file;
    OPENSSL_cleanse(file.token, sizeof(file.token));
    return code;
}
