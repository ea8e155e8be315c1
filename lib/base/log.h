/**
 * @file base/log.h
 * Log lines: "[2026-11-22 18:50:01.123] [driver] [info] text".
 *
 * Only the programs of the server log; the client library prints nothing. Each line is one write to standard error, in
 * color if that is a terminal and NO_COLOR is not set. Never log a token or a key. MT-Safe.
 */
#ifndef ALCHI_BASE_LOG_H
#define ALCHI_BASE_LOG_H

typedef enum { ALCHI_LOG_ERROR = 0, ALCHI_LOG_WARNING = 1, ALCHI_LOG_INFO = 2, ALCHI_LOG_DEBUG = 3 } alchi_log_level_t;

/** Set the name in each line ("driver", "worker-002"; copied) and the lowest level that is logged. */
void alchi_log_init(const char *who, alchi_log_level_t level);

/** The level of "error", "warning", "info" or "debug". -1: the text is not one of these, or NULL. */
int alchi_log_level_parse(const char *text);

/** Log a line, if its level is logged. Control characters are replaced, and each further line of the text is marked. */
void alchi_log(alchi_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Log a line without time and level: for banners and tables. */
void alchi_log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Log a line that a rank printed: "[..] [worker-002] [output] text". A line that the rank logged itself keeps its time
 * and level. */
void alchi_log_output(const char *who, const char *text);

#endif
