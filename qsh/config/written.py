"""Values as `-G` and `-T` write them: the readers of config.values understand them."""


def quoted(word: str) -> str:
    """A word as the reader's rules want it (config.lines)."""
    if word and word[0] != "=" and not set(word) & set(" \t\f\"'\\#"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bracketed(host: str) -> str:
    """A host before a port."""
    return f"[{host}]" if ":" in host else host


def permits(places: tuple[tuple[str, int], ...]) -> list[str]:
    """PermitOpen and its kin: port 0 is any."""
    return [" ".join(f"{bracketed(host)}:{port or '*'}" for host, port in places)]


def assignments(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """SetEnv."""
    return [" ".join(quoted(f"{name}={value}") for name, value in pairs)]


def channel_timeouts(pairs: tuple[tuple[str, float], ...]) -> list[str]:
    """ChannelTimeout."""
    return [" ".join(f"{kind}={int(time)}" for kind, time in pairs)]


def mask(value: int) -> list[str]:
    """StreamLocalBindMask."""
    return [f"0{value:o}"]
