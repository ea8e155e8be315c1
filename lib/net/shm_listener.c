/* The unix sockets at which a rank listens for clients of the same host. Only a process that knows the rank's data key
 * can compute their name. */
#include "net/shm.h"

#include "base/util.h"
#include "net/connfile.h"
#include "net/connpath.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_BYTES 16 /* bytes of the derived key in a name, which has two digits for each */
#define PREFIX "rank-"
#define SUFFIX ".sock"
#define BACKLOG 128

/* The name is derived from the key once more, so it does not reveal the key. */
static void
make_name(const uint8_t key[ALCHI_KEY_SIZE], const alchi_claim_t *claim, char name[2 * NAME_BYTES + 1])
{
    uint8_t derived[ALCHI_KEY_SIZE];

    alchi_derive_data_key(key, claim->session, claim->group, claim->rank, derived);
    alchi_hex_encode(derived, NAME_BYTES, name);
    explicit_bzero(derived, sizeof(derived));
}

/* An abstract name begins with a zero byte, which `text` does not contain. Returns the size of the address; 0: the name
 * is too long. */
static socklen_t
make_address(const char *text, bool abstract, struct sockaddr_un *address)
{
    size_t length = strlen(text);

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (length + 1 > sizeof(address->sun_path))
        return 0;
    memcpy(address->sun_path + (abstract ? 1 : 0), text, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static int
open_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int
listen_at(const char *text, bool abstract)
{
    struct sockaddr_un address;
    socklen_t size = make_address(text, abstract, &address);
    int fd = size ? open_unix_socket() : -1;

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Connect to a socket. @return the descriptor; -1: errno says why */
static int
connect_to(const char *text, bool abstract)
{
    struct sockaddr_un address;
    socklen_t size = make_address(text, abstract, &address);
    int fd = size ? open_unix_socket() : -1, saved;

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, size) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The file gets its final name only after the socket listens. So if the socket of such a file refuses connections, its
 * process has ended. */
static int
listen_in_folder(const char *name, char path[ALCHI_SHM_PATH_MAX])
{
    char folder[ALCHI_CONNPATH_MAX], hidden[ALCHI_SHM_PATH_MAX];
    int fd;

    if (alchi_connfile_dir(true, folder, sizeof(folder), NULL) != ALCH_OK)
        return -1;
    if (snprintf(path, ALCHI_SHM_PATH_MAX, "%s/" PREFIX "%s" SUFFIX, folder, name) >= ALCHI_SHM_PATH_MAX ||
        snprintf(hidden, sizeof(hidden), "%s/.%s", folder, name) >= (int)sizeof(hidden))
        return -1;
    fd = listen_at(hidden, false);
    if (fd >= 0 && rename(hidden, path) == 0)
        return fd;
    if (fd >= 0) {
        unlink(hidden);
        close(fd);
    }
    return -1;
}

void
alchi_shm_listener_open(alchi_shm_listener_t *listener, const uint8_t key[ALCHI_KEY_SIZE], const alchi_claim_t *claim)
{
    char name[2 * NAME_BYTES + 1];

    make_name(key, claim, name);
    listener->fd[0] = listen_at(name, true);
    listener->fd[1] = listen_in_folder(name, listener->path);
    if (listener->fd[1] < 0)
        listener->path[0] = '\0';
}

void
alchi_shm_listener_close(alchi_shm_listener_t *listener)
{
    for (int k = 0; k < 2; k++) {
        if (listener->fd[k] >= 0)
            close(listener->fd[k]);
        listener->fd[k] = -1;
    }
    if (listener->path[0])
        unlink(listener->path);
    listener->path[0] = '\0';
}

int
alchi_shm_connect(const uint8_t key[ALCHI_KEY_SIZE], const alchi_claim_t *claim)
{
    char name[2 * NAME_BYTES + 1], path[ALCHI_SHM_PATH_MAX], folders[2][ALCHI_CONNPATH_MAX];
    int count = alchi_connpath_dirs(folders), fd;

    make_name(key, claim, name);
    fd = connect_to(name, true);
    for (int k = 0; k < count && fd < 0; k++) {
        if (snprintf(path, sizeof(path), "%s/" PREFIX "%s" SUFFIX, folders[k], name) < (int)sizeof(path))
            fd = connect_to(path, false);
    }
    return fd;
}

static int
sweep_folder(const char *folder)
{
    char path[ALCHI_SHM_PATH_MAX];
    DIR *dir = alchi_connpath_check(folder, NULL) == ALCH_OK ? opendir(folder) : NULL;
    struct dirent *entry;
    int removed = 0;

    while (dir && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);
        int fd;

        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || length != strlen(PREFIX SUFFIX) + 2 * NAME_BYTES ||
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
            continue;
        fd = connect_to(path, false);
        if (fd >= 0)
            close(fd);
        else if (errno == ECONNREFUSED && unlink(path) == 0)
            removed++;
    }
    if (dir)
        closedir(dir);
    return removed;
}

int
alchi_shm_sweep_sockets(void)
{
    char folders[2][ALCHI_CONNPATH_MAX];
    int count = alchi_connpath_dirs(folders), removed = 0;

    for (int k = 0; k < count; k++)
        removed += sweep_folder(folders[k]);
    return removed;
}
