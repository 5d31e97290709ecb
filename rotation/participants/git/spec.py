"""What the participant for Git says of itself; it does nothing."""

from typing import Final

from rotation.model.permission import FailureMode, NotNeeded, On, Permission
from rotation.model.plugin import ParticipantSpec
from rotation.participants.git.settings import GitSettings

SPEC: Final = ParticipantSpec(
    name="git",
    title="Version pin in Git",
    does="moves the version number in the named files, by a pull request that is merged",
    settings=GitSettings,
    permissions=(
        Permission(
            "secretmanager.versions.access",
            On.READ_SECRET,
            "read the token or key that opens the repository",
            when="auth",
            which="the secret that auth names",
        ),
        Permission(
            "secretmanager.secrets.list",
            On.PROJECT,
            "learn the project's number, since files may name a secret by id or by number",
            which="the function's own project",
        ),
    ),
    permissions_not_needed=(
        NotNeeded(
            "secretmanager.versions.access on the secret that is rotated",
            "a pin is a version's number; the payload is not read",
        ),
        NotNeeded(
            "GitHub App: administration, actions, members, bypass of any rule",
            "a request is merged as the repository's rules allow",
        ),
    ),
    rights=(
        "a GitHub App: contents write, pull requests write, checks read, commit statuses read",
        "a GitHub App: workflows write, only where a pin is in .github/workflows",
        "other hosts: what `deploy/docs/git-hosts.md` lists for each",
    ),
    network=("the host of the repository, HTTPS or SSH",),
    failure_modes=(
        FailureMode("the host does not answer", "asked again by the next sweep; nothing is lost"),
        FailureMode(
            "the request cannot be merged: a check fails, a review is missing, a conflict",
            "the stage waits with the reason, until `deadline`; then `on_deadline` decides",
        ),
        FailureMode(
            "the worker is killed between two calls",
            "names follow from the rotation, so the next one finds branch and request",
        ),
        FailureMode("a gate fails", "a request back is opened and merged the same way"),
        FailureMode(
            "somebody closes the request, or takes the pin back by hand",
            "that person wins: it waits, and says so",
        ),
    ),
    guide="git.md",
)
