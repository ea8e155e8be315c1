/**
 * @file base/log.h
 * Log lines: "[2026-11-22 18:50:01.123] [driver] [info] text".
 *
 * Only the serving side logs; the client library prints nothing. Lines go to
 * standard error in one write each, coloured on a terminal. Never log a token
 * or a key. MT-Safe.
 */
#ifndef ALCHI_BASE_LOG_H
#define ALCHI_BASE_LOG_H

typedef enum { ALCHI_LOG_ERROR = 0, ALCHI_LOG_WARNING = 1, ALCHI_LOG_INFO = 2, ALCHI_LOG_DEBUG = 3 } alchi_log_level_t;

/** Who logs ("driver", "worker-002"; copied) and what is shown. */
void alchi_log_init(const char *who, alchi_log_level_t level);

/** "error", "warning", "info", "debug"; -1: none of these. */
int alchi_log_level_parse(const char *text);

void alchi_log(alchi_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** A line as it is, without time and level: banners and tables. */
void alchi_log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A line of a rank's own output, attributed: "[..] [worker-002] [output] text". What `who` has logged itself keeps its
 *  own time and level. */
void alchi_log_output(const char *who, const char *text);

#endif
