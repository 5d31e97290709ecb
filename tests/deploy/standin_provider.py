"""A Terraform provider with the real providers' schemas that reaches nothing.

Decides what a plan may know; never makes anything.  Terraform starts it as a plugin, so that
``validate`` and ``plan`` are Terraform's own.

1. Speaks Terraform's plugin protocol 5 (<https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol>).
2. Schemas come from ``google_schema.json``: an unknown or missing argument is refused by Terraform.
3. What Google computes is filled in from the arguments, so that a plan has no unknown values.
"""

import base64
import json
import os
import sys
from collections.abc import Callable
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

NUMBER = "123456789012"

_FIELDS = {
    "DynamicValue": [("msgpack", 1, "bytes"), ("json", 2, "bytes")],
    "Diagnostic": [("severity", 1, "int64"), ("summary", 2, "string"), ("detail", 3, "string")],
    "Attribute": [
        ("name", 1, "string"),
        ("type", 2, "bytes"),
        ("description", 3, "string"),
        ("required", 4, "bool"),
        ("optional", 5, "bool"),
        ("computed", 6, "bool"),
    ],
    "Nested": [
        ("type_name", 1, "string"),
        ("block", 2, "Block"),
        ("nesting", 3, "int64"),
        ("min_items", 4, "int64"),
        ("max_items", 5, "int64"),
    ],
    "Block": [
        ("version", 1, "int64"),
        ("attributes", 2, "*Attribute"),
        ("block_types", 3, "*Nested"),
    ],
    "Schema": [("version", 1, "int64"), ("block", 2, "Block")],
    "Entry": [("key", 1, "string"), ("value", 2, "Schema")],
    "Raw": [("json", 1, "bytes")],
    "Empty": [],
    "Schemas": [("provider", 1, "Schema"), ("resources", 2, "*Entry"), ("data", 3, "*Entry")],
    "Config": [("terraform_version", 1, "string"), ("config", 2, "DynamicValue")],
    "Prepare": [("config", 1, "DynamicValue")],
    "Prepared": [("config", 1, "DynamicValue"), ("diagnostics", 2, "*Diagnostic")],
    "Typed": [("type_name", 1, "string"), ("config", 2, "DynamicValue")],
    "Diagnostics": [("diagnostics", 1, "*Diagnostic")],
    "Upgrade": [("type_name", 1, "string"), ("version", 2, "int64"), ("raw", 3, "Raw")],
    "State": [("state", 1, "DynamicValue"), ("diagnostics", 2, "*Diagnostic")],
    "Read": [("type_name", 1, "string"), ("state", 2, "DynamicValue"), ("private", 3, "bytes")],
    "Plan": [
        ("type_name", 1, "string"),
        ("prior", 2, "DynamicValue"),
        ("proposed", 3, "DynamicValue"),
        ("config", 4, "DynamicValue"),
        ("private", 5, "bytes"),
    ],
    "Planned": [
        ("state", 1, "DynamicValue"),
        ("private", 3, "bytes"),
        ("diagnostics", 4, "*Diagnostic"),
        ("legacy_type_system", 5, "bool"),
    ],
    "Apply": [
        ("type_name", 1, "string"),
        ("prior", 2, "DynamicValue"),
        ("planned", 3, "DynamicValue"),
    ],
    "Applied": [
        ("state", 1, "DynamicValue"),
        ("private", 2, "bytes"),
        ("diagnostics", 3, "*Diagnostic"),
        ("legacy_type_system", 4, "bool"),
    ],
}


def _messages() -> Callable[[str], Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="standin.proto", package="standin", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    plain = {
        "bytes": kinds.TYPE_BYTES,
        "string": kinds.TYPE_STRING,
        "int64": kinds.TYPE_INT64,
        "bool": kinds.TYPE_BOOL,
    }
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            inner = kind.removeprefix("*")
            label = kinds.LABEL_REPEATED if kind != inner else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if inner in plain:
                added.type = plain[inner]
            else:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".standin.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"standin.{name}")
    )


MESSAGE = _messages()


def _type(kind: Any) -> bytes:
    return json.dumps(kind).encode()


def _block(schema: dict[str, Any]) -> Any:
    block = MESSAGE("Block")()
    for name, attribute in sorted(schema["attributes"].items()):
        given = attribute.get("given", True)
        block.attributes.add(
            name=name,
            type=_type(attribute["type"]),
            required=attribute["required"],
            optional=given and not attribute["required"],
            computed=attribute.get("computed", False),
        )
    for name, nested in sorted(schema["blocks"].items()):
        block.block_types.add(
            type_name=name,
            block=_block(nested),
            nesting=2,
            min_items=int(nested["required"]),
            max_items=0 if nested["many"] else 1,
        )
    return block


