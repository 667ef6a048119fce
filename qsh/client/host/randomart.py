"""The picture of a fingerprint that ssh-keygen -lv draws: "drunken bishop" (VisualHostKey)."""

COLUMNS, ROWS = 17, 9
SIGNS = " .o+=*BOX@%&#/^"
START, END = "S", "E"


def randomart(digest: bytes, title: str, hash_name: str) -> list[str]:
    """The lines of the picture. `title` is the key's kind, as `ED25519 256`."""
    visits = [[0] * COLUMNS for _ in range(ROWS)]
    x, y = COLUMNS // 2, ROWS // 2
    for byte in digest:
        for _ in range(4):
            x = min(max(x + (1 if byte & 1 else -1), 0), COLUMNS - 1)
            y = min(max(y + (1 if byte & 2 else -1), 0), ROWS - 1)
            visits[y][x] = min(visits[y][x] + 1, len(SIGNS) - 1)
            byte >>= 2
    rows = [[SIGNS[count] for count in row] for row in visits]
    rows[ROWS // 2][COLUMNS // 2] = START
    rows[y][x] = END
    return [_edge(f"[{title}]"), *(f"|{''.join(row)}|" for row in rows), _edge(f"[{hash_name}]")]


def _edge(label: str) -> str:
    label = label if len(label) <= COLUMNS else ""
    left = (COLUMNS - len(label)) // 2
    return f"+{'-' * left}{label}{'-' * (COLUMNS - len(label) - left)}+"
