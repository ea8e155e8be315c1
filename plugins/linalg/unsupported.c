/* What NumPy has and this library has not. */
#include "linalg.h"

#define WHY                                                                                                            \
    "ScaLAPACK has no complete and dependable eigenvalue decomposition of general matrices (there is no PxGEEV, and\n" \
    "PxHSEQR leaves vectors to the caller). For symmetric and Hermitian matrices use eigh or eigvalsh; for singular\n" \
    "values svd; for a matrix that fits on one machine fetch it and use numpy.linalg.eig."

static const char eig_doc[] = "Not offered: every call fails (UnsupportedError).\n\n" WHY "\n\n"
                              "a: n x n\n"
                              "eigenvalues: never set\n"
                              "eigenvectors: never set\n";

static const char eigvals_doc[] = "Not offered: every call fails (UnsupportedError).\n\n" WHY "\n\n"
                                  "a: n x n\n"
                                  "eigenvalues: never set\n";

static int
refuse_unsupported(alch_call_t *call)
{
    return call->host->fail(
        call, ALCH_EUNSUPPORTED,
        "linalg.%s is not offered: ScaLAPACK decomposes symmetric and Hermitian matrices only (eigh, "
        "eigvalsh); for singular values there is svd",
        call->function);
}

static const alch_operation_t operations[] = {
    {"eig", "Not offered: eigenvalues of general matrices. See eigh.",
     "a:matrix -> eigenvalues:vector, eigenvectors:matrix", eig_doc, 0, refuse_unsupported},
    {"eigvals", "Not offered: eigenvalues of general matrices. See eigvalsh.", "a:matrix -> eigenvalues:vector",
     eigvals_doc, 0, refuse_unsupported},
};

LINALG_OPERATIONS(linalg_unsupported_operations, operations);
