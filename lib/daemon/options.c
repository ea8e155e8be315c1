/* The options of alchemistd. */
#include "daemon/options.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/address.h"
#include <alchemist/session.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (INT64_C(1) << 20)
#define AT(member) offsetof(alchi_dmn_options_t, member)
#define TEXT(number) #number
#define TEXT_OF(macro) TEXT(macro)

/* name, type, value, default, unit, text, member, minimum, maximum */
static const alchi_option_t table[] = {
    {"workers", ALCHI_OPTION_INT, "N", "3", "slots", "worker slots of this host", AT(workers), 1, 4096},
    {"port", ALCHI_OPTION_INT, "P", TEXT_OF(ALCH_DEFAULT_PORT), NULL,
     "port of the driver; slot i listens on port P+i; an agent uses P only to number the ports of its own slots; 0: "
     "any free ports",
     AT(port), 0, 65534},
    {"bind", ALCHI_OPTION_TEXT, "ADDR", "127.0.0.1", NULL,
     "address to listen on; an address that other hosts can reach needs --insecure", AT(bind), 0, 0},
    {"insecure", ALCHI_OPTION_FLAG, NULL, NULL, NULL,
     "listen on addresses that other hosts can reach, although data is not encrypted; connections still authenticate",
     AT(insecure), 0, 0},
    {"advertise", ALCHI_OPTION_TEXT, "HOST", NULL, NULL,
     "(agent) address at which clients reach its workers; default: the address that the driver sees", AT(advertise), 0,
     0},
    {"plugin-dir", ALCHI_OPTION_LIST, "DIR", NULL, NULL,
     "directory from which workers may load libraries; default: the installed one, and in a build tree the tree's own",
     AT(driver.plugin_dirs), 0, 0},
    {"data-dir", ALCHI_OPTION_LIST, "DIR", NULL, NULL,
     "directory in which libraries may read and write files for clients, at any depth; relative paths start in the "
     "first one; default: none, clients reach no file",
     AT(driver.data_dirs), 0, 0},
    {"connection-file", ALCHI_OPTION_TEXT, "FILE", NULL, NULL,
     "file in which local clients find the address and the token; default: alchemist-HOST-PORT.json in "
     "$XDG_RUNTIME_DIR/alchemist or ~/.alchemist",
     AT(connection_file), 0, 0},
    {"no-connection-file", ALCHI_OPTION_FLAG, NULL, NULL, NULL, "write no connection file (needs --token-file)",
     AT(no_connection_file), 0, 0},
    {"token-file", ALCHI_OPTION_TEXT, "FILE", NULL, NULL,
     "file with the token: 64 hexadecimal digits, mode 0600; it is created if it does not exist; default: a new token "
     "at every start",
     AT(token_file), 0, 0},
    {"log-level", ALCHI_OPTION_TEXT, "LEVEL", "info", NULL, "error, warning, info or debug", AT(driver.log_level), 0,
     0},
    {"memory-limit", ALCHI_OPTION_BYTES, "BYTES", "0", "bytes",
     "memory that one worker may use for matrices and buffers; 0: 90 % of the memory of its host or control group, "
     "divided by the slots there",
     AT(driver.memory_limit), 0, INT64_MAX},
    {"keep-memory", ALCHI_OPTION_BYTES, "BYTES", "4G", "bytes",
     "memory of freed matrices that a worker keeps for new ones, within --memory-limit; 0: none",
     AT(driver.keep_memory), 0, INT64_C(1) << 50},
    {"start-timeout", ALCHI_OPTION_INT, "MS", "30000", "ms",
     "time within which a worker group must be ready, or an agent must reach the driver", AT(driver.start_timeout_ms),
     1, 3600000},
    {"fail-grace", ALCHI_OPTION_INT, "MS", "5000", "ms",
     "after a call has failed on one worker, the other workers must return within this time, or the group is ended",
     AT(driver.fail_grace_ms), 1, 3600000},
    {"client-timeout", ALCHI_OPTION_INT, "MS", "60000", "ms",
     "a host or a worker that is silent for this time counts as lost", AT(driver.client_timeout_ms), 1, 86400000},
    {"io-timeout", ALCHI_OPTION_INT, "MS", "30000", "ms",
     "a data connection that makes no progress within a message for this time is closed", AT(driver.io_timeout_ms), 1,
     86400000},
    {"connections", ALCHI_OPTION_INT, "N", "256", NULL,
     "maximum number of client connections to the driver, and to each worker", AT(driver.connections), 1, 65536},
    {"message-limit", ALCHI_OPTION_BYTES, "BYTES", "256M", "bytes", "largest message of a transfer",
     AT(driver.message_limit), 64 << 10, INT64_C(1) << 40},
    {"data-threads", ALCHI_OPTION_INT, "N", "2", NULL, "threads of one worker that serve transfers",
     AT(driver.data_threads), 1, 64},
    {"no-shared-memory", ALCHI_OPTION_FLAG, NULL, NULL, NULL,
     "use TCP also for transfers to and from clients of the same host", AT(driver.no_shared_memory), 0, 0},
    {"owner-pid", ALCHI_OPTION_INT, "PID", "0", NULL, "stop when this process has ended; 0: no such process",
     AT(owner_pid), 0, INT32_MAX},
    {"mpi-net-devices", ALCHI_OPTION_TEXT, "LIST", NULL, NULL,
     "network devices that MPI uses between hosts (UCX_NET_DEVICES); the network must be trusted; default: MPI chooses",
     AT(driver.net_devices), 0, 0},
    {"agent", ALCHI_OPTION_FLAG, NULL, NULL, NULL,
     "run an agent: serve this host's slots to the driver of another host", AT(agent), 0, 0},
    {"join", ALCHI_OPTION_TEXT, "HOST:PORT", NULL, NULL, "(agent) address of the driver", AT(join), 0, 0},
    {"help", ALCHI_OPTION_FLAG, NULL, NULL, NULL, "print this text and exit", AT(help), 0, 0},
    {"version", ALCHI_OPTION_FLAG, NULL, NULL, NULL, "print the version and exit", AT(version), 0, 0},
};

