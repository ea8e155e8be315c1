/* Which process uses a port: the kernel's tables of sockets, then the descriptors of each process. */
#include "net/portowner.h"

#include "base/util.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* States in the tables, as <netinet/tcp.h> numbers them. */
#define STATE_TIME_WAIT 6
#define STATE_LISTEN 10

/* A row of /proc/net/tcp or tcp6. */
typedef struct {
    struct in6_addr host; /* IPv4 in its mapped form */
    unsigned port, state;
    unsigned long inode;
} row_t;

static struct in6_addr
map_ipv4(uint32_t v4)
{
    struct in6_addr host = IN6ADDR_ANY_INIT;

    host.s6_addr[10] = host.s6_addr[11] = 0xff;
    memcpy(host.s6_addr + 12, &v4, 4);
    return host;
}

static bool
parse_row(const char *line, row_t *row)
{
    char digits[33];
    uint32_t words[4];

    if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", digits, &row->port, &row->state,
               &row->inode) != 4)
        return false;
    if (strlen(digits) == 8 && sscanf(digits, "%8x", &words[0]) == 1) {
        row->host = map_ipv4(words[0]);
        return true;
    }
    if (sscanf(digits, "%8x%8x%8x%8x", &words[0], &words[1], &words[2], &words[3]) != 4)
        return false;
    memcpy(&row->host, words, sizeof(row->host));
    return true;
}

static bool
is_any(const struct in6_addr *host)
{
    return IN6_IS_ADDR_UNSPECIFIED(host) ||
           (IN6_IS_ADDR_V4MAPPED(host) && memcmp(host->s6_addr + 12, "\0\0\0", 4) == 0);
}

/* Whether two sockets with these addresses cannot have the same port. "::" includes every IPv4 address. */
static bool
hosts_collide(const struct in6_addr *a, const struct in6_addr *b)
{
    if (IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_UNSPECIFIED(b) || IN6_ARE_ADDR_EQUAL(a, b))
        return true;
    return IN6_IS_ADDR_V4MAPPED(a) && IN6_IS_ADDR_V4MAPPED(b) && (is_any(a) || is_any(b));
}

/* Split an address into its host (IPv4 in its mapped form) and its port, which is returned. */
static unsigned
split_address(const struct sockaddr *address, struct in6_addr *host)
{
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

        *host = v6->sin6_addr;
        return ntohs(v6->sin6_port);
    }
    *host = map_ipv4(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

typedef struct {
    bool readable;       /* a table could be read */
    bool connections;    /* the port has connections */
    unsigned long inode; /* of a socket with the port, preferably a listening one; 0: no socket was found */
} usage_t;

static void
scan_table(const char *path, const struct sockaddr *address, usage_t *usage)
{
    FILE *file = fopen(path, "re");
    struct in6_addr host;
    unsigned port = split_address(address, &host);
    char line[512];
    row_t row;

    if (!file)
        return;
    usage->readable = true;
    while (fgets(line, sizeof(line), file)) {
        if (!parse_row(line, &row) || row.port != port || !hosts_collide(&row.host, &host))
            continue;
        if (row.state != STATE_LISTEN)
            usage->connections = true;
        if (row.state == STATE_LISTEN || (usage->inode == 0 && row.state != STATE_TIME_WAIT))
            usage->inode = row.inode;
    }
    fclose(file);
}

static usage_t
scan_tables(const struct sockaddr *address)
{
    usage_t usage = {0};

    scan_table("/proc/net/tcp", address, &usage);
    scan_table("/proc/net/tcp6", address, &usage);
    return usage;
}

bool
alchi_port_has_connections(const struct sockaddr *address)
{
    usage_t usage = scan_tables(address);

    return usage.connections || !usage.readable;
}

static void
read_name(int pid, char name[17])
{
    char path[64];
    FILE *file;

    name[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(name, 17, file))
        name[strcspn(name, "\n")] = '\0';
    fclose(file);
}

/* A socket that is bound but does not listen is in no table of the kernel. Duplicate the descriptor of the other
 * process and ask for its address. */
static bool
is_bound_to(int pid, int fd, const struct sockaddr *address)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    struct in6_addr host, bound_host;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), copy = -1;
    bool same = false;

    if (pidfd >= 0)
        copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    if (copy >= 0 && getsockname(copy, (struct sockaddr *)&bound, &size) == 0 &&
        (bound.ss_family == AF_INET || bound.ss_family == AF_INET6))
        same = split_address((struct sockaddr *)&bound, &bound_host) == split_address(address, &host) &&
               hosts_collide(&host, &bound_host);
    if (copy >= 0)
        close(copy);
    if (pidfd >= 0)
        close(pidfd);
    return same;
}

/* Whether the process has the socket with this inode; with inode 0, whether it has a socket that is bound to the
 * address. */
static bool
has_socket(int pid, unsigned long inode, const struct sockaddr *address)
{
    char path[64], target[64];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    dir = opendir(path);
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir))) {
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        unsigned long number;
        int64_t fd;

        target[length > 0 ? length : 0] = '\0';
        if (sscanf(target, "socket:[%lu]", &number) != 1 || !alchi_parse_int64(entry->d_name, 0, INT32_MAX, &fd))
            continue;
        found = inode ? number == inode : is_bound_to(pid, (int)fd, address);
    }
    closedir(dir);
    return found;
}

char *
alchi_port_owner(const struct sockaddr *address, char *text, size_t size)
{
    usage_t usage = scan_tables(address);
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    char name[17];
    int64_t pid;

    snprintf(text, size, "a process that cannot be seen");
    while (dir && (entry = readdir(dir))) {
        if (!alchi_parse_int64(entry->d_name, 1, INT32_MAX, &pid))
            continue;
        read_name((int)pid, name);
        /* Without an inode, is_bound_to() duplicates descriptors. Do that only to daemons, not to other programs. */
        if (usage.inode == 0 && strcmp(name, "alchemistd") != 0)
            continue;
        if (!has_socket((int)pid, usage.inode, address))
            continue;
        snprintf(text, size, "process %d (%s)", (int)pid, name);
        break;
    }
    if (dir)
        closedir(dir);
    return text;
}
