"""The report: what artifacts are, how exact, how good and how fast, as one page of HTML."""
