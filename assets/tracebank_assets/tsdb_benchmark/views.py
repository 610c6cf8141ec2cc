"""Views of the benchmark of databases."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_REPORT: Final = "tsdb_benchmark/report"
_NEWEST: Final = """(
    SELECT engine, lane, workload, scale, max(run_id) AS run_id
    FROM relational.benchmark_results
    GROUP BY engine, lane, workload, scale
)"""
"""The newest run of everything; names of runs begin with their time."""
_WORKLOAD: Final = Parameter(
    "workload",
    "Question",
    "SELECT workload FROM relational.benchmark_results GROUP BY workload ORDER BY length(workload), workload",
)

VIEWS: Final = (
    View(
        "fastest",
        "Which database is fastest at what",
        _REPORT,
        f"""WITH ranked AS (
    SELECT b.workload AS workload, b.scale AS scale, b.lane AS lane, b.engine AS engine,
        b.median_seconds AS seconds, b.low_seconds AS low, b.high_seconds AS high, b.repetitions AS repetitions,
        row_number() OVER (PARTITION BY b.workload, b.scale, b.lane ORDER BY b.median_seconds, b.engine) AS place,
        count(*) OVER (PARTITION BY b.workload, b.scale, b.lane) AS engines
    FROM relational.benchmark_results AS b
    INNER JOIN {_NEWEST} AS n ON n.run_id = b.run_id AND n.engine = b.engine AND n.lane = b.lane
        AND n.workload = b.workload AND n.scale = b.scale
    WHERE b.status = 'verified' AND b.median_seconds IS NOT NULL
)
SELECT a.workload AS workload, a.scale AS scale, a.lane AS lane, a.engine AS least_median, a.seconds AS seconds,
    a.low AS seconds_low, a.high AS seconds_high, b.engine AS next_engine, b.seconds AS next_seconds,
    b.low AS next_seconds_low, b.high AS next_seconds_high,
    CASE WHEN a.high < b.low THEN 'fastest' ELSE 'not told apart' END AS verdict,
    a.repetitions AS repetitions, a.engines AS engines
FROM ranked AS a
INNER JOIN ranked AS b ON b.workload = a.workload AND b.scale = a.scale AND b.lane = a.lane AND b.place = 2
WHERE a.place = 1
ORDER BY a.scale, a.lane, length(a.workload), a.workload""",
        doc="The engine with the least median of each question, beside the next one. It is called the fastest only"
        " where the 95 % intervals of both medians, over repetitions, lie apart. Only right answers have a time.",
    ),
    View(
        "question",
        "One question, every database",
        _REPORT,
        f"""SELECT b.engine AS engine, b.lane AS lane, b.scale AS scale, b.status AS status,
    b.median_seconds AS seconds, b.low_seconds AS seconds_low, b.high_seconds AS seconds_high,
    b.cpu_seconds AS cpu_seconds, b.repetitions AS repetitions, b.foreign_share AS foreign_share, b.rows AS rows_told,
    b.reason AS reason, b.run_id AS run_id
FROM relational.benchmark_results AS b
INNER JOIN {_NEWEST} AS n ON n.run_id = b.run_id AND n.engine = b.engine AND n.lane = b.lane
    AND n.workload = b.workload AND n.scale = b.scale
WHERE b.workload = :workload
ORDER BY b.scale, coalesce(b.median_seconds, 1e9), b.engine, b.lane""",
        Chart("bars", y="seconds", by=("engine", "lane"), y_label="median, s", apart=("scale",)),
        "Median wall time of the newest run of each engine, its 95 % interval over undisturbed repetitions. An answer"
        " that is not verified has no time, and a reason.",
        (_WORKLOAD,),
    ),
    View(
        "history",
        "One question over runs",
        _REPORT,
        """SELECT r.started_at AS started_at, b.engine AS engine, b.lane AS lane, b.scale AS scale, b.status AS status,
    b.median_seconds AS seconds, b.low_seconds AS seconds_low, b.high_seconds AS seconds_high,
    b.repetitions AS repetitions, r.environment AS environment, b.run_id AS run_id
FROM relational.benchmark_results AS b
INNER JOIN relational.benchmark_runs AS r ON r.run_id = b.run_id
WHERE b.workload = :workload
ORDER BY b.scale, b.engine, b.lane, r.started_at""",
        Chart("lines", "started_at", "seconds", ("engine", "lane"), "UTC", "median, s", apart=("scale",)),
        "Medians with 95 % intervals, run by run. Runs of other environments are no measure of each other.",
        (_WORKLOAD,),
    ),
)
"""In the order in which they are listed."""
