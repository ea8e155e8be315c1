/* Resolve host names to socket addresses: each look-up has a thread, so the caller can stop waiting. */
#include "net/resolve.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A look-up, used by its thread and by the caller that waits; the last user frees it. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    int users;
    bool done;
    int result; /* of getaddrinfo() */
    struct addrinfo *found;
    char host[256];
} lookup_t;

/* End one use and unlock; the caller holds the lock. */
static void
lookup_release(lookup_t *lookup)
{
    bool last = --lookup->users == 0;

    pthread_mutex_unlock(&lookup->lock);
    if (!last)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    pthread_cond_destroy(&lookup->done_cond);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *
lookup_run(void *argument)
{
    lookup_t *lookup = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    int result = getaddrinfo(lookup->host, NULL, &hints, &found);

    pthread_mutex_lock(&lookup->lock);
    lookup->result = result;
    lookup->found = result == 0 ? found : NULL;
    lookup->done = true;
    pthread_cond_signal(&lookup->done_cond);
    lookup_release(lookup);
    return NULL;
}

/* Start a look-up and return it with its lock held. NULL: there is no memory or no thread */
static lookup_t *
lookup_start(const char *host)
{
    lookup_t *lookup = calloc(1, sizeof(*lookup));
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int failed;

    if (!lookup)
        return NULL;
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_cond_init(&lookup->done_cond, NULL);
    lookup->users = 2;
    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    /* Block all signals in the new thread: their handlers belong to the program that uses the library. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attributes, lookup_run, lookup);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_mutex_lock(&lookup->lock);
    if (!failed)
        return lookup;
    lookup->users = 1;
    lookup_release(lookup);
    return NULL;
}

void
alchi_sockaddr_set_port(alchi_sockaddr_t *address, int port)
{
    if (address->address.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&address->address)->sin_port = htons((uint16_t)port);
}

static int
copy_list(const struct addrinfo *found, int port, alchi_sockaddr_t *list)
{
    int count = 0;

    for (; found && count < ALCHI_RESOLVE_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        memset(&list[count], 0, sizeof(list[count]));
        memcpy(&list[count].address, found->ai_addr, found->ai_addrlen);
        list[count].size = found->ai_addrlen;
        alchi_sockaddr_set_port(&list[count++], port);
    }
    return count;
}

/* Resolve a host that needs no look-up. Returns the number of addresses; 0: the host needs one. "localhost" means both
 * loopback addresses, even if the hosts file does not have it. */
static int
resolve_numeric(const char *host, int port, alchi_sockaddr_t *list)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    int count;

    if (strcasecmp(host, "localhost") == 0) {
        count = resolve_numeric("127.0.0.1", port, list);
        return count + resolve_numeric("::1", port, list + count);
    }
    if (host[0] == '\0' || strcmp(host, "*") == 0)
        host = "0.0.0.0";
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0;
    count = copy_list(found, port, list);
    freeaddrinfo(found);
    return count;
}

int
alchi_resolve(const char *host, int port, alchi_deadline_t deadline, alchi_sockaddr_t list[ALCHI_RESOLVE_MAX],
              int *count_p, alch_error_t *err)
{
    int count = resolve_numeric(host, port, list), result;
    lookup_t *lookup;
    bool done;

    if (count > 0) {
        *count_p = count;
        return ALCH_OK;
    }
    lookup = lookup_start(host);
    if (!lookup)
        return alchi_error_set(err, ALCH_ENOMEM, "host %s cannot be looked up: there is no memory or no thread", host);
    while (!lookup->done && alchi_cond_wait(&lookup->done_cond, &lookup->lock, deadline))
        ;
    done = lookup->done;
    result = lookup->result;
    if (done && result == 0)
        count = copy_list(lookup->found, port, list);
    lookup_release(lookup);
    if (!done)
        return alchi_error_set(err, ALCH_ETIMEDOUT, "the look-up of host %s took too long", host);
    if (count == 0)
        return alchi_error_set(err, ALCH_ECONNECT, "host %s cannot be resolved: %s", host,
                               result ? gai_strerror(result) : "it has no internet address");
    *count_p = count;
    return ALCH_OK;
}
