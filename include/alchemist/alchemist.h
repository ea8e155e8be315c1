/**
 * @file alchemist.h
 * The client side of Alchemist. Needs no MPI; server.h and plugin.h are apart.
 */
#ifndef ALCHEMIST_ALCHEMIST_H
#define ALCHEMIST_ALCHEMIST_H

#include <alchemist/error.h>
#include <alchemist/layout.h>
#include <alchemist/library.h>
#include <alchemist/matrix.h>
#include <alchemist/session.h>
#include <alchemist/task.h>
#include <alchemist/types.h>

#endif
