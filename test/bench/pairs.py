"""Interleaved pairs of times and the rows that benchmarks print of them; bench_raw.h has the same for C."""

import statistics
import time


def seconds(call):
    """Call, and return the seconds that it took and its result."""
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def measure(pairs, *calls):
    """Make all calls in turn, `pairs` times, and return a list of times for each call.

    The order is reversed from round to round, and a round before the first one warms up. A call that measures itself
    returns its time as a float. Results that have a method free() are freed, outside of the measured time.
    """
    times = [[] for _ in calls]
    for k in range(-1, pairs):
        for which in range(len(calls)) if k % 2 else reversed(range(len(calls))):
            taken, result = seconds(calls[which])
            for made in result if isinstance(result, (list, tuple)) else [result]:
                if hasattr(made, "free"):
                    made.free()
            if k >= 0:
                times[which].append(result if isinstance(result, float) else taken)
    return times


def quantile(values, q):
    return sorted(values)[round(q * (len(values) - 1))]


def show(name, ours, limit, theirs, amount=None, unit="s", aim=None):
    """Print medians of both and of the ratio, with its quartiles.

    amount: the amount that is moved in that time: then rates are printed and compared, otherwise times
    aim: of the ratio; it is met if the better quartile reaches it
    """
    rate = amount is not None
    ratios = [b / a if rate else a / b for a, b in zip(ours, theirs)]
    low, middle, high = (quantile(ratios, q) for q in (0.25, 0.5, 0.75))
    for label, times in ((name, ours), (f"{name}_limit_{limit}", theirs)):
        value = statistics.median(times)
        print(f"{label} {amount / value if rate else value:.4g} {unit}")
    met = "" if aim is None else (f"; aim at {'least' if rate else 'most'} {aim:g}: "
                                  f"{'met' if (high >= aim if rate else low <= aim) else 'missed'}")
    print(f"{name}_ratio {middle:.3f} x (quartiles {low:.3f}..{high:.3f} of {len(ratios)} pairs{met})", flush=True)
