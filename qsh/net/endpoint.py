"""An address of a server's, as the system's calls want it."""

from qsh.record import record


@record
class Endpoint:
    """One address to try, as getaddrinfo gives it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    def __str__(self) -> str:
        return self.sockaddr[0]
