/**
 * @file agent/lines.h
 * Splits the output of a rank into lines for the log, and keeps the last lines for the report of the rank's end.
 */
#ifndef ALCHI_AGENT_LINES_H
#define ALCHI_AGENT_LINES_H

#include <stddef.h>

#define ALCHI_AGENT_LINES_KEPT 20 /* lines */
#define ALCHI_AGENT_LINE_MAX 1000 /* bytes; a longer line is split into several */

typedef struct {
    char partial[ALCHI_AGENT_LINE_MAX + 1]; /* a line whose end has not arrived yet, `length` bytes */
    size_t length;
    char *last[ALCHI_AGENT_LINES_KEPT]; /* a ring of `count` lines; the newest one is before `next` */
    size_t next, count;
} alchi_agent_lines_t;

void alchi_agent_lines_init(alchi_agent_lines_t *lines);
void alchi_agent_lines_fini(alchi_agent_lines_t *lines);

/** Receives each complete line, without its newline: valid UTF-8 without control characters. The line is borrowed. */
typedef void (*alchi_agent_line_f)(void *context, const char *line);

/** Split `size` bytes of output; they may begin and end within a line. @param emit  NULL: the lines are only kept */
void alchi_agent_lines_feed(alchi_agent_lines_t *lines, const char *bytes, size_t size, alchi_agent_line_f emit,
                            void *context);
/** The output has ended: bytes after the last newline are a line, too. */
void alchi_agent_lines_flush(alchi_agent_lines_t *lines, alchi_agent_line_f emit, void *context);

/** The last lines, oldest first, borrowed until the next call on `lines`. @return their number */
size_t alchi_agent_lines_last(const alchi_agent_lines_t *lines, char *last[ALCHI_AGENT_LINES_KEPT]);

#endif