/* Prints the table of options for alchemistd(8). The help does not show this option. */
static const char hidden[] = "--print-options-man";

static int
check_port(const alchi_dmn_options_t *options, alch_error_t *err)
{
    if (options->port && options->port + options->workers > 65535)
        return alchi_error_set(
            err, ALCH_EINVAL, "--port %lld with --workers %lld needs ports up to %lld, and the highest port is 65535",
            (long long)options->port, (long long)options->workers, (long long)(options->port + options->workers));
    return ALCH_OK;
}

/* alchi_address_is_loopback() accepts "any" addresses, since a client may connect to them. A listener there is open to
 * all hosts. */
static bool
is_loopback_only(const char *host)
{
    return alchi_address_is_loopback(host) && strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0;
}

static int
check_options(const alchi_dmn_options_t *options, alch_error_t *err)
{
    alchi_address_t address;
    int code;

    if (alchi_log_level_parse(options->driver.log_level) < 0)
        return alchi_error_set(err, ALCH_EINVAL, "--log-level %s is not one of error, warning, info and debug",
                               options->driver.log_level);
    if (options->agent && !options->join)
        return alchi_error_set(err, ALCH_EINVAL, "--agent needs --join HOST:PORT");
    if (!options->agent && options->join)
        return alchi_error_set(err, ALCH_EINVAL, "--join needs --agent");
    if (options->no_connection_file && !options->token_file && !options->agent)
        return alchi_error_set(err, ALCH_EINVAL,
                               "--no-connection-file needs --token-file, or no client could know the token");
    if (!is_loopback_only(options->bind) && !options->insecure)
        return alchi_error_set(err, ALCH_EPERM,
                               "--bind %s can be reached from other hosts, and data would travel unencrypted: "
                               "bind to 127.0.0.1, or add --insecure if the network is trusted",
                               options->bind);
    if (options->join) {
        if ((code = alchi_address_parse(options->join, ALCH_DEFAULT_PORT, &address, err)))
            return code;
        if (!is_loopback_only(address.host) && !options->insecure)
            return alchi_error_set(err, ALCH_EPERM,
                                   "--join %s is another host, and keys and data would travel unencrypted: "
                                   "add --insecure if the network is trusted",
                                   options->join);
    }
    return check_port(options, err);
}

