/* A thread of low priority that prefaults new mappings, one step at a time. */
#include "store/prefault.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14; an older kernel refuses it and creates pages when they are used */
#endif

#define STEP ((size_t)4 << 20) /* bytes; alchi_store_prefault_cancel() waits for one step at most */
#define JOBS 64                /* maximum length of the queue; further mappings are not prefaulted */
#define NICE 10                /* the threads that move data have priority */

typedef struct {
    uint8_t *memory;
    size_t bytes, done;
} job_t;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t stepped;
    job_t jobs[JOBS]; /* in the order of their arrival; the thread works on the first */
    int count;
    bool running;        /* the thread exists */
    const uint8_t *busy; /* the mapping that the thread prefaults now, without the mutex */
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .stepped = PTHREAD_COND_INITIALIZER};

/* The caller holds the mutex. */
static void
remove_job(int k)
{
    for (queue.count--; k < queue.count; k++)
        queue.jobs[k] = queue.jobs[k + 1];
}

/* Do the next step of the first job. The caller holds the mutex, which is unlocked during the step itself. */
static void
do_step(void)
{
    job_t job = queue.jobs[0];
    size_t bytes = job.bytes - job.done < STEP ? job.bytes - job.done : STEP;
    int failed;

    queue.busy = job.memory;
    pthread_mutex_unlock(&queue.mutex);
    failed = madvise(job.memory + job.done, bytes, MADV_POPULATE_WRITE);
    pthread_mutex_lock(&queue.mutex);
    queue.busy = NULL;
    pthread_cond_broadcast(&queue.stepped);
    if (queue.count == 0 || queue.jobs[0].memory != job.memory)
        return; /* canceled during the step */
    queue.jobs[0].done += bytes;
    if (failed || queue.jobs[0].done == job.bytes)
        remove_job(0);
}

static void *
run_jobs(void *ignored)
{
    (void)ignored;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    pthread_mutex_lock(&queue.mutex);
    while (queue.count > 0)
        do_step();
    queue.running = false;
    pthread_mutex_unlock(&queue.mutex);
    return NULL;
}

/* The caller holds the mutex. The thread blocks all signals: they are for the main thread. */
static bool
start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int code;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    code = pthread_create(&thread, &attributes, run_jobs, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return code == 0;
}

void
alchi_store_prefault(void *memory, size_t bytes)
{
    pthread_mutex_lock(&queue.mutex);
    if (queue.count < JOBS) {
        queue.jobs[queue.count++] = (job_t){memory, bytes, 0};
        queue.running = queue.running || start_thread();
        if (!queue.running)
            queue.count = 0;
    }
    pthread_mutex_unlock(&queue.mutex);
}

void
alchi_store_prefault_cancel(const void *memory)
{
    pthread_mutex_lock(&queue.mutex);
    for (int k = queue.count - 1; k >= 0; k--) {
        if (queue.jobs[k].memory == memory)
            remove_job(k);
    }
    while (queue.busy == memory)
        pthread_cond_wait(&queue.stepped, &queue.mutex);
    pthread_mutex_unlock(&queue.mutex);
}
