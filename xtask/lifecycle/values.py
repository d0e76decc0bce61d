"""What AWS would answer: the values that a resource gets when it is created, and the answers of data sources.

The shapes are AWS's, since the modules' validations check them. Names and ids follow from the arguments, so that two
applies of the same configuration give the same state.
"""

import hashlib
import json
import secrets

ACCOUNT = "123456789012"
PARTITION = "aws"
SUFFIX = "amazonaws.com"


class Unknown(Exception):
    """There is no answer here for that data source."""


def digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def arn(service: str, region: str, rest: str) -> str:
    return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{rest}"


# By type: the computed attributes that others read, from the arguments, the Region and an id.
SHAPES = {
    "aws_api_gateway_rest_api": lambda a, region, own: {
        "id": own[:10],
        "execution_arn": arn("execute-api", region, own[:10]),
        "root_resource_id": own[10:20],
    },
    "aws_api_gateway_resource": lambda a, region, own: {"id": own[:6], "path": f"/{a['path_part']}"},
    "aws_api_gateway_stage": lambda a, region, own: {
        "arn": f"arn:{PARTITION}:apigateway:{region}::/restapis/{a['rest_api_id']}/stages/{a['stage_name']}",
        "invoke_url": f"https://{a['rest_api_id']}.execute-api.{region}.{SUFFIX}/{a['stage_name']}",
    },
    "aws_cloudwatch_event_bus": lambda a, region, own: {"arn": arn("events", region, f"event-bus/{a['name']}")},
    "aws_cloudwatch_event_rule": lambda a, region, own: {"arn": arn("events", region, f"rule/{a['name']}")},
    "aws_cloudwatch_log_group": lambda a, region, own: {"arn": arn("logs", region, f"log-group:{a['name']}"), "id": a["name"]},
    "aws_dynamodb_table": lambda a, region, own: {"arn": arn("dynamodb", region, f"table/{a['name']}"), "id": a["name"]},
    "aws_ecr_repository": lambda a, region, own: {
        "arn": arn("ecr", region, f"repository/{a['name']}"),
        "repository_url": f"{ACCOUNT}.dkr.ecr.{region}.{SUFFIX}/{a['name']}",
    },
    "aws_ecs_cluster": lambda a, region, own: {"arn": arn("ecs", region, f"cluster/{a['name']}")},
    "aws_ecs_task_definition": lambda a, region, own: {
        "arn": arn("ecs", region, f"task-definition/{a['family']}:1"),
        "arn_without_revision": arn("ecs", region, f"task-definition/{a['family']}"),
        "revision": 1,
    },
    "aws_iam_role": lambda a, region, own: {
        "arn": f"arn:{PARTITION}:iam::{ACCOUNT}:role{a['path'] or '/'}{a['name']}",
        "id": a["name"],
        "unique_id": f"AROA{own[:17].upper()}",
    },
    "aws_kms_key": lambda a, region, own: {"arn": arn("kms", region, f"key/{_uuid(own)}"), "key_id": _uuid(own)},
    "aws_lambda_function": lambda a, region, own: {
        "arn": arn("lambda", region, f"function:{a['function_name']}"),
        "code_sha256": a["source_code_hash"],
    },
    "aws_scheduler_schedule_group": lambda a, region, own: {"arn": arn("scheduler", region, f"schedule-group/{a['name']}")},
    "aws_secretsmanager_secret": lambda a, region, own: {
        "arn": arn("secretsmanager", region, f"secret:{a['name']}-{own[:6]}"),
        "id": arn("secretsmanager", region, f"secret:{a['name']}-{own[:6]}"),
    },
    "aws_security_group": lambda a, region, own: {"id": f"sg-{own[:17]}"},
    "aws_sns_topic": lambda a, region, own: {"arn": arn("sns", region, a["name"])},
    "aws_sqs_queue": lambda a, region, own: {
        "arn": arn("sqs", region, a["name"]),
        "url": f"https://sqs.{region}.{SUFFIX}/{ACCOUNT}/{a['name']}",
        "id": f"https://sqs.{region}.{SUFFIX}/{ACCOUNT}/{a['name']}",
    },
    "aws_ssm_parameter": lambda a, region, own: {"arn": arn("ssm", region, f"parameter{a['name']}")},
    "aws_subnet": lambda a, region, own: {"id": f"subnet-{own[:17]}"},
    "aws_vpc": lambda a, region, own: {"id": f"vpc-{own[:17]}"},
}


