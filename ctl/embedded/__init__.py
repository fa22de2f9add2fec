"""PostgreSQL and Valkey/Redis as children of this process, for ``leaderboard run``, the tests and the bench.

Unix sockets only; data below one directory, kept between runs. The servers end when this process ends.
"""

from ctl.embedded.installations import Prefer
from ctl.embedded.instance import find_instance, publish
from ctl.embedded.servers import Embedded

__all__ = ["Embedded", "Prefer", "find_instance", "publish"]
