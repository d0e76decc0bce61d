"""A stand-in for AWS's Terraform provider: it plans and applies, and creates nothing.

    provider.py SCHEMA STATE       as Terraform starts it

SCHEMA is what `terraform providers schema -json` prints for the provider that it stands in for, so that arguments are
checked as that provider checks them. STATE is a file that keeps the code hash of functions between two commands.

What it cannot show: the provider's own validations, defaults that AWS chooses, and replacements beyond those in
`REPLACED`.
"""

import json
import os
import sys
import threading
from pathlib import Path

import msgpack
import tf.provider
from tf import runner
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

import values

ADDRESS = "registry.terraform.io/hashicorp/aws"
UNKNOWN = msgpack.ExtType(0, b"\x00")

# Arguments whose change replaces what holds data, an address or a name that others know (AWS's provider documents them
# as forcing a new resource).
REPLACED = {
    "aws_api_gateway_deployment": {"rest_api_id", "triggers"},
    "aws_api_gateway_rest_api_policy": {"rest_api_id"},
    "aws_api_gateway_stage": {"rest_api_id", "stage_name"},
    "aws_cloudwatch_event_bus": {"name"},
    "aws_cloudwatch_log_group": {"name"},
    "aws_dynamodb_table": {"name", "hash_key", "range_key"},
    "aws_ecr_repository": {"name"},
    "aws_ecs_cluster": {"name"},
    "aws_ecs_task_definition": {"family", "container_definitions", "cpu", "memory", "task_role_arn", "execution_role_arn"},
    "aws_iam_role": {"name", "path"},
    "aws_lambda_function": {"function_name"},
    "aws_lambda_function_recursion_config": {"function_name"},
    "aws_secretsmanager_secret": {"name"},
    "aws_secretsmanager_secret_version": {"secret_id", "secret_string"},
    "aws_security_group": {"name", "description", "vpc_id"},
    "aws_sns_topic": {"name"},
    "aws_sqs_queue": {"name"},
    "aws_ssm_parameter": {"name"},
    "aws_subnet": {"cidr_block", "vpc_id"},
    "aws_vpc": {"cidr_block"},
    "aws_vpc_endpoint": {"service_name", "vpc_id"},
}

# Defaults that AWS's provider documents, of arguments that replace a resource.
DEFAULTS = {"aws_iam_role": {"path": "/"}}


def decode(value: pb.DynamicValue):
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)
    return json.loads(value.json) if value.json else None


def encode(value) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def is_unknown(value) -> bool:
    if isinstance(value, dict):
        return any(map(is_unknown, value.values()))
    return isinstance(value, msgpack.ExtType) or isinstance(value, list) and any(map(is_unknown, value))


class Schema:
    """The schema in the form that Terraform prints, and in the form of its protocol."""

    def __init__(self, file: Path):
        self._read = json.loads(file.read_text())["provider_schemas"][ADDRESS]

    def resource(self, kind: str) -> dict:
        return self._read["resource_schemas"][kind]["block"]

    def data(self, kind: str) -> dict:
        return self._read["data_source_schemas"][kind]["block"]

    def answer(self) -> pb.GetProviderSchema.Response:
        answer = pb.GetProviderSchema.Response()
        answer.provider.CopyFrom(self._schema(self._read["provider"]))
        for kind, schema in self._read["resource_schemas"].items():
            answer.resource_schemas[kind].CopyFrom(self._schema(schema))
        for kind, schema in self._read["data_source_schemas"].items():
            answer.data_source_schemas[kind].CopyFrom(self._schema(schema))
        return answer

    def _schema(self, schema: dict) -> pb.Schema:
        return pb.Schema(version=schema["version"], block=self._block(schema["block"]))

    def _block(self, block: dict) -> pb.Schema.Block:
        made = pb.Schema.Block(attributes=[self._attribute(*pair) for pair in block.get("attributes", {}).items()])
        for name, nested in block.get("block_types", {}).items():
            nesting = pb.Schema.NestedBlock.NestingMode.Value(nested["nesting_mode"].upper())
            bounds = {key: nested[key] for key in ("min_items", "max_items") if key in nested}
            made.block_types.append(pb.Schema.NestedBlock(type_name=name, block=self._block(nested["block"]), nesting=nesting, **bounds))
        return made

    def _attribute(self, name: str, given: dict) -> pb.Schema.Attribute:
        flags = {flag: True for flag in ("required", "optional", "computed", "sensitive") if given.get(flag)}
        if "nested_type" not in given:
            return pb.Schema.Attribute(name=name, type=json.dumps(given["type"]).encode(), **flags)
        nested = given["nested_type"]
        inner = [self._attribute(*pair) for pair in nested["attributes"].items()]
        nesting = pb.Schema.Object.NestingMode.Value(nested["nesting_mode"].upper())
        return pb.Schema.Attribute(name=name, nested_type=pb.Schema.Object(attributes=inner, nesting=nesting), **flags)


