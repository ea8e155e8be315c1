/**
 * @file alchemist/alchemist.h
 * The whole client interface of Alchemist in one include.
 *
 * A client connects to a server (alchemistd), asks for a group of MPI workers,
 * sends matrices into their memory, calls functions of libraries that the
 * workers load, and fetches the entries that it wants to see. Read the headers
 * in this order; each begins with the problem, the terms and an example:
 *
 *     session.h    connect, ask for workers
 *     matrix.h     create, write, read and list distributed matrices
 *     library.h    load a library, list its functions, build arguments
 *     task.h       call a function, wait, take its results
 *
 * types.h, layout.h and error.h hold what these share. Link with
 * libalchemist-client (pkg-config alchemist-client): it needs no MPI. Two
 * headers are not included here: plugin.h is for authors of libraries,
 * server.h for programs that run the server.
 *
 * No function of the client interface is collective in the sense of MPI: none
 * waits for another process of the client's program. Every doc block states
 * this nevertheless (@collective), because functions of plugin.h are collective.
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
