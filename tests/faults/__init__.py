"""The proof of "exactly once, whatever breaks": real processes, real faults, a recorded history, a separate judge.

`generate` plays clients against the real service and writes a history; `rig` owns the servers, the service, the relays
and the proxies between them; `injections` and `infra` break things; `judge` decides from history, PostgreSQL and Redis
whether the invariants hold, and shares no code with the rest; `run` puts it together (``make test-faults``, ``make
soak``); `mutants` takes guards out of a copy of the product, to show that the judge then says no.
"""
