/* Describe how a rank ended. */
#include "wire/exit_text.h"

#include <stdio.h>
#include <string.h>

char *
alchi_exit_text(const Alchw__RankExit *rank_exit, char *text, size_t size)
{
    const char *name;

    if (rank_exit->text && rank_exit->text[0]) {
        snprintf(text, size, "%s", rank_exit->text);
    } else if (rank_exit->aborted) {
        snprintf(text, size, "exited with code %d through MPI_Abort", rank_exit->abort_code);
    } else if (rank_exit->signal) {
        name = strsignal((int)rank_exit->signal);
        snprintf(text, size, "was killed by signal %u (%s)", rank_exit->signal, name ? name : "?");
    } else {
        snprintf(text, size, "exited with code %d", rank_exit->exit_code);
    }
    return text;
}