def _uuid(own: str) -> str:
    return f"{own[:8]}-{own[8:12]}-{own[12:16]}-{own[16:20]}-{own[20:32]}"


def created(kind: str, arguments: dict, region: str) -> dict:
    """The attributes that AWS gives a new resource, except for the defaults of `plain`."""
    known = {name: value for name, value in arguments.items() if isinstance(value, (str, int, bool))}
    own = digest(kind, json.dumps(known, sort_keys=True))
    shape = SHAPES.get(kind, lambda a, region, own: {})
    return {"id": own[:20], "region": region, **shape(arguments, region, own)}


def plain(kind: str, name: str, type) -> object:
    """A computed attribute that nothing here reads."""
    if type == "string":
        return f"{kind}.{name}"
    return {"number": 0, "bool": False}.get(type) if isinstance(type, str) else ([] if type[0] in ("list", "set") else {})


def read(kind: str, arguments: dict, region: str, functions: dict) -> dict:
    """The answer of a data source. `functions` has the code hash of each function that was created."""
    answers = {
        "aws_availability_zones": lambda: {"names": [f"{region}{zone}" for zone in "abcd"]},
        "aws_caller_identity": lambda: {"account_id": ACCOUNT},
        "aws_ecr_image": lambda: {
            "image_digest": f"sha256:{digest(arguments['repository_name'], str(arguments['image_tag']))}",
            "image_pushed_at": 1795651200,
        },
        "aws_iam_policy_document": lambda: _document(arguments),
        "aws_lambda_function": lambda: {"code_sha256": functions[arguments["function_name"]]},
        "aws_partition": lambda: {"partition": PARTITION, "dns_suffix": SUFFIX},
        "aws_region": lambda: {"region": region},
        # Another one each time, as at AWS.
        "aws_secretsmanager_random_password": lambda: {"random_password": secrets.token_hex(32)},
        "aws_vpc_endpoint_service": lambda: {"service_name": f"com.amazonaws.{region}.{arguments['service']}"},
    }
    if kind not in answers:
        raise Unknown(f"the stand-in for AWS's provider has no answer for the data source {kind}: add one to values.py")
    return answers[kind]()


def _document(arguments: dict) -> dict:
    """The JSON of a policy, in the provider's order of keys."""

    def one_or_all(values):
        return values[0] if len(values) == 1 else sorted(values)

    statements = [
        statement
        for source in arguments.get("source_policy_documents") or []
        for statement in json.loads(source)["Statement"]
    ]
    for given in arguments.get("statement") or []:
        statement = {"Effect": given["effect"] or "Allow"}
        if given["sid"]:
            statement["Sid"] = given["sid"]
        for key, word in (("actions", "Action"), ("not_actions", "NotAction"), ("resources", "Resource")):
            if given[key]:
                statement[word] = one_or_all(given[key])
        for principal in given["principals"] or []:
            everyone = principal["type"] == "*"
            statement["Principal"] = "*" if everyone else {principal["type"]: one_or_all(principal["identifiers"])}
        for condition in given["condition"] or []:
            tests = statement.setdefault("Condition", {}).setdefault(condition["test"], {})
            tests[condition["variable"]] = one_or_all(condition["values"])
        statements.append(statement)
    policy = {"Version": "2012-10-17", "Statement": statements}
    return {"json": json.dumps(policy, indent=2), "minified_json": json.dumps(policy, separators=(",", ":"))}
