"""PostgreSQL compared with Redis, exactly: `report` over all partitions, `partition` over one of them."""