int
alchi_dmn_options_read(int argc, char **argv, alchi_dmn_options_t *options, alch_error_t *err)
{
    int code;

    memset(options, 0, sizeof(*options));
    if (argc == 2 && strcmp(argv[1], hidden) == 0)
        argc = 1, options->print_options_man = true;
    if ((code = alchi_options_parse(table, ALCHI_COUNT(table), argc, argv, options, err)))
        return code;
    if (options->help || options->version || options->print_options_man)
        return ALCH_OK;
    if ((code = check_options(options, err)))
        alchi_dmn_options_free(options);
    return code;
}

void
alchi_dmn_options_free(alchi_dmn_options_t *options)
{
    alchi_options_fini(table, ALCHI_COUNT(table), options);
}

void
alchi_dmn_options_print_help(void)
{
    alchi_options_help(table, ALCHI_COUNT(table),
                       "usage: alchemistd [--workers N] [--port P] [OPTION]...\n"
                       "       alchemistd --agent --join HOST:PORT [--workers N] [OPTION]...");
}

void
alchi_dmn_options_print_man(void)
{
    alchi_options_man(table, ALCHI_COUNT(table));
}

static int
add_dir(alchi_text_list_t *list, const char *option, const char *path, alch_error_t *err)
{
    char **items = realloc(list->items, (list->count + 1) * sizeof(*items));
    struct stat status;
    char *real;

    if (!items)
        return alchi_error_set(err, ALCH_ENOMEM, "alchemistd is out of memory for %s", option);
    list->items = items;
    if (!(real = realpath(path, NULL)) || stat(real, &status) || !S_ISDIR(status.st_mode)) {
        free(real);
        return alchi_error_set(err, ALCH_ENOENT, "%s %s is not a directory", option, path);
    }
    list->items[list->count++] = real;
    return ALCH_OK;
}

static int
add_dirs(alchi_text_list_t *real, const char *option, const alchi_text_list_t *given, alch_error_t *err)
{
    int code = ALCH_OK;

    for (size_t i = 0; i < given->count && !code; i++)
        code = add_dir(real, option, given->items[i], err);
    return code;
}

/* The folder ../plugins, seen from the folder of the executable: a build tree has it. NULL: it does not exist. */
static const char *
find_build_tree_dir(char path[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 16);
    char *slash;

    if (size <= 0)
        return NULL;
    path[size] = '\0';
    if (!(slash = strrchr(path, '/')))
        return NULL;
    snprintf(slash, 16, "/../plugins");
    return access(path, X_OK) == 0 ? path : NULL;
}

static void
free_dirs(alchi_text_list_t *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

/* Replace the given paths by the resolved ones, unless resolving failed with `code`. */
static int
replace_dirs(alchi_text_list_t *given, alchi_text_list_t *real, int code)
{
    free_dirs(code ? real : given);
    if (!code)
        *given = *real;
    return code;
}

int
alchi_dmn_options_plugin_dirs(alchi_dmn_options_t *options, alch_error_t *err)
{
    static const char option[] = "--plugin-dir";
    alchi_text_list_t real = {NULL, 0};
    char path[PATH_MAX];
    int code = add_dirs(&real, option, &options->driver.plugin_dirs, err);

    if (!options->driver.plugin_dirs.count) {
        if (access(ALCH_PLUGINDIR, X_OK) == 0)
            code = add_dir(&real, option, ALCH_PLUGINDIR, err);
        if (!code && find_build_tree_dir(path))
            code = add_dir(&real, option, path, err);
    }
    return replace_dirs(&options->driver.plugin_dirs, &real, code);
}

int
alchi_dmn_options_data_dirs(alchi_dmn_options_t *options, alch_error_t *err)
{
    alchi_text_list_t real = {NULL, 0};

    return replace_dirs(&options->driver.data_dirs, &real,
                        add_dirs(&real, "--data-dir", &options->driver.data_dirs, err));
}