def walk(block: dict, value: dict, change) -> dict:
    """The value with `change(name, attribute, value)` in place of each attribute, at any depth."""
    made = {name: change(name, attribute, value.get(name)) for name, attribute in block.get("attributes", {}).items()}
    for name, nested in block.get("block_types", {}).items():
        held = value.get(name)
        if isinstance(held, list):
            held = [walk(nested["block"], entry, change) for entry in held]
        elif isinstance(held, dict):
            held = walk(nested["block"], held, change)
        elif held is None and nested["nesting_mode"] in ("list", "set"):
            held = []
        made[name] = held
    return made


class Provider(rpc.ProviderServicer):
    def __init__(self, schema: Schema, state: Path):
        self._schema, self._state = schema, state
        self._region, self._tags = "", {}
        # Terraform applies several resources at once.
        self._writes = threading.Lock()

    def GetMetadata(self, request, context):
        return pb.GetMetadata.Response()

    def GetProviderSchema(self, request, context):
        return self._schema.answer()

    def GetFunctions(self, request, context):
        return pb.GetFunctions.Response()

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request, context):
        given = decode(request.config) or {}
        self._region = given.get("region") or os.environ.get("AWS_REGION") or ""
        for block in given.get("default_tags") or []:
            self._tags = block["tags"] or {}
        if not self._region:
            return pb.ConfigureProvider.Response(diagnostics=[_error("the provider has no Region: set `region` or AWS_REGION")])
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request, context):
        held = json.loads(request.raw_state.json)
        fitting = walk(self._schema.resource(request.type_name), held, lambda name, attribute, value: value)
        return pb.UpgradeResourceState.Response(upgraded_state=encode(fitting))

    def ReadResource(self, request, context):
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request, context):
        kind, prior, planned = request.type_name, decode(request.prior_state), decode(request.proposed_new_state)
        if planned is None:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        block = self._schema.resource(kind)
        if prior is None:
            planned = walk(block, planned, lambda name, attribute, value: UNKNOWN if value is None and attribute.get("computed") else value)
        for name, default in DEFAULTS.get(kind, {}).items():
            planned[name] = default if planned[name] is None else planned[name]
        if "tags_all" in planned:
            tags = planned["tags"]
            planned["tags_all"] = UNKNOWN if is_unknown(tags) else {**self._tags, **(tags or {})}
        replaced = [] if prior is None else [name for name in REPLACED.get(kind, ()) if prior[name] != planned[name]]
        if kind == "aws_lambda_function" and prior is not None and prior["source_code_hash"] != planned["source_code_hash"]:
            planned["code_sha256"] = UNKNOWN
        paths = [pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)]) for name in sorted(replaced)]
        return pb.PlanResourceChange.Response(planned_state=encode(planned), requires_replace=paths, legacy_type_system=True)

    def ApplyResourceChange(self, request, context):
        kind, planned = request.type_name, decode(request.planned_state)
        if planned is None:
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        made = values.created(kind, planned, self._region)

        def settle(name, attribute, value):
            if not isinstance(value, msgpack.ExtType):
                return value
            return values.plain(kind, name, attribute.get("type"))

        settled = {name: made[name] if is_unknown(value) and name in made else value for name, value in planned.items()}
        settled = walk(self._schema.resource(kind), settled, settle)
        if kind == "aws_lambda_function":
            self._remember(settled["function_name"], settled["code_sha256"])
        return pb.ApplyResourceChange.Response(new_state=encode(settled))

    def ImportResourceState(self, request, context):
        return pb.ImportResourceState.Response(diagnostics=[_error("the stand-in imports nothing")])

    def ReadDataSource(self, request, context):
        kind, given = request.type_name, decode(request.config)
        try:
            answer = values.read(kind, given, self._region, self._functions())
        except (values.Unknown, KeyError) as error:
            return pb.ReadDataSource.Response(diagnostics=[_error(f"{kind}: {error}")])
        made = walk(
            self._schema.data(kind),
            {**given, **answer},
            lambda name, attribute, value: values.plain(kind, name, attribute.get("type")) if value is None and attribute.get("computed") else value,
        )
        return pb.ReadDataSource.Response(state=encode(made))

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()

    def _functions(self) -> dict:
        with self._writes:
            return json.loads(self._state.read_text()) if self._state.exists() else {}

    def _remember(self, function: str, code: str) -> None:
        with self._writes:
            known = json.loads(self._state.read_text()) if self._state.exists() else {}
            self._state.write_text(json.dumps({**known, function: code}))


def _error(summary: str) -> pb.Diagnostic:
    return pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=summary)


class Named:
    """What the runner asks of a provider."""

    def full_name(self) -> str:
        return ADDRESS


if __name__ == "__main__":
    schema, state = map(Path, sys.argv[1:3])
    served = Provider(Schema(schema), state)
    # The package's own servicer is for providers that are written with its classes.
    tf.provider.ProviderServicer = lambda provider: served
    runner.run_provider(Named(), sys.argv[:1])
