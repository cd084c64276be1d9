"""Parsing of the load tool's report, errors included."""

import pytest
from service_load import parse

REPORT = """Running 10m test @ http://127.0.0.1:53063
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.15ms  392.67ms   2.13s    68.14%
    Req/Sec    16.27     12.08    60.00     65.93%
  Latency Distribution
     50%  559.06ms
     75%  894.52ms
     90%    1.19s 
     99%    1.77s 
  1539 requests in 2.00m, 2.47MB read
"""
END = "Requests/sec:     12.81\nTransfer/sec:     21.02KB\n"


def test_a_report_without_errors_is_read() -> None:
    assert parse(REPORT + END) == {"requests": 1539, "errors": 0, "per_s": 12.81, "p50_ms": 559.06, "p99_ms": 1770.0}


def test_every_kind_of_error_counts() -> None:
    errors = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 20\n"
    assert parse(REPORT + errors + END)["errors"] == 30


def test_other_output_is_refused() -> None:
    with pytest.raises(ValueError, match="this is not a report of wrk:\nunable to connect"):
        parse("unable to connect")
