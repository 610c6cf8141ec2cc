"""The frontier of reward and KL as a picture and as a small table."""

from collections.abc import Sequence
from pathlib import Path

Rows = Sequence[dict[str, object]]
"""Rows of `policy_evaluations`."""


def draw(rows: Rows, study: str, path: Path) -> Path:
    """Draw gain over KL with 95 % intervals: tuned models large, checkpoints on the way to them small.

    Args:
        rows: of one study.
        study: its name.
        path: of the SVG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text, so that it can be found and read out; no date, so that the same points give the same file.
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "tracebank"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        for number, beta in enumerate(sorted({_number(row, "beta") for row in rows})):
            way = [row for row in rows if row["beta"] == beta and row["split"] == "choice"]
            kls, gains = ([_number(row, name) for row in way] for name in ("kl", "gain"))
            axes.plot(kls, gains, ".-", c=f"C{number}", alpha=0.3)
            for row in _reports(rows):
                if row["beta"] == beta:
                    gain = _number(row, "gain")
                    ends = [[gain - _number(row, "gain_low")], [_number(row, "gain_high") - gain]]
                    axes.errorbar(
                        _number(row, "kl"), gain, ends, fmt="o", c=f"C{number}", capsize=3, label=f"beta {beta:.3g}"
                    )
        axes.set_xlabel("KL to the untuned model, nats per response")
        axes.set_ylabel("rise in reward")
        axes.set_title(study)
        axes.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    return path


def frontier_markdown(rows: Rows) -> str:
    """The tuned models as a table."""
    lines = ["| beta | step | rise | 95 % | nats |", "|---|---|---|---|---|"]
    lines += [
        f"| {_number(row, 'beta'):.3g} | {row['step']} | {_number(row, 'gain'):+.3f}"
        f" | {_number(row, 'gain_low'):+.3f} to {_number(row, 'gain_high'):+.3f} | {_number(row, 'kl'):.2f} |"
        for row in _reports(rows)
    ]
    return "\n".join(lines)


def _reports(rows: Rows) -> list[dict[str, object]]:
    return [row for row in rows if row["split"] == "report"]


def _number(row: dict[str, object], name: str) -> float:
    return float(str(row[name]))
