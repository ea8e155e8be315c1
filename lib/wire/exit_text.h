/** @file wire/exit_text.h  Describe how a rank ended. */
#ifndef ALCHI_WIRE_EXIT_TEXT_H
#define ALCHI_WIRE_EXIT_TEXT_H

#include "wire/message.h"

/**
 * Describe how a rank ended, as a predicate that follows the name of the rank: "was killed by signal 9 (Killed)",
 * "exited with code 7 through MPI_Abort", "exited with code 0", or "could not be started: ...".
 *
 * @return text
 */
char *alchi_exit_text(const Alchw__RankExit *rank_exit, char *text, size_t size);

#endif
