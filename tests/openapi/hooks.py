"""What schemathesis cannot know of Tidewire: how many filters a request may have, and which refusals of a request that
is as described are right."""

import itertools
import re

import schemathesis
from schemathesis import GenerationMode

# A request may have 50 filters, and requests are made with all parameters at once: each operation keeps every so many.
EVERY = 5
KEY = re.compile("[!-~]{1,128}")

# A request that is as described may still meet records that are not as it wants them.
STATE = {
    "ACCOUNT_DISABLED",  # an earlier request did that to its `User` record
    "BAD_LINK",  # a link works once, and none was made
    "BAD_CURSOR",  # no text but `next` of a page is a cursor
    "CASCADE_TOO_LARGE",
    "IDEMPOTENCY_MISMATCH",
    "LEASE_HELD",
    "LEASE_LOST",  # no request over HTTP acquires a lease
    "LEASE_REQUIRED",
    "ID_TAKEN",
    "LOGIN_FAILED",  # nobody has this name
    "REGISTRATION_CLOSED",  # as the setting is by default
    "NOT_FOUND",
    "NOT_UNIQUE",
    "RESTRICTED",
    "UNKNOWN_REFERENCE",
    "VERSION_CONFLICT",
}

# What JSON Schema cannot say of parameters; the description says it in words.
IN_WORDS = (
    "`sort` names",  # a field and its descending form are two values of the list
    "for each channel, or none",  # as many `view`, `sort` and `limit` as `channel`
    "is given twice",  # `field` is `field[eq]`
    "a backslash that is not followed by",  # escapes in `in`
    "composed form (NFC)",  # of a text id, which `as` is
    "[in]` must be an id: a text id",  # a comma in an id, which must be escaped
    "only the role `admin` may look",
    "name at least one condition",  # of a change of many
    "`search` holds no word",
    "`search` has more than",
    "Idempotency-Key belongs to an atomic batch",
    "a json field keeps what a 64-bit float keeps",  # which whole numbers those are
    "a whole number that a float would change",
    "give the id once",  # an op's `id` and `data.id`
    "there are more than 50 filters",  # operators count one by one
    "`claims` must be a JSON object",  # in a text that begins like one
    "`claims` is for the user that `as` names",  # one parameter needs the other
    "this needs a session: log in first",  # nobody is logged in here
    "`oldPassword` is not known here",  # with a link there is no old password
    "`entity` names entities, separated by commas",  # names of one text
    "there is no entity `",  # which names there are
    "only the role `admin` may",  # names and roles are one text
    "only a service token or the role `admin` may publish",
    "this login was not begun in this browser",  # the cookie of a login at an issuer
    "`return` must be a path of this server",
    "a part of the resource is empty",  # parts of one text
    "a resource has no filter: percent-encode",
    "a ticket is made for a token",
    "`entity` and `record` go together",  # one parameter needs the other
)


def thinned(parameters, offset):
    """Of the filters every so many, others for each field and operation; everything else."""
    kept, fields, filters = [], {}, 0
    for parameter in parameters:
        reference = parameter.get("$ref", "").split("/")[-1]
        if "." in reference:
            field = reference.split(".")[1]
            place = fields.setdefault(field, len(fields)) + filters
            filters += 1
            if (place + offset) % EVERY:
                continue
        kept.append(parameter)
    return kept


def is_tried(path, parameter):
    """Nothing happens while a long poll waits, and a made-up cursor hides whatever else is asked: one list has it."""
    if parameter.get("name") == "wait":
        return False
    return path == "/api/users" or not parameter.get("$ref", "").endswith("/cursor")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for path, operations in raw_schema["paths"].items():
        for operation in operations.values():
            parameters = [one for one in operation.get("parameters", []) if is_tried(path, one)]
            operation["parameters"] = thinned(parameters, 2 if path.endswith("/count") else 0)
    for name, schema in raw_schema["components"]["schemas"].items():
        if name.endswith("Query") and name != "UserQuery":
            schema["properties"].pop("cursor", None)
        if name == "Poll":
            schema["properties"].pop("wait", None)


keys = itertools.count()
admins = itertools.count()


@schemathesis.hook
def before_call(context, case, **kwargs):
    """The same key all the time would be refused as the key of another request; now and then it is."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and KEY.fullmatch(key) and (number := next(keys)) % 10:
        case.headers["Idempotency-Key"] = str(number)
    # No made-up name has the role that may see these; every other request asks with it.
    if case.path.startswith("/api/admin/") and next(admins) % 2:
        case.query = {**(case.query or {}), "as": "ada:admin"}


def refusals(response):
    """What was refused: the request, or ops of a batch of single ones."""
    if response.status_code >= 400:
        return [response.json()]
    if not response.request.url.split("?")[0].endswith("/api/batch"):
        return []
    return [result["error"] for result in response.json()["results"] if "error" in result]


@schemathesis.check
def described_requests_are_accepted(ctx, response, case):
    """positive_data_acceptance, which reads the code instead of the status."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # The head is larger than the server reads: lists of a thousand values do that.
    if response.status_code == 431:
        return
    for problem in refusals(response):
        if problem["code"] in STATE or any(words in problem["detail"] for words in IN_WORDS):
            continue
        raise AssertionError(f"a request that is as described was refused: {problem['code']}: {problem['detail']}")


@schemathesis.check
def wrong_batches_are_refused(ctx, response, case):
    """negative_data_rejection, which reads the ops."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.NEGATIVE or case.path != "/api/batch":
        return
    if response.status_code != 431 and not refusals(response):
        raise AssertionError("a batch that is not as described was done")
