"""Functions that return a session: connect() to a server, attach() to the session of another process."""

from .paper import AlchemistSession
from .session import Ticket


def connect(address=None, workers=None, *, port=None, token=None, connection_file=None, verbose=False, **options):
    """Connect to a server and return a session, with a group of workers if `workers` is given.

    Args:
        address: "host:port"; None for the server of this machine, which is found by its connection file.
        workers: the number of workers to request.
        verbose: print what the session does.
    The other arguments are those of AlchemistSession.connect_to_alchemist().
    """
    session = AlchemistSession(verbose=verbose)
    session.connect_to_alchemist(address, port, token=token, connection_file=connection_file, **options)
    try:
        if workers is not None:
            session.request_workers(workers)
    except BaseException:
        session.close()
        raise
    return session


def attach(ticket, **options):
    """Attach to the session of a ticket, from another process or host.

    The end of an attached session does not end the session that it is attached to.
    """
    return AlchemistSession(verbose=False)._attach(Ticket(*ticket), options)
