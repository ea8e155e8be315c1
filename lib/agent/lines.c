/* The output of a rank, split into lines. */
#include "agent/lines.h"

#include "base/util.h"

#include <stdlib.h>
#include <string.h>

void
alchi_agent_lines_init(alchi_agent_lines_t *lines)
{
    memset(lines, 0, sizeof(*lines));
}

void
alchi_agent_lines_fini(alchi_agent_lines_t *lines)
{
    for (size_t i = 0; i < ALCHI_AGENT_LINES_KEPT; i++)
        free(lines->last[i]);
    alchi_agent_lines_init(lines);
}

/* Replace control characters, which a terminal would obey, and make the line valid UTF-8, which messages require. */
static void
clean_line(char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = line[i] == '\t' ? ' ' : '?';
    line[length] = '\0';
    alchi_utf8_clean(line);
}

static void
end_line(alchi_agent_lines_t *lines, alchi_agent_line_f emit, void *context)
{
    char *copy;

    if (lines->length && lines->partial[lines->length - 1] == '\r')
        lines->length--;
    clean_line(lines->partial, lines->length);
    lines->length = 0;
    if (emit)
        emit(context, lines->partial);
    copy = strdup(lines->partial);
    if (!copy)
        return;
    free(lines->last[lines->next]);
    lines->last[lines->next] = copy;
    lines->next = (lines->next + 1) % ALCHI_AGENT_LINES_KEPT;
    if (lines->count < ALCHI_AGENT_LINES_KEPT)
        lines->count++;
}

void
alchi_agent_lines_feed(alchi_agent_lines_t *lines, const char *bytes, size_t size, alchi_agent_line_f emit,
                       void *context)
{
    while (size) {
        const char *end = memchr(bytes, '\n', size);
        size_t n = end ? (size_t)(end - bytes) : size, room = ALCHI_AGENT_LINE_MAX - lines->length;

        if (n > room)
            n = room;
        memcpy(lines->partial + lines->length, bytes, n);
        lines->length += n;
        bytes += n;
        size -= n;
        if (!size)
            return;
        /* The line ends here, at a newline or because it is full. If it is full just before its newline, that newline
         * belongs to it and does not end an empty line. */
        if (*bytes == '\n') {
            bytes++;
            size--;
        }
        end_line(lines, emit, context);
    }
}

void
alchi_agent_lines_flush(alchi_agent_lines_t *lines, alchi_agent_line_f emit, void *context)
{
    if (lines->length)
        end_line(lines, emit, context);
}

size_t
alchi_agent_lines_last(const alchi_agent_lines_t *lines, char *last[ALCHI_AGENT_LINES_KEPT])
{
    size_t first = lines->count < ALCHI_AGENT_LINES_KEPT ? 0 : lines->next;

    for (size_t i = 0; i < lines->count; i++)
        last[i] = lines->last[(first + i) % ALCHI_AGENT_LINES_KEPT];
    return lines->count;
}
