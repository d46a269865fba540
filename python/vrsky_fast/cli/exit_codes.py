"""How a command ends. Documented in `vrsky --help`; a number never changes its meaning."""

OK = 0
# A pipeline file is wrong, a test failed, a message failed; a node refuses a pipeline; the bucket is not as expected.
FINDINGS = 1
# The command line is wrong (click's own number).
USAGE = 2
# The surroundings: no NATS server, an address in use, a secret or a folder missing.
ENVIRONMENT = 3
# Another run holds the data folder.
IN_USE = 4
# A defect of ours.
DEFECT = 70
# Ended by a second Ctrl-C.
FORCED = 130

TABLE = """\b
Exit codes:
  0    all is well
  1    a pipeline file is wrong, a test or a message failed, a node refuses a
       pipeline, or the bucket differs from what was expected
  2    the command line is wrong
  3    the surroundings: NATS, an address, a folder, a secret, a node that does
       not answer
  4    another run uses the data folder
  70   a defect of vrsky itself
  130  ended by a second Ctrl-C
"""


def of(error: Exception) -> int:
    """How a command ends with an error of this package."""
    from ..config import InvalidConfig

    code = getattr(error, "code", "internal/panic")
    if code == "config/data-folder-in-use":
        return IN_USE
    if isinstance(error, InvalidConfig) or code in {
        "config/canary",
        "config/changed-meanwhile",
        "config/unknown-pipeline",
    }:
        return FINDINGS
    if code in {"config/invalid-value", "config/invalid-name"}:
        return USAGE
    return ENVIRONMENT
