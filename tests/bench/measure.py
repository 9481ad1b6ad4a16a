"""What the benchmark's parts share: figures of processes, medians, tables. It starts and judges nothing."""

import glob
import os
import statistics

TICKS = os.sysconf("SC_CLK_TCK")


def parents():
    """{pid: its parent}"""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                fields = file.read().rsplit(")", 1)[1].split()
            found[int(path.split("/")[2])] = int(fields[1])
        except OSError:
            pass
    return found


def tree(pid):
    """The process and all that descend from it."""
    parent, found = parents(), [pid]
    for at in found:
        found += [child for child, its in parent.items() if its == at]
    return found


def command(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().rstrip(b"\0").decode(errors="replace").split("\0")
    except OSError:
        return [""]


def cpu(pids):
    """Seconds that the processes, and those that they have reaped, have used."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as file:
                total += sum(int(field) for field in file.read().rsplit(")", 1)[1].split()[11:15])
        except OSError:
            pass
    return total / TICKS


def memory(pids):
    """(resident, private) KiB."""
    resident = private = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                for line in file:
                    name, _, rest = line.partition(":")
                    if name == "Rss":
                        resident += int(rest.split()[0])
                    elif name in ("Private_Clean", "Private_Dirty"):
                        private += int(rest.split()[0])
        except OSError:
            pass
    return resident, private


def pin(pids, core):
    for pid in pids:
        for path in glob.glob("/proc/%d/task/*" % pid):
            try:
                os.sched_setaffinity(int(path.split("/")[-1]), {core})
            except OSError:
                pass


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values, unit, digits=1):
    """'12.3 ms (11.8 to 14.0, 20 runs)'"""
    if not values:
        return "nothing was measured"
    if len(values) == 1:
        return "%.*f %s" % (digits, values[0], unit)
    return "%.*f %s (%.*f to %.*f, %d runs)" % (digits, statistics.median(values), unit, digits, min(values), digits,
                                               max(values), len(values))


def table(rows):
    """Columns of text, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip(), flush=True)
