/** @file agent/lines.h  What a rank prints, cut into lines; the last ones are kept. Pure. */
#ifndef ALCHI_AGENT_LINES_H
#define ALCHI_AGENT_LINES_H

#include <stddef.h>

#define ALCHI_AGENT_LINES_KEPT 20
#define ALCHI_AGENT_LINE_MAX 1000 /* longer lines are cut into several */

typedef struct {
    char partial[ALCHI_AGENT_LINE_MAX + 1];
    size_t length;
    char *last[ALCHI_AGENT_LINES_KEPT]; /* a ring; the newest is before `next` */
    size_t next, count;
} alchi_agent_lines_t;

void alchi_agent_lines_init(alchi_agent_lines_t *lines);
void alchi_agent_lines_fini(alchi_agent_lines_t *lines);

/** Called for each whole line: printable UTF-8 without its newline. */
typedef void (*alchi_agent_line_f)(void *context, const char *line);

void alchi_agent_lines_feed(alchi_agent_lines_t *lines, const char *bytes, size_t size, alchi_agent_line_f emit,
                            void *context);
/** What was printed without a newline at the end is a line too. */
void alchi_agent_lines_flush(alchi_agent_lines_t *lines, alchi_agent_line_f emit, void *context);

/** The kept lines, oldest first, borrowed. Returns how many. */
size_t alchi_agent_lines_last(const alchi_agent_lines_t *lines, char *last[ALCHI_AGENT_LINES_KEPT]);

#endif
