"""Sizes, counts and shapes."""

from secretmanager_calls import (
    ALIAS,
    ANNOTATION,
    DAY,
    HOUR,
    LABEL_KEY,
    LABEL_VALUE,
    PRECONDITION,
    TOPIC,
    TOPICS,
    Json,
    P,
    Row,
    add,
    ahead,
    answers,
    create,
    refused,
    seconds,
    update,
)


def labels_refused(name: str, labels: dict[str, str], message: str, **more: Json) -> Row:
    return refused(name, create(), update("labels", labels=labels), message=message, **more)


def annotations_refused(name: str, annotations: dict[str, str], message: str) -> Row:
    return refused(name, create(), update("annotations", annotations=annotations), message=message)


def aliases_refused(name: str, aliases: dict[str, int], message: str, **more: Json) -> Row:
    call = update("version_aliases", version_aliases=aliases)
    return refused(name, create(), add(), call, message=message, **more)


def rotation_refused(name: str, rotation: dict[str, Json], message: str, **more: Json) -> Row:
    return refused(name, create(**TOPICS, rotation=rotation), message=message, **more)


LONG = "x" * 64
WIDE = "漢" * 43
LIMITS = (
    answers(
        "64-labels-are-accepted",
        create(labels={f"k{i}": "" for i in range(64)}),
        fields={"labels": {f"k{i}": "" for i in range(64)}},
    ),
    labels_refused(
        "65-labels-are-refused",
        {f"k{i}": "" for i in range(65)},
        'Invalid field "labels"; at most 64 entries allowed but found 65',
        node=True,
    ),
    labels_refused(
        "label-keys-have-no-capitals",
        {"Team": "db"},
        f'Invalid field "labels"; key "Team" does not conform to regular expression "{LABEL_KEY}"',
        node=True,
    ),
    labels_refused(
        "label-keys-do-not-begin-with-a-digit",
        {"1a": "db"},
        f'Invalid field "labels"; key "1a" does not conform to regular expression "{LABEL_KEY}"',
    ),
    labels_refused(
        "label-keys-have-at-most-63-characters",
        {LONG: ""},
        f'Invalid field "labels"; key "{LONG}" exceeds maximum character length 63',
    ),
    labels_refused(
        "label-keys-have-at-most-128-bytes",
        {WIDE: ""},
        f'Invalid field "labels"; key "{WIDE}" exceeds maximum byte length 128',
    ),
    labels_refused(
        "label-values-hold-no-time",
        {"until": "2026-10-02T13:11:21Z"},
        'Invalid field "labels.until"; value "2026-10-02T13:11:21Z" does not conform to regular '
        f'expression "{LABEL_VALUE}"',
        node=True,
    ),
    labels_refused(
        "label-values-have-at-most-63-characters",
        {"k": LONG},
        f'Invalid field "labels.k"; value "{LONG}" exceeds maximum value length 63',
    ),
    labels_refused(
        "label-values-have-at-most-128-bytes",
        {"k": WIDE},
        f'Invalid field "labels.k"; value "{WIDE}" exceeds maximum byte length 128',
    ),
    answers(
        "labels-may-be-other-scripts",
        create(labels={"größe": "漢_1"}),
        fields={"labels": {"größe": "漢_1"}},
    ),
    annotations_refused("annotation-keys-end-in-a-letter", {"a.": "x"}, f"[a.] {ANNOTATION}"),
    annotations_refused(
        "annotation-keys-are-not-long", {"x" * 65: "x"}, f"[{'x' * 65}] {ANNOTATION}"
    ),
    answers(
        "annotation-keys-may-have-64-characters",
        create(annotations={LONG: "x"}),
        fields={"annotations": {LONG: "x"}},
    ),
    answers(
        "annotation-values-are-free-text",
        create(annotations={"rotation.policy": '{"A": "é\\n"}'}),
        fields={"annotations": {"rotation.policy": '{"A": "é\\n"}'}},
        node=True,
    ),
    answers(
        "annotations-may-have-16-kib",
        create(annotations={"k": "x" * 16383}),
        fields={"annotations": {"k": "x" * 16383}},
    ),
    annotations_refused(
        "annotations-beyond-16-kib-are-refused",
        {"k": "x" * 16384},
        "Annotation map must not exceed 16kib.",
    ),
    aliases_refused("alias-latest-is-refused", {"latest": 1}, f"[latest] {ALIAS}", node=True),
    aliases_refused("alias-new-is-refused", {"NEW": 1}, f"[NEW] {ALIAS}"),
    aliases_refused("alias-begins-with-a-letter", {"1a": 1}, f"[1a] {ALIAS}"),
    aliases_refused("alias-has-at-most-63-characters", {LONG: 1}, f"[{LONG}] {ALIAS}"),
    aliases_refused(
        "51-aliases-are-refused",
        {f"a{i}": 1 for i in range(51)},
        "No more than 50 aliases can be assgined to any given secret",
    ),
    aliases_refused(
        "alias-of-a-missing-version-is-refused",
        {"current": 2},
        "Aliases cannot be assigned to versions that don't exist",
        node=True,
    ),
    refused(
        "empty-payload-is-refused",
        create(),
        add(b""),
        message="SecretPayload.data must not be empty.",
        node=True,
    ),
    answers("payload-may-have-64-kib", create(), add(b"x" * 65536), fields={"state": "ENABLED"}),
    refused(
        "larger-payload-is-refused",
        create(),
        add(b"x" * 65537),
        message="Secret payload data length must be at most [65536] bytes.",
    ),
    refused(
        "wrong-checksum-is-refused",
        create(),
        add(b"one", data_crc32c=1),
        message="Provided SecretPayload.data crc32c does not match calculated crc32c.",
        node=True,
    ),
    refused(
        "expiry-is-a-minute-ahead",
        create(expire_time=ahead(50)),
        message="Expiration time must be at least [1m] in the future.",
    ),
    refused(
        "expiry-is-at-most-876000-hours-ahead",
        create(ttl=seconds(876_001 * HOUR)),
        message="Expiration time cannot be more than [876000h] from now.",
    ),
    refused(
        "destruction-delay-is-at-least-a-day",
        create(version_destroy_ttl=seconds(DAY - 1)),
        message="Version destroy TTL must be at least [24h].",
    ),
    refused(
        "destruction-delay-is-at-most-24000-hours",
        create(version_destroy_ttl=seconds(24_001 * HOUR)),
        message="Version destroy TTL cannot be more than [24000h].",
    ),
    rotation_refused(
        "rotation-is-five-minutes-ahead",
        {"next_rotation_time": ahead(290)},
        "Next rotation time must be at least [5m] in the future.",
    ),
    rotation_refused(
        "rotation-is-at-most-876000-hours-ahead",
        {"next_rotation_time": ahead(876_001 * HOUR)},
        "Next rotation time cannot be more than [876000h] from now.",
    ),
    rotation_refused(
        "rotation-period-is-an-hour-or-more",
        {"next_rotation_time": ahead(400), "rotation_period": seconds(HOUR - 1)},
        "Rotation period cannot be shorter than [1h].",
    ),
    rotation_refused(
        "rotation-period-needs-a-time",
        {"rotation_period": seconds(HOUR)},
        "Next rotation time must be set while the rotation period is set.",
        status=PRECONDITION,
    ),
    refused(
        "rotation-needs-a-topic",
        create(rotation={"next_rotation_time": ahead(400)}),
        message="There must be at least one topic configured when a Rotation policy is set.",
    ),
    refused(
        "11-topics-are-refused",
        create(topics=[{"name": f"{TOPIC}-{i}"} for i in range(11)]),
        message="No more than 10 topics can be configured on a secret.",
        events=("TOPIC_CONFIGURED",) * 11,
    ),
    refused(
        "topics-are-distinct",
        create(topics=[{"name": TOPIC}, {"name": TOPIC}]),
        message="Topics must have distinct names.",
    ),
    refused(
        "malformed-topics-are-refused",
        create(topics=[{"name": "rotation"}]),
        message="Failed to Publish to topic [rotation], got an error from Pub/Sub.",
    ),
    refused(
        "missing-topics-are-refused",
        create(topics=[{"name": f"{P}/topics/missing"}]),
        status="NOT_FOUND",
        message=f"Topic [{P}/topics/missing] not found.",
    ),
    refused(
        "forbidden-topics-are-refused",
        create(topics=[{"name": f"{P}/topics/forbidden"}]),
        status=PRECONDITION,
        message="Permission 'pubsub.topics.publish' denied for "
        "service-123456789012@gcp-sa-secretmanager.iam.gserviceaccount.com for pubsub topic: "
        f"{P}/topics/forbidden or the topic doesn't exist. Grant the 'pubsub.topic.publish' "
        "permission (or 'roles/pubsub.publisher') on this topic to "
        "service-123456789012@gcp-sa-secretmanager.iam.gserviceaccount.com.",
    ),
)
