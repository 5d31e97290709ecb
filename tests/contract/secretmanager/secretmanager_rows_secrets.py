"""Names, creation, and what is not there."""

from secretmanager_calls import (
    AUTOMATIC,
    BAD,
    NAME,
    REGIONAL,
    TOPICS,
    N,
    P,
    access,
    add,
    answers,
    create,
    create_regional,
    delete,
    get,
    refused,
)

NAMES = (
    answers("id-in-request-number-in-answer", create(), get(), fields={"name": NAME}, node=True),
    answers("number-in-request-is-accepted", create(), get(NAME), fields={"name": NAME}),
    answers(
        "version-names-carry-the-number", create(), add(), fields={"name": f"{NAME}/versions/1"}
    ),
    answers("regional-names-keep-their-location", create_regional(), fields={"name": REGIONAL}),
    answers("regional-secret-has-no-replication", create_regional(), absent=("replication",)),
    answers(
        "regional-version-has-no-replication-status",
        create_regional(),
        ("AddSecretVersion", {"parent": REGIONAL, "payload": {"data": b"x"}}),
        fields={"name": f"{REGIONAL}/versions/1"},
        absent=("replicationStatus",),
    ),
    answers(
        "global-and-regional-secrets-of-one-id-are-two",
        create(labels={"where": "global"}),
        create_regional(labels={"where": "region"}),
        get(REGIONAL),
        fields={"labels": {"where": "region"}},
    ),
    answers(
        "ids-may-be-255-characters", create("a" * 255), fields={"name": f"{N}/secrets/{'a' * 255}"}
    ),
    refused("ids-may-not-be-256-characters", create("a" * 256), message=BAD),
    refused("ids-hold-no-dots", create("a.b"), message=BAD),
    refused(
        "unknown-projects-are-denied",
        get("projects/elsewhere/secrets/app"),
        status="PERMISSION_DENIED",
        message="Permission denied on resource project elsewhere.",
    ),
)

CREATION = (
    refused(
        "creation-needs-an-id",
        create(""),
        message="Secret ID must be provided.",
        transports=("grpc",),
    ),
    refused(
        "global-creation-needs-replication",
        ("CreateSecret", {"parent": P, "secret_id": "app", "secret": {"labels": {"a": "b"}}}),
        message="Secret.replication must be provided.",
        node=True,
    ),
    refused(
        "regional-creation-refuses-replication",
        create_regional(**AUTOMATIC),
        message="Secret.replication should not be provided.",
    ),
    refused(
        "existing-secrets-are-not-created-again",
        create(),
        create(),
        status="ALREADY_EXISTS",
        message=f"Secret [{NAME}] already exists.",
        node=True,
    ),
    answers(
        "creation-is-one-event", create(**TOPICS), events=("TOPIC_CONFIGURED", "SECRET_CREATE")
    ),
    answers("creation-without-topics-is-silent", create(), events=()),
    answers(
        "tags-are-never-answered",
        create(tags={"a": "b"}),
        absent=("tags", "secretType", "policyMember"),
    ),
    refused(
        "aliases-cannot-exist-at-creation",
        create(version_aliases={"current": 1}),
        message="Aliases cannot be assigned to versions that don't exist",
    ),
    answers(
        "user-managed-replication-is-kept",
        create(replication={"user_managed": {"replicas": [{"location": "us-east1"}]}}),
        add(),
        fields={"replicationStatus": {"userManaged": {"replicas": [{"location": "us-east1"}]}}},
    ),
)

NOT_FOUND = (
    refused(
        "missing-secret",
        get(),
        status="NOT_FOUND",
        message=f"Secret [{NAME}] not found.",
        node=True,
    ),
    refused(
        "missing-version",
        create(),
        add(),
        access("9"),
        status="NOT_FOUND",
        message=f"Secret Version [{NAME}/versions/9] not found.",
        node=True,
    ),
    refused(
        "latest-without-versions",
        create(),
        access("latest"),
        status="NOT_FOUND",
        message=f"Secret Version [{NAME}/versions/latest] not found.",
    ),
    refused(
        "missing-alias",
        create(),
        add(),
        access("current"),
        status="NOT_FOUND",
        message=f"Secret [{NAME}] has no alias [current]",
        node=True,
    ),
    refused(
        "adding-to-a-missing-secret",
        add(b""),
        status="NOT_FOUND",
        message=f"Secret [{NAME}] not found.",
    ),
    refused(
        "not-found-comes-before-the-etag",
        delete(etag='"stale"'),
        status="NOT_FOUND",
        message=f"Secret [{NAME}] not found.",
    ),
    refused(
        "deleted-secrets-are-gone",
        create(),
        delete(),
        get(),
        status="NOT_FOUND",
        message=f"Secret [{NAME}] not found.",
    ),
)
