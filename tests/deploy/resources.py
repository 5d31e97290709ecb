"""Brings what Terraform plans into the form in which it can be compared with what gcloud made.

Decides which fields count; never what they should be.

1. Every resource type of the plan is read here or named in `LEFT_OUT` with the reason.
"""

import base64
import json
from typing import Any

Planned = dict[str, Any]

#: Resource types of the plan that the script has no counterpart for, and why.
LEFT_OUT = {
    "google_storage_bucket": "gcloud uploads the source to a bucket of its own",
    "google_storage_bucket_object": "gcloud uploads the source itself",
}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _one(blocks: list[Planned] | None) -> Planned:
    return blocks[0] if blocks else {}


def _topic(v: Planned) -> tuple[str, str, Any]:
    return "topic", v["name"], {}


def _api(v: Planned) -> tuple[str, str, Any]:
    return "api", v["service"], {}


def _agent(v: Planned) -> tuple[str, str, Any]:
    return "agent", v["service"], {}


def _account(v: Planned) -> tuple[str, str, Any]:
    return "account", v["account_id"], {"title": v["display_name"]}


def _role(v: Planned) -> tuple[str, str, Any]:
    values = {
        "title": v["title"],
        "description": v["description"],
        "permissions": sorted(v["permissions"]),
    }
    return "role", v["role_id"], values


def _binding(v: Planned) -> tuple[str, str, Any]:
    kinds = {
        "topic": "topic",
        "subscription": "subscription",
        "secret_id": "secret",
        "name": "service",
    }
    if "service_account_id" in v:
        account = _last(v["service_account_id"]).split("@")[0]
        return "binding", f"account/{account} {v['role']} {v['member']}", {}
    on = next((f"{kind}/{v[key]}" for key, kind in kinds.items() if key in v), "project")
    return "binding", f"{on} {v['role']} {v['member']}", {}


def _subscription(v: Planned) -> tuple[str, str, Any]:
    push, retry, dead = (
        _one(v["push_config"]),
        _one(v["retry_policy"]),
        _one(v["dead_letter_policy"]),
    )
    token = _one(push.get("oidc_token"))
    values = {
        "topic": _last(v["topic"]),
        "filter": v["filter"] or "",
        "ack_deadline": v["ack_deadline_seconds"],
        "retention": v["message_retention_duration"],
        "expires": _one(v["expiration_policy"])["ttl"] or "never",
        "endpoint": push.get("push_endpoint"),
        "push_account": token.get("service_account_email"),
        "audience": token.get("audience"),
        "backoff": [retry.get("minimum_backoff"), retry.get("maximum_backoff")],
        "dead_letters": _last(dead["dead_letter_topic"]) if dead else None,
        "attempts": dead.get("max_delivery_attempts"),
    }
    return "subscription", v["name"], values


def _function(v: Planned) -> tuple[str, str, Any]:
    build, service = _one(v["build_config"]), _one(v["service_config"])
    egress = service["vpc_connector_egress_settings"]
    values = {
        "region": v["location"],
        "image": None,
        "runtime": build["runtime"],
        "entry_point": build["entry_point"],
        "build_account": build["service_account"],
        "public": False,
        "ingress": {"ALLOW_INTERNAL_ONLY": "internal"}.get(service["ingress_settings"]),
        "timeout": service["timeout_seconds"],
        "memory": service["available_memory"],
        "cpu": service["available_cpu"],
        "concurrency": service["max_instance_request_concurrency"],
        "instances": [service["min_instance_count"], service["max_instance_count"]],
        "account": service["service_account_email"],
        "environment": service["environment_variables"],
        "connector": service["vpc_connector"],
        "network": [None, None],
        "egress": egress and egress.lower().replace("_", "-"),
        "files": {
            f"{volume['mount_path']}/{one['path']}": f"{volume['secret']}:{one['version']}"
            for volume in service["secret_volumes"]
            for one in volume["versions"]
        },
    }
    return "service", v["name"], values


def _service(v: Planned) -> tuple[str, str, Any]:
    template = _one(v["template"])
    container, vpc = _one(template["containers"]), _one(template["vpc_access"])
    limits, net = _one(container["resources"])["limits"], _one(vpc.get("network_interfaces"))
    scaling, egress = _one(template["scaling"]), vpc.get("egress")
    values = {
        "region": v["location"],
        "image": container["image"],
        "runtime": None,
        "entry_point": None,
        "build_account": None,
        "public": False,
        "ingress": {"INGRESS_TRAFFIC_INTERNAL_ONLY": "internal"}.get(v["ingress"]),
        "timeout": int(template["timeout"].rstrip("s")),
        "memory": limits["memory"],
        "cpu": limits["cpu"],
        "concurrency": template["max_instance_request_concurrency"],
        "instances": [scaling["min_instance_count"], scaling["max_instance_count"]],
        "account": template["service_account"],
        "environment": {variable["name"]: variable["value"] for variable in container["env"]},
        "connector": vpc.get("connector"),
        "network": [net.get("network"), net.get("subnetwork")],
        "egress": egress and egress.lower().replace("_", "-"),
        "files": _files(template["volumes"], container["volume_mounts"]),
    }
    return "service", v["name"], values


def _files(volumes: list[Planned], mounts: list[Planned]) -> dict[str, str]:
    """Return the version of a secret that each file is."""
    secrets = {volume["name"]: _one(volume["secret"]) for volume in volumes}
    return {
        f"{mount['mount_path']}/{item['path']}": f"{secret['secret']}:{item['version']}"
        for mount in mounts
        for secret in (secrets[mount["name"]],)
        for item in secret["items"]
    }


