"""From a request to results: plan, compose, schedule, decide, act, follow, collect."""
