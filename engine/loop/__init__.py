"""View, plan, pool, executor, record: how requests are served, iteration by iteration."""
