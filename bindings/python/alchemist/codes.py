"""The constants of the C headers (include/alchemist) that Python uses, as enums.

Members have the names of the headers without their prefix. A test compares every enum with its header.
"""

import enum


class DType(enum.IntEnum):
    """Entry types of matrices (alch_dtype_t). In lower case, the names are those of NumPy."""

    FLOAT64 = 1
    FLOAT32 = 2
    COMPLEX128 = 3
    COMPLEX64 = 4
    INT64 = 5
    INT32 = 6


class Distribution(enum.IntEnum):
    """Named distributions of the entries over the workers (alch_dist_t)."""

    BLOCK_CYCLIC = 0
    MC_MR = 1
    MC_STAR = 2
    MD_STAR = 3
    MR_MC = 4
    MR_STAR = 5
    STAR_MC = 6
    STAR_MD = 7
    STAR_MR = 8
    STAR_STAR = 9
    STAR_VC = 10
    STAR_VR = 11
    VC_STAR = 12
    VR_STAR = 13
    CIRC_CIRC = 14


class WorkerFilter(enum.IntEnum):
    """Which worker slots a list contains (alch_worker_filter_t)."""

    ALL = 0
    ACTIVE = 1
    INACTIVE = 2
    ASSIGNED = 3


class WorkerState(enum.IntEnum):
    """States of a worker slot (alch_worker_state_t)."""

    IDLE = 0
    STARTING = 1
    ACTIVE = 2
    RELEASING = 3


class Type(enum.IntEnum):
    """Types of the parameters and results of library functions (alch_type_t)."""

    BOOL = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    UINT8 = 6
    UINT16 = 7
    UINT32 = 8
    UINT64 = 9
    FLOAT32 = 10
    FLOAT64 = 11
    COMPLEX64 = 12
    COMPLEX128 = 13
    STRING = 14
    MATRIX = 15


class NoteKind(enum.IntEnum):
    """Kinds of the notes that a task leaves (alch_note_kind_t)."""

    NOTE = 1
    WARNING = 2


class TaskState(enum.IntEnum):
    """States of a task (alch_task_state_t)."""

    QUEUED = 1
    RUNNING = 2
    CANCELLING = 3
    DONE = 4
    FAILED = 5
    CANCELED = 6


class TransformFlag(enum.IntFlag):
    """Flags of a transform, which can also change layout and type (ALCH_TRANSFORM_*)."""

    TRANSPOSE = 1
    CONJUGATE = 2
    UNSAFE = 4
    IN_PLACE = 8
