"""The pin in Git: consumers follow a branch, and a file in it names the version they get.

Prepare opens a pull request, commit merges it, revert opens and merges another one.  Where the
repository lives is the host's business; whose a branch is, `branch` says; how one edit gets into
the base, `errand` does.

Rules of this module:
  1. Before `commit` the base is not touched.
  2. A closed request is a person's no: `prepare` votes no, `commit` and `revert` wait.
  3. A commit of somebody else on our branch stops us: nothing is written, merged or deleted.
  4. A person's roll-back wins: what was merged and taken back is not merged again, and a revert
     changes only pins that still show our version.
  5. An aborted move that a person had merged by hand is taken back: its credential will not live.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from rotation.model.errors import EtagMismatchError, TemporaryError
from rotation.model.plugin import Change, ParticipantSpec
from rotation.model.rollout import Answer, Move, Plan, PlannedEdit, Progress, ServedVersions, Vote
from rotation.participants.git import wording
from rotation.participants.git.credentials import Credentials
from rotation.participants.git.edits import Pins, UneditableError
from rotation.participants.git.errand import Errand, Scene
from rotation.participants.git.host import Readiness, RequestState
from rotation.participants.git.hosts import open_host
from rotation.participants.git.repository import Repository
from rotation.participants.git.settings import GitSettings
from rotation.participants.git.spec import SPEC
from rotation.ports.participant import ParticipantEnvironment


class GitParticipant:
    """Consumers get the version that a file in a repository names."""

    spec: ClassVar[ParticipantSpec] = SPEC

    def __init__(self, settings: GitSettings, environment: ParticipantEnvironment) -> None:
        self._settings = settings
        self._project_number = environment.project_number
        self._host = open_host(
            settings.host,
            Repository(
                url=settings.url,
                credentials=Credentials(settings, environment.read_secret),
                api=settings.api,
                paths=tuple(file.path for file in settings.pinned),
                merge_method=settings.merge_method,
                auto_merge=settings.auto_merge,
                checks=settings.checks,
                author_name=settings.author_name,
                author_email=settings.author_email,
                answer_seconds=settings.answer_within.total_seconds(),
            ),
        )

    def plan(self, move: Move) -> Plan:
        """Say what would change, file by file."""
        try:
            edits = self._forward(move).look().edits
        except UneditableError as error:
            return Plan(obstacle=str(error))
        return Plan(tuple(PlannedEdit(path, diff) for path, diff in edits.diffs()))

    def prepare(self, move: Move) -> Vote:
        """Have a request there that nothing keeps from being merged."""
        errand = self._forward(move)
        try:
            with _losing_races():
                return self._vote(errand, errand.look(), draft=self._is_draft(move))
        except UneditableError as error:
            return Vote.no(error.args[0], error.remedy)

    def commit(self, move: Move) -> Progress:
        """Merge the request."""
        return self._bring(self._forward(move))

    def revert(self, move: Move) -> Progress:
        """Withdraw the request; where the base shows our version already, take it back."""
        with _losing_races():
            if reason := self._forward(move).withdraw():
                return Progress.wait(f"somebody else builds on our request: {reason}")
        return self._take_back(move)

    def abort(self, move: Move) -> None:
        """Withdraw the request."""
        errand = self._forward(move)
        with _losing_races():
            errand.withdraw()
        request = self._host.find_request(errand.branch, errand.base)
        if request is None or request.state is not RequestState.MERGED:
            return
        progress = self._take_back(move)
        if progress.reason:
            raise TemporaryError(
                f"{request.number} was merged by hand and is being taken back: {progress.reason}"
            )

    def observe(self, move: Move) -> ServedVersions:
        """Read the pins at the base."""
        place = f"{self._settings.url} {self._settings.base}"
        head = self._host.head(self._settings.base)
        if head is None:
            return ServedVersions(frozenset(), f"the branch {self._settings.base} is gone", place)
        try:
            found = list(self._pins(move).versions(head))
        except UneditableError as error:
            return ServedVersions(frozenset(), str(error), place)
        for where, version in found:
            if not version.isdigit():
                return ServedVersions(frozenset(), f"{where} names {version}, not a version", place)
        return ServedVersions(frozenset(int(version) for _where, version in found), place=place)

    def retire(self, move: Move) -> None:
        """Delete what is left of ours."""
        with _losing_races():
            self._forward(move).withdraw()

    def _vote(self, errand: Errand, scene: Scene, *, draft: bool) -> Vote:
        if not scene.edits.after:
            return Vote.yes(scene.link)
        if refusal := _refusal(errand, scene):
            return Vote.no(refusal, "a new rotation starts afresh", scene.link)
        request, _head = errand.present(scene, draft=draft)
        merge_state = self._host.merge_state(request, errand.base)
        match merge_state.readiness:
            case Readiness.READY:
                return Vote.yes(request.link)
            case Readiness.REFUSED:
                remedy = "mend what is red, then rotate again"
                return Vote.no(merge_state.reason, remedy, request.link)
            case Readiness.OUTDATED:
                return Vote.wait(errand.renew(scene, merge_state), request.link)
            case Readiness.WAITING:
                return Vote.wait(merge_state.reason, request.link)

    def _bring(self, errand: Errand) -> Progress:
        try:
            with _losing_races():
                scene = errand.look()
                if not scene.edits.after:
                    return Progress.done(scene.link)
                if refusal := _refusal(errand, scene):
                    return Progress.wait(refusal, scene.link)
                merge_state = errand.merge(scene)
        except UneditableError as error:
            return Progress.wait(str(error))
        if merge_state.readiness is Readiness.READY:
            return Progress.done(scene.link)
        return Progress.wait(merge_state.reason, scene.link)

    def _take_back(self, move: Move) -> Progress:
        if move.change.previous is None:
            # There is no version to go back to: what consumers have stays.
            return Progress.done()
        errand = self._backward(move, move.change.previous)
        request = self._host.find_request(errand.branch, errand.base)
        if request is not None and request.state is RequestState.MERGED:
            # Taken back once: whoever has set our version again since, wants it.
            progress = Progress.done(request.link)
        else:
            progress = self._bring(errand)
        if progress.answer is Answer.DONE:
            with _losing_races():
                errand.withdraw()
        return progress

    def _forward(self, move: Move) -> Errand:
        branch = wording.branch_name(move, self._settings)
        base = self._settings.base
        return Errand(self._host, self._pins(move), move, base, branch, move.change)

    def _backward(self, move: Move, previous: int) -> Errand:
        branch = f"{wording.branch_name(move, self._settings)}-revert"
        change = Change(previous=move.change.next, next=previous)
        base = self._settings.base
        return Errand(self._host, self._pins(move), move, base, branch, change, back=True)

    def _pins(self, move: Move) -> Pins:
        return Pins(self._host, move.secret, self._settings.pinned, self._is_same_project)

    def _is_same_project(self, one: str, other: str) -> bool:
        return (
            one == other or other == self._project_number(one) or one == self._project_number(other)
        )

    def _is_draft(self, move: Move) -> bool:
        return self._settings.draft and not move.urgent


def _refusal(errand: Errand, scene: Scene) -> str:
    """Say why people do not want this request, or why it is theirs by now; empty when not so."""
    request = scene.request
    if request is not None and request.state is RequestState.CLOSED:
        return f"{request.number} was closed by somebody; reopen it to go on"
    if request is not None and request.state is RequestState.MERGED:
        return f"{request.number} was merged, and {errand.base} has been taken back since"
    return errand.obstacle(scene)


@contextmanager
def _losing_races() -> Iterator[None]:
    """Turn a lost compare-and-set into "look again"."""
    try:
        yield
    except EtagMismatchError as error:
        raise TemporaryError(f"lost a race, will look again: {error}") from None
