"""The GraphQL fields that a version pin needs.

The document's selection decides what is answered, as it does at GitHub; values come from the forge.
"""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphql import (
    FieldNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)

from tests.support.forges.github.bodies import Bodies
from tests.support.forges.github.forge import ROBOT, Forge, Pull
from tests.support.forges.store import PLAIN, MovedError

_NOBODY = "0" * 40


class GraphQLFault(Exception):  # noqa: N818 - it is an answer
    """Answered as an error of this type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _page(nodes: list[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    start = int(given.get("after") or 0)
    end = start + given["first"]
    info = {"hasNextPage": end < len(nodes), "endCursor": str(end)}
    return {"nodes": nodes[start:end], "pageInfo": info}


class Graph:
    """Answers documents about one repository."""

    def __init__(self, forge: Forge, bodies: Bodies) -> None:
        self._forge = forge
        self._bodies = bodies

    def answer(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        operation = parse(document).definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        data: dict[str, Any] = {}
        try:
            for field in operation.selection_set.selections:
                assert isinstance(field, FieldNode)
                given = {
                    argument.name.value: value_from_ast_untyped(argument.value, variables)
                    for argument in field.arguments
                }
                value = self._resolvers[field.name.value](given)
                data[field.name.value] = self._chosen(value, field.selection_set, variables)
        except GraphQLFault as fault:
            error = {"type": fault.kind, "message": str(fault), "path": []}
            return {"data": None, "errors": [error]}
        return {"data": data}

    def _chosen(
        self, value: Any, selection: SelectionSetNode | None, variables: Mapping[str, Any]
    ) -> Any:
        """Return of a value what was asked for."""
        if isinstance(value, list):
            return [self._chosen(item, selection, variables) for item in value]
        if selection is None or value is None:
            return value
        chosen: dict[str, Any] = {}
        for node in selection.selections:
            if isinstance(node, InlineFragmentNode):
                assert node.type_condition is not None
                if node.type_condition.name.value == value.get("__typename"):
                    chosen |= self._chosen(value, node.selection_set, variables)
                continue
            assert isinstance(node, FieldNode)
            inner = value[node.name.value]
            if callable(inner):
                inner = inner(
                    {
                        argument.name.value: value_from_ast_untyped(argument.value, variables)
                        for argument in node.arguments
                    }
                )
            chosen[node.name.value] = self._chosen(inner, node.selection_set, variables)
        return chosen

    @property
    def _resolvers(self) -> Mapping[str, Callable[[Any], Any]]:
        return {
            "repository": self._repository,
            "createCommitOnBranch": lambda given: self._commit(given["input"]),
            "markPullRequestReadyForReview": lambda given: self._ready(given["input"]),
            "enablePullRequestAutoMerge": lambda given: self._auto_merge(given["input"]),
            "enqueuePullRequest": lambda given: self._enqueue(given["input"]),
            "updateRefs": lambda given: self._update_refs(given["input"]),
        }

    def _repository(self, given: Any) -> Any:
        return {
            "__typename": "Repository",
            "object": lambda given: self._object(given["expression"]),
            "pullRequest": lambda given: self._pull(self._forge.pull(int(given["number"]))),
        }

    def _object(self, expression: str) -> Any:
        oid, _, path = expression.partition(":")
        store = self._forge.store
        entry = store.entry(oid, path) if store.has(oid) else None
        if entry is None or entry[0] != 0o040000:
            return None
        tree = store.repo[entry[1].encode()]
        entries = [
            {"name": entry.path.decode(), "mode": entry.mode, "oid": entry.sha.decode()}
            for entry in tree.items()  # type: ignore[attr-defined]
        ]
        return {"__typename": "Tree", "entries": entries}

    def _pull(self, pull: Pull) -> Any:
        forge = self._forge
        mergeable = forge.mergeable(pull)
        state = "UNKNOWN" if mergeable == "UNKNOWN" else forge.blocked(pull)
        checks = [
            self._bodies.context(check) for check in forge.checks.get(forge.heads(pull)[0], ())
        ]
        auto = {"enabledAt": "2026-11-24T12:00:00Z"} if pull.auto_merge else None
        return {
            "__typename": "PullRequest",
            "id": f"PR_{pull.number}",
            "number": pull.number,
            "state": "MERGED" if pull.merged else pull.state.upper(),
            "isDraft": pull.draft,
            "mergeable": mergeable,
            "mergeStateStatus": "BLOCKED" if pull.draft and state == "CLEAN" else state,
            "reviewDecision": forge.decision(pull),
            "isInMergeQueue": pull.in_queue,
            "autoMergeRequest": auto,
            "statusCheckRollup": {"contexts": partial(_page, checks)} if checks else None,
        }

    def _by_id(self, node_id: str) -> Pull:
        return self._forge.pull(int(node_id.removeprefix("PR_")))

    def _expect(self, pull: Pull, given: Any) -> None:
        expected = given.get("expectedHeadOid")
        if expected is not None and expected != self._forge.heads(pull)[0]:
            raise GraphQLFault("UNPROCESSABLE", "Head sha didn't match")

    def _ready(self, given: Any) -> Any:
        pull = self._by_id(given["pullRequestId"])
        pull.draft = False
        return self._payload(pullRequest=self._pull(pull))

    def _auto_merge(self, given: Any) -> Any:
        pull = self._by_id(given["pullRequestId"])
        self._expect(pull, given)
        if not self._forge.rules.allow_auto_merge:
            raise GraphQLFault("UNPROCESSABLE", "Auto merge is not allowed for this repository")
        if self._forge.blocked(pull) == "CLEAN" and not pull.draft:
            raise GraphQLFault("UNPROCESSABLE", "Pull request is in clean status")
        pull.auto_merge = given.get("mergeMethod", "MERGE").lower()
        return self._payload(pullRequest=self._pull(pull))

    def _enqueue(self, given: Any) -> Any:
        pull = self._by_id(given["pullRequestId"])
        self._expect(pull, given)
        pull.in_queue = True
        return self._payload(mergeQueueEntry={"position": 1})

    def _commit(self, given: Any) -> Any:
        store, branch = self._forge.store, given["branch"]["branchName"]
        head = store.head(branch)
        if head is None:
            raise GraphQLFault("NOT_FOUND", "No ref found")
        if head != given["expectedHeadOid"]:
            raise GraphQLFault("STALE_DATA", "Expected branch to point to something else")
        files: dict[str, bytes | None] = {
            addition["path"]: base64.b64decode(addition["contents"], validate=True)
            for addition in given["fileChanges"].get("additions") or ()
        }
        # It knows no modes: whether it keeps an executable bit is not documented, so it does not.
        tree = store.tree(store.tree_of(head), dict.fromkeys(files, PLAIN), files)
        message = "\n\n".join((given["message"]["headline"], given["message"].get("body") or ""))
        oid = store.commit(tree, (head,), message, ROBOT)
        self._forge.signed.add(oid)
        store.move(branch, head, oid)
        self._forge.moved(branch)
        return self._payload(commit={"oid": oid})

    def _update_refs(self, given: Any) -> Any:
        for update in given["refUpdates"]:
            branch = update["name"].removeprefix("refs/heads/")
            before, after = update.get("beforeOid"), update["afterOid"]
            head = self._forge.store.head(branch)
            if before is not None and before != (head or _NOBODY):
                raise GraphQLFault("STALE_DATA", "The reference has moved")
            if after == _NOBODY and self._forge.rules.closed_to_deletion:
                raise GraphQLFault("UNPROCESSABLE", "Repository rule violations found")
            if after == _NOBODY:
                self._forge.delete_branch(branch)
                continue
            try:
                self._forge.store.move(branch, head, after)
            except MovedError:
                raise GraphQLFault("STALE_DATA", "The reference has moved") from None
            self._forge.moved(branch)
        return self._payload()

    def _payload(self, **members: Any) -> dict[str, Any]:
        return {"clientMutationId": None, **members}