def computed(kind: str, values: dict[str, Any], project: str) -> dict[str, Any]:
    """Return what Google would say about a resource with these arguments."""
    name = values.get("name") or ""
    project = values.get("project") or project
    account = f"{values.get('account_id')}@{project}.iam.gserviceaccount.com"
    secret = f"projects/{project}/secrets/{values.get('secret_id')}"
    role = f"projects/{project}/roles/{values.get('role_id')}"
    service = str(values.get("service")).split(".")[0]
    agent = f"service-{NUMBER}@gcp-sa-{service}.iam.gserviceaccount.com"
    url = f"https://rotation-{NUMBER}.{values.get('location')}.run.app"
    known: dict[str, dict[str, Any]] = {
        "google_pubsub_topic": {"id": f"projects/{project}/topics/{name}"},
        "google_pubsub_subscription": {"id": f"projects/{project}/subscriptions/{name}"},
        "google_service_account": {
            "email": account,
            "member": f"serviceAccount:{account}",
            "name": f"projects/{project}/serviceAccounts/{account}",
        },
        "google_secret_manager_secret": {"id": secret},
        "google_secret_manager_secret_version": {"version": "1"},
        "google_project_iam_custom_role": {"id": role, "name": role},
        "google_project_service_identity": {"email": agent, "member": f"serviceAccount:{agent}"},
        "google_cloud_run_v2_service": {"uri": url},
        "google_monitoring_alert_policy": {
            "name": f"projects/{project}/alertPolicies/{values.get('display_name')}"
        },
        "archive_file": {"output_sha256": "0" * 64},
    }
    if kind == "google_cloudfunctions2_function":
        return {"service_config": [values["service_config"][0] | {"uri": url}]}
    return known.get(kind, {})


class Provider:
    """Answers Terraform's calls."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        self._project = ""

    def schema(self, _: Any) -> Any:
        answer = MESSAGE("Schemas")()
        text = {"type": "string", "required": False}
        answer.provider.block.CopyFrom(
            _block({"attributes": {"project": text, "region": text}, "blocks": {}})
        )
        for kind, described in self._schemas.items():
            entry = (
                answer.data.add(key=kind)
                if kind == "archive_file"
                else answer.resources.add(key=kind)
            )
            entry.value.block.CopyFrom(_block(described))
        return answer

    def prepare(self, request: Any) -> Any:
        return MESSAGE("Prepared")(config=request.config)

    def configure(self, request: Any) -> Any:
        self._project = (_decode(request.config) or {}).get("project") or ""
        return MESSAGE("Diagnostics")()

    def valid(self, _: Any) -> Any:
        return MESSAGE("Diagnostics")()

    def upgrade(self, request: Any) -> Any:
        return MESSAGE("State")(state=MESSAGE("DynamicValue")(json=request.raw.json))

    def read(self, request: Any) -> Any:
        return MESSAGE("State")(state=request.state)

    def plan(self, request: Any) -> Any:
        state = self._filled(request.type_name, request.proposed)
        return MESSAGE("Planned")(state=state, legacy_type_system=True)

    def apply(self, request: Any) -> Any:
        return MESSAGE("Applied")(state=request.planned, legacy_type_system=True)

    def data(self, request: Any) -> Any:
        return MESSAGE("State")(state=self._filled(request.type_name, request.config))

    def _filled(self, kind: str, value: Any) -> Any:
        values = _decode(value)
        if values is None:
            return value
        for key, computed_value in computed(kind, values, self._project).items():
            values[key] = computed_value
        return MESSAGE("DynamicValue")(msgpack=msgspec.msgpack.encode(values))


def _decode(value: Any) -> Any:
    return (
        msgspec.msgpack.decode(value.msgpack)
        if value.msgpack
        else json.loads(value.json or b"null")
    )


_CALLS = {
    "GetSchema": ("Empty", Provider.schema),
    "PrepareProviderConfig": ("Prepare", Provider.prepare),
    "Configure": ("Config", Provider.configure),
    "ValidateResourceTypeConfig": ("Typed", Provider.valid),
    "ValidateDataSourceConfig": ("Typed", Provider.valid),
    "UpgradeResourceState": ("Upgrade", Provider.upgrade),
    "ReadResource": ("Read", Provider.read),
    "PlanResourceChange": ("Plan", Provider.plan),
    "ApplyResourceChange": ("Apply", Provider.apply),
    "ReadDataSource": ("Typed", Provider.data),
}


def _handlers(provider: Provider) -> list[grpc.GenericRpcHandler]:
    def handler(asked: str, act: Callable[[Provider, Any], Any]) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _: act(provider, request),
            request_deserializer=MESSAGE(asked).FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    end = grpc.unary_unary_rpc_method_handler(lambda _request, _context: os._exit(0))
    return [
        grpc.method_handlers_generic_handler(
            "tfplugin5.Provider", {name: handler(*call) for name, call in _CALLS.items()}
        ),
        grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": end}),
    ]


def _certificate() -> tuple[bytes, bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (
        secret,
        made.public_bytes(serialization.Encoding.PEM),
        made.public_bytes(serialization.Encoding.DER),
    )


def main(provider: str) -> None:
    """Serve one provider until Terraform says that it is done."""
    schemas = json.loads((Path(__file__).parent / "google_schema.json").read_text())[provider]
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(_handlers(Provider(schemas)))
    key, chain, der = _certificate()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    server.start()
    encoded = base64.b64encode(der).decode().rstrip("=")
    print(f"1|5|tcp|127.0.0.1:{port}|grpc|{encoded}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
