"""Users that ask a server for random units: locust, in a process of its own, for a bounded time."""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any, Final

LISTED: Final = ("all", "search", "page", "first", "unchanged")
"""What users may ask for."""
_TOKENS: Final = ("sun", "moons", "import", "stoneing", "<b>")


def main() -> None:
    """Ask, and print what came as JSON: arguments are the server's address, what is asked, users, seconds, units."""
    from gevent import monkey  # type: ignore[import-untyped]

    monkey.patch_all()
    import gevent
    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    host, what, users, seconds, each, layers, model = sys.argv[1:8]
    draw = random.Random(0)
    versions: dict[str, str] = {}
    counted = {"bytes": 0, "unchanged": 0}

    def path() -> str:
        layer, neuron = draw.randrange(int(layers)), draw.randrange(int(each))
        if what == "page":
            return f"/units/{model}~layers.{layer}.neurons/{neuron}"
        if what == "search":
            return f"/api/{model}/neuron2graph-search?query=activating:{draw.choice(_TOKENS)},important:sun"
        return "/" if what == "first" else f"/api/{model}/all/{layer}/{neuron % 50 if what == 'unchanged' else neuron}"

    class Asker(FastHttpUser):
        """One connection that asks as soon as it is answered."""

        wait_time = constant(0)

        @task
        def ask(self) -> None:
            """One request."""
            place = path()
            headers = {"If-None-Match": versions[place]} if place in versions else {}
            with self.client.get(place, headers=headers, name=what, catch_response=True) as answer:
                if answer.status_code not in (200, 304):
                    answer.failure(f"{answer.status_code}: {answer.text[:200]}")
                counted["bytes"] += len(answer.content or b"")
                counted["unchanged"] += answer.status_code == 304
                if what == "unchanged" and answer.status_code == 200:
                    versions[place] = answer.headers["etag"]

    environment = Environment(user_classes=[Asker], host=host)
    runner = environment.create_local_runner()
    begun = time.perf_counter()
    runner.start(int(users), spawn_rate=int(users))
    gevent.sleep(float(seconds))
    runner.quit()
    took = time.perf_counter() - begun
    told = environment.stats.total
    print(json.dumps(_figures(told, took, counted)))  # noqa: T201


def _figures(told: Any, took: float, counted: dict[str, int]) -> dict[str, float]:
    return {
        "requests": told.num_requests,
        "failures": told.num_failures,
        "per_second": told.num_requests / took,
        "p50_ms": told.get_response_time_percentile(0.5) or 0.0,
        "p99_ms": told.get_response_time_percentile(0.99) or 0.0,
        "mb_per_second": counted["bytes"] / took / 1e6,
        "unchanged": counted["unchanged"],
    }


if __name__ == "__main__":
    main()
