/* Write log lines to standard error. */
#include "base/log.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define CONTINUED "\n    | "

static const struct {
    const char *name, *color;
} levels[] = {
    [ALCHI_LOG_ERROR] = {"error", "\033[31m"},
    [ALCHI_LOG_WARNING] = {"warning", "\033[33m"},
    [ALCHI_LOG_INFO] = {"info", "\033[32m"},
    [ALCHI_LOG_DEBUG] = {"debug", "\033[36m"},
};

static char log_name[64] = "alchemist";
static atomic_int level_shown = ALCHI_LOG_INFO;
static atomic_bool colored;

/* A line under construction. There is always room for the newline. */
typedef struct {
    char text[LINE_MAX_BYTES];
    size_t size;
} line_t;

void
alchi_log_init(const char *who, alchi_log_level_t level)
{
    snprintf(log_name, sizeof(log_name), "%s", who ? who : "alchemist");
    level_shown = (int)level;
    colored = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
}

int
alchi_log_level_parse(const char *text)
{
    size_t k;

    for (k = 0; text && k < ALCHI_COUNT(levels); k++)
        if (!strcmp(text, levels[k].name))
            return (int)k;
    return -1;
}

static void
add_bytes(line_t *line, const char *bytes, size_t size)
{
    size_t room = sizeof(line->text) - 1 - line->size;

    if (size > room)
        size = room;
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

static void
add_text(line_t *line, const char *text)
{
    add_bytes(line, text, strlen(text));
}

/* The text may come from a peer or a library. It must not be able to forge a log line or to control a terminal. */
static void
add_safe(line_t *line, const char *text)
{
    size_t length = strlen(text);

    while (length && text[length - 1] == '\n')
        length--;
    for (; length; text++, length--) {
        if (*text == '\n')
            add_text(line, CONTINUED);
        else if ((unsigned char)*text < ' ' && *text != '\t')
            add_bytes(line, "?", 1);
        else if (*text == 0x7f)
            add_bytes(line, "?", 1);
        else
            add_bytes(line, text, 1);
    }
}

static void
write_line(line_t *line)
{
    size_t done = 0;

    line->text[line->size] = '\0'; /* add_bytes() left room */
    alchi_utf8_clean(line->text);
    line->text[line->size++] = '\n';
    while (done < line->size) {
        ssize_t n = write(STDERR_FILENO, line->text + done, line->size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the error cannot be logged either */
        done += (size_t)n;
    }
}

static void
start_line(line_t *line, const char *who, const char *tag, const char *color)
{
    struct timespec now;
    struct tm tm;
    char head[160], stamp[32];
    bool with_color = colored;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(head, sizeof(head), "[%s.%03d] [%.64s] [%s%s%s] ", stamp, (int)(now.tv_nsec / 1000000), who,
             with_color ? color : "", tag, with_color ? "\033[0m" : "");
    line->size = 0;
    add_text(line, head);
}

void
alchi_log(alchi_log_level_t level, const char *format, ...)
{
    line_t line;
    char text[LINE_MAX_BYTES - 256];
    va_list args;

    if ((unsigned)level >= ALCHI_COUNT(levels) || (int)level > level_shown)
        return;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    start_line(&line, log_name, levels[level].name, levels[level].color);
    add_safe(&line, text);
    write_line(&line);
}

void
alchi_log_plain(const char *format, ...)
{
    line_t line;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line.text, sizeof(line.text) - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    line.size = strlen(line.text);
    write_line(&line);
}

/* Parse a head that start_line() wrote for `who` at the beginning of `text`. Returns the level, and sets the offsets of
 * the tag and of the text after the tag. -1: `text` does not begin with such a head */
static int
parse_head(const char *who, const char *text, size_t *tag_p, size_t *rest_p)
{
    static const char shape[] = "[0000-00-00 00:00:00.000] [";
    size_t length = sizeof(shape) - 1, k;

    for (k = 0; k < length; k++)
        if (shape[k] == '0' ? text[k] < '0' || text[k] > '9' : text[k] != shape[k])
            return -1;
    if (strncmp(text + length, who, strlen(who)) || strncmp(text + length + strlen(who), "] [", 3))
        return -1;
    *tag_p = length + strlen(who) + 3;
    for (k = 0; k < ALCHI_COUNT(levels); k++) {
        size_t size = strlen(levels[k].name);

        *rest_p = *tag_p + size;
        if (!strncmp(text + *tag_p, levels[k].name, size) && !strncmp(text + *rest_p, "] ", 2))
            return (int)k;
    }
    return -1;
}

void
alchi_log_output(const char *who, const char *text)
{
    size_t tag = 0, rest = 0;
    int level = parse_head(who, text, &tag, &rest);
    line_t line = {.size = 0};

    if (level < 0) {
        start_line(&line, who, "output", "\033[35m");
    } else if (colored) {
        add_bytes(&line, text, tag);
        add_text(&line, levels[level].color);
        add_bytes(&line, text + tag, rest - tag);
        add_text(&line, "\033[0m");
        text += rest;
    }
    add_safe(&line, text);
    write_line(&line);
}
