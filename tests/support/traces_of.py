"""Where a text still stands: in any table of a world, or in its Redis."""

from __future__ import annotations

from support.world import World


def tables_with(world: World, text: str) -> dict[str, int]:
    """The tables, days of the ledger among them, that have the text in some column, with the number of such rows."""
    names = world.rows(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'",
        f'"{world.name}"',
    )
    found = {}
    for (name,) in names:
        count = world.value(f'SELECT count(*) FROM "{name}" AS t WHERE strpos(t::text, %s) > 0', text)
        if count:
            found[name] = count
    return found


def keys_with(world: World, text: str) -> list[str]:
    """The keys of the world's Redis whose name or content has the text."""
    wanted, found = text.encode(), []
    for key in world.redis.scan_iter(match=f"{world.name}:*", count=1_000):
        kind = world.redis.type(key).decode()
        read = {
            "zset": lambda key: world.redis.zrange(key, 0, -1),
            "hash": lambda key: [part for pair in world.redis.hgetall(key).items() for part in pair],
            "set": lambda key: world.redis.smembers(key),
            "string": lambda key: [world.redis.get(key) or b""],
            # It was deleted meanwhile.
            "none": lambda key: [],
        }[kind]
        if wanted in key or any(wanted in part for part in read(key)):
            found.append(key.decode())
    return found
