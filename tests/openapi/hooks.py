"""What schemathesis cannot know of Tidewire: which described parts are not served yet, and which refusals of a request
that is as described are right."""

import schemathesis
from schemathesis import GenerationMode

# Described and not served yet: whoever serves one takes it out. Named as in tests/descriptions.rs.
COMING_PATHS = ("/count", "/history", "/api/batch", "/metrics")
COMING_PARAMETERS = ("expand", "fields", "search")

# A request that is as described may still meet records that are not as it wants them.
STATE = {
    "BAD_CURSOR",  # no text but `next` of a page is a cursor
    "CASCADE_TOO_LARGE",
    "IDEMPOTENCY_MISMATCH",
    "ID_TAKEN",
    "NOT_FOUND",
    "NOT_UNIQUE",
    "RESTRICTED",
    "UNKNOWN_REFERENCE",
    "VERSION_CONFLICT",
}

# What JSON Schema cannot say of parameters; the description says it in words.
IN_WORDS = (
    "`sort` names",  # a field and its descending form are two values of the list
    "give one for each, or none",  # as many `view` as `channel`
)


def is_coming(parameter):
    name = parameter.get("name", parameter.get("$ref", "").split("/")[-1])
    return name in COMING_PARAMETERS or "[" in name or name.count(".") == 2


@schemathesis.hook
def before_load_schema(context, raw_schema):
    paths = raw_schema["paths"]
    for path in [path for path in paths if path.endswith(COMING_PATHS)]:
        del paths[path]
    for operations in paths.values():
        for operation in operations.values():
            parameters = [one for one in operation.get("parameters", []) if not is_coming(one)]
            # Nothing happens while a long poll waits.
            operation["parameters"] = [one for one in parameters if one.get("name") != "wait"]


@schemathesis.check
def described_requests_are_accepted(ctx, response, case):
    """positive_data_acceptance, which reads the code instead of the status."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE or response.status_code < 400:
        return
    # The head is larger than the server reads: lists of a thousand values do that.
    if response.status_code == 431:
        return
    problem = response.json()
    if problem["code"] in STATE or any(words in problem["detail"] for words in IN_WORDS):
        return
    raise AssertionError(f"a request that is as described was refused: {problem['code']}: {problem['detail']}")
