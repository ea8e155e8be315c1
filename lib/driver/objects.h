/**
 * @file driver/objects.h
 * Names of the objects that form the driver's state. The header of each object is its contract.
 *
 * The driver runs in one thread. It owns all of these objects except the links, which the daemon owns.
 */
#ifndef ALCHI_DRIVER_OBJECTS_H
#define ALCHI_DRIVER_OBJECTS_H

typedef struct alchi_drv alchi_drv_t;                 /* driver.h: the whole state */
typedef struct alchi_drv_link alchi_drv_link_t;       /* link.h: an authenticated connection */
typedef struct alchi_drv_request alchi_drv_request_t; /* request.h: a client's message that is not answered yet */
typedef struct alchi_drv_session alchi_drv_session_t; /* session.h: a client with its group, matrices and tasks */
typedef struct alchi_drv_command alchi_drv_command_t; /* command.h: one message to ranks, one reply from each rank */
typedef struct alchi_drv_job alchi_drv_job_t;         /* job.h: a place in the queue of a group's main threads */
typedef struct alchi_drv_task alchi_drv_task_t;       /* task.h: a call of a library, or a transform of a matrix */
typedef struct alchi_drv_library alchi_drv_library_t; /* library.h: a library of a session */
typedef struct alchi_drv_move alchi_drv_move_t;       /* move.h: a session's matrices on their way to another group */

#endif