def _job(v: Planned) -> tuple[str, str, Any]:
    target = _one(v["pubsub_target"])
    values = {
        "region": v["region"],
        "schedule": v["schedule"],
        "time_zone": v["time_zone"],
        "topic": _last(target["topic_name"]),
        "body": base64.b64decode(target["data"]).decode(),
        "attributes": target["attributes"],
        "description": v["description"],
    }
    return "job", v["name"], values


def _secret(v: Planned) -> tuple[str, str, Any]:
    if not v["rotation"]:
        return "secret", v["secret_id"], {"replication": "automatic", "topics": []}
    rotation = _one(v["rotation"])
    values = {
        "replication": "automatic" if _one(v["replication"])["auto"] else "user-managed",
        "topics": [_last(topic["name"]) for topic in v["topics"]],
        "policy": json.loads(v["annotations"]["rotation.policy"]),
        "period": rotation["rotation_period"],
        "next": rotation["next_rotation_time"],
        "destroy_ttl": v["version_destroy_ttl"],
    }
    return "secret", v["secret_id"], values


def _version(v: Planned) -> tuple[str, str, Any]:
    return "version", f"{_last(v['secret'])}/{v['version']}", json.loads(v["secret_data"])


def _metric(v: Planned) -> tuple[str, str, Any]:
    descriptor = _one(v["metric_descriptor"])
    values = {
        "description": v["description"],
        "filter": v["filter"],
        "labelExtractors": v["label_extractors"],
        "metricDescriptor": {
            "metricKind": descriptor["metric_kind"],
            "valueType": descriptor["value_type"],
            "unit": descriptor["unit"],
            "displayName": descriptor["display_name"],
            "labels": [
                {
                    "key": label["key"],
                    "valueType": label["value_type"],
                    "description": label["description"],
                }
                for label in descriptor["labels"]
            ],
        },
    }
    return "metric", v["name"], values


def _condition(v: Planned) -> Planned:
    threshold = _one(v["condition_threshold"])
    values = {
        "filter": threshold["filter"],
        "comparison": threshold["comparison"],
        "thresholdValue": threshold["threshold_value"],
        "duration": threshold["duration"],
        "evaluationMissingData": threshold["evaluation_missing_data"],
        "aggregations": [
            {
                "alignmentPeriod": aggregation["alignment_period"],
                "perSeriesAligner": aggregation["per_series_aligner"],
                "crossSeriesReducer": aggregation["cross_series_reducer"],
                "groupByFields": aggregation["group_by_fields"],
            }
            for aggregation in threshold["aggregations"]
        ],
        "trigger": {"count": _one(threshold["trigger"])["count"]},
    }
    kept = {key: value for key, value in values.items() if value is not None}
    return {"displayName": v["display_name"], "conditionThreshold": kept}


def _alert(v: Planned) -> tuple[str, str, Any]:
    text = _one(v["documentation"])
    values = {
        "displayName": v["display_name"],
        "combiner": v["combiner"],
        "enabled": v["enabled"],
        "severity": v["severity"],
        "userLabels": v["user_labels"],
        "conditions": [_condition(condition) for condition in v["conditions"]],
        "documentation": {
            "mimeType": text["mime_type"],
            "subject": text["subject"],
            "content": text["content"],
        },
        "alertStrategy": {"autoClose": _one(v["alert_strategy"])["auto_close"]},
        "notificationChannels": sorted(v["notification_channels"] or []),
    }
    return "alert", v["display_name"], values


def _dashboard(v: Planned) -> tuple[str, str, Any]:
    values = json.loads(v["dashboard_json"])
    return "dashboard", values["displayName"], values


READERS = {
    "google_cloud_run_v2_service": _service,
    "google_cloud_run_v2_service_iam_member": _binding,
    "google_cloud_scheduler_job": _job,
    "google_cloudfunctions2_function": _function,
    "google_logging_metric": _metric,
    "google_monitoring_alert_policy": _alert,
    "google_monitoring_dashboard": _dashboard,
    "google_project_iam_custom_role": _role,
    "google_project_iam_member": _binding,
    "google_project_service": _api,
    "google_project_service_identity": _agent,
    "google_pubsub_subscription": _subscription,
    "google_pubsub_subscription_iam_member": _binding,
    "google_pubsub_topic": _topic,
    "google_pubsub_topic_iam_member": _binding,
    "google_secret_manager_secret": _secret,
    "google_secret_manager_secret_iam_member": _binding,
    "google_secret_manager_secret_version": _version,
    "google_service_account": _account,
    "google_service_account_iam_member": _binding,
}


def from_plan(planned: list[Planned]) -> dict[str, Any]:
    """Return what Terraform would make, by ``kind name``."""
    found = {}
    for resource in planned:
        if resource["type"] in LEFT_OUT:
            continue
        kind, name, values = READERS[resource["type"]](resource["values"])
        assert f"{kind} {name}" not in found, f"{kind} {name} twice"
        found[f"{kind} {name}"] = values
    return found


def from_gcloud(state: dict[str, Any]) -> dict[str, Any]:
    """Return what the script made, by ``kind name``."""
    named = {"alert": "displayName", "dashboard": "displayName"}
    return {
        f"{kind} {values.get(named.get(kind, ''), name)}": values
        for kind, resources in state.items()
        for name, values in resources.items()
        if not values.get("by_hand")
        and not (kind == "version" and name.startswith("rotation-keys/"))  # Terraform sees no key
    }
