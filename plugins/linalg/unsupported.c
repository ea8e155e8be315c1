/* Functions of NumPy that this library does not offer. Calling one says what to use instead. */
#include "linalg.h"

#define REASON                                                                                                   \
    "ScaLAPACK has no complete and reliable eigenvalue decomposition of general matrices: there is no PxGEEV,\n" \
    "and PxHSEQR leaves the eigenvectors to the caller. For symmetric and Hermitian matrices use eigh or\n"      \
    "eigvalsh; for singular values svd. A matrix that fits on one machine can be fetched for numpy.linalg.eig."

static const char eig_doc[] = "Not offered: every call fails (UnsupportedError).\n\n" REASON "\n\n"
                              "a: n x n\n"
                              "eigenvalues: never returned\n"
                              "eigenvectors: never returned\n";

static const char eigvals_doc[] = "Not offered: every call fails (UnsupportedError).\n\n" REASON "\n\n"
                                  "a: n x n\n"
                                  "eigenvalues: never returned\n";

static int
refuse_unsupported(alch_call_t *call)
{
    return call->host->fail(call, ALCH_EUNSUPPORTED,
                            "linalg.%s is not offered: ScaLAPACK computes eigenvalues of symmetric and Hermitian "
                            "matrices only; use eigh or "
                            "eigvalsh for these, and svd for singular values",
                            call->function);
}

static const alch_operation_t operations[] = {
    {"eig", "Not offered: eigenvalues of general matrices. See eigh.",
     "a:matrix -> eigenvalues:vector, eigenvectors:matrix", eig_doc, 0, refuse_unsupported},
    {"eigvals", "Not offered: eigenvalues of general matrices. See eigvalsh.", "a:matrix -> eigenvalues:vector",
     eigvals_doc, 0, refuse_unsupported},
};

LINALG_OPERATIONS(linalg_unsupported_operations, operations);
