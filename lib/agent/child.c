/* Child processes: fork and exec, signals, and reaping. */
#include "agent/child.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* For /proc/self/oom_score_adj (-1000 to 1000, 0 by default). When memory runs out, the kernel prefers to kill
 * processes with a high value: a rank before the agent. */
#define OOM_SCORE "500"
/* How long alchi_agent_child_reap() waits for a child that has got SIGKILL. */
#define REAP_MS 5000

int
alchi_agent_move_fd_above_stdio(int fd)
{
    int copy, saved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    saved = errno;
    close(fd);
    errno = saved;
    return copy;
}

/* ---- in the child, between fork and exec ----
 * Only async-signal-safe functions may be called here: another thread of the agent's process may have held a lock, for
 * example that of malloc(), at the fork. */

static void
close_on_exec_from(unsigned first)
{
    struct rlimit limit;

    if (close_range(first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > (1u << 20))
        limit.rlim_cur = 1u << 20;
    for (unsigned fd = first; fd < limit.rlim_cur; fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

static void
reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
raise_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0) { /* the child works without it */
    }
    close(fd);
}

/* Does not return. */
static void
execute_program(const alchi_agent_child_options_t *spawn, pid_t parent, int error_fd)
{
    int number, null_fd;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* the parent ended before prctl(), so the kernel would not send the signal */
    raise_oom_score();
    null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(spawn->output_fd, STDOUT_FILENO) < 0 ||
        dup2(spawn->output_fd, STDERR_FILENO) < 0)
        goto failed;
    fcntl(STDIN_FILENO, F_SETFD, 0); /* if null_fd is 0, dup2() did nothing, and FD_CLOEXEC is still set */
    close_on_exec_from(STDERR_FILENO + 1);
    for (size_t i = 0; i < spawn->keep_count; i++)
        if (fcntl(spawn->keep[i], F_SETFD, 0) != 0)
            goto failed;
    reset_signals();
    execve(spawn->exe, spawn->argv, spawn->environment);
failed:
    number = errno;
    if (write(error_fd, &number, sizeof(number)) < 0) { /* the exit code still says that exec failed */
    }
    _exit(127);
}

/* ---- in the parent ---- */

/* In the child signals stay blocked until reset_signals(), so that no handler of the parent runs there. */
static pid_t
fork_with_blocked_signals(const alchi_agent_child_options_t *spawn, int error_fd)
{
    pid_t parent = getpid(), pid;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        execute_program(spawn, parent, error_fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

int
alchi_agent_child_start(const alchi_agent_child_options_t *spawn, alchi_agent_child_t *child_p, alch_error_t *err)
{
    alchi_agent_child_t child = {.pidfd = -1};
    int fds[2], number;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return alchi_error_errno(err, errno, "the agent cannot create a pipe");
    fds[1] = alchi_agent_move_fd_above_stdio(fds[1]);
    child.error_fd = fds[0];
    child.pid = fds[1] < 0 ? -1 : fork_with_blocked_signals(spawn, fds[1]);
    number = errno;
    if (fds[1] >= 0)
        close(fds[1]);
    if (child.pid < 0)
        goto failed;
    setpgid(child.pid, child.pid); /* parent and child both do it, so the group exists when either continues */
    child.pidfd = pidfd_open(child.pid, 0);
    if (child.pidfd >= 0) {
        *child_p = child;
        return ALCH_OK;
    }
    number = errno;
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
failed:
    close(child.error_fd);
    return alchi_error_errno(err, number, "the agent cannot start a process");
}

void
alchi_agent_child_signal(const alchi_agent_child_t *child, int number)
{
    if (number == SIGKILL)
        kill(-child->pid, SIGKILL); /* the group's number is not reused before its leader is reaped */
    pidfd_send_signal(child->pidfd, number, NULL, 0);
}

/* Whether the child has ended, without waiting. `flags` are added to those of waitid(): WNOWAIT leaves it unreaped. */
static bool
poll_end(const alchi_agent_child_t *child, int flags, siginfo_t *info_p)
{
    int code;

    do {
        memset(info_p, 0, sizeof(*info_p));
        code = waitid(P_PIDFD, (id_t)child->pidfd, info_p, WEXITED | WNOHANG | flags);
    } while (code != 0 && errno == EINTR);
    return code != 0 || info_p->si_pid != 0; /* ECHILD: other code has reaped it, so it has ended */
}

bool
alchi_agent_child_has_ended(const alchi_agent_child_t *child)
{
    siginfo_t info;

    return poll_end(child, WNOWAIT, &info);
}

void
alchi_agent_child_reap(alchi_agent_child_t *child, alchi_agent_child_end_t *end_p)
{
    alchi_deadline_t deadline = alchi_deadline_in_ms(REAP_MS);
    struct pollfd entry = {.fd = child->pidfd, .events = POLLIN};
    alchi_agent_child_end_t end = {0};
    siginfo_t info;

    alchi_agent_child_signal(child, SIGKILL);
    while (!poll_end(child, 0, &info) && alchi_deadline_left_ms(deadline) != 0)
        poll(&entry, 1, alchi_deadline_left_ms(deadline));
    end.lost = info.si_pid == 0;
    end.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    end.code = info.si_code == CLD_EXITED ? info.si_status : 0;
    end.not_run = read(child->error_fd, &end.reason, sizeof(end.reason)) == (ssize_t)sizeof(end.reason);
    close(child->error_fd);
    close(child->pidfd);
    *child = (alchi_agent_child_t){.pidfd = -1, .error_fd = -1};
    *end_p = end;
}
