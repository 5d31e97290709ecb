"""Brings one edit into the base by a request of its own: forward, or back.

Rules of this module:
  1. Looks before it acts, every time: what is remembered is in the repository, nowhere else.
  2. Only a branch that is ours is written to, merged or deleted.
  3. The base may move as it likes.  While the edit is the same, it is made again on the new base
     when the host asks for it, and only then: every new commit starts the checks anew.
  4. Whether consumers have it is decided by what the base holds, never by what a request says.
"""

from dataclasses import dataclass
from typing import Final

from rotation.model.plugin import Change
from rotation.model.rollout import Move
from rotation.participants.git import wording
from rotation.participants.git.branch import Branch, Owner, inspect
from rotation.participants.git.edits import Edits, Pins, UneditableError
from rotation.participants.git.host import (
    Files,
    Host,
    MergeRequest,
    MergeState,
    Readiness,
    RequestState,
    StuckError,
)

_CHANGED: Final = MergeState(Readiness.OUTDATED, "the pins have changed")


@dataclass(frozen=True)
class Scene:
    """What was found."""

    base_head: str
    #: What is still to change at the base.
    edits: Edits
    branch: Branch
    request: MergeRequest | None

    @property
    def link(self) -> str:
        """Where people can look."""
        return self.request.link if self.request else ""


@dataclass(frozen=True)
class Errand:
    """One edit on its way into the base."""

    host: Host
    pins: Pins
    move: Move
    base: str
    branch: str
    #: What this errand changes; a revert's goes from the move's next to its previous.
    change: Change
    back: bool = False

    def look(self) -> Scene:
        """Look at the base, the branch and the request.

        Raises:
            UneditableError: A pin at the base cannot be moved as asked, or the base is gone.
        """
        # Before the base: what is merged from here on, the base shows.
        request = self.host.find_request(self.branch, self.base)
        base_head = self.host.head(self.base)
        if base_head is None:
            raise UneditableError(
                f"the branch {self.base} is gone",
                remedy="restore it, or name the present one in the policy",
                reason="base-missing",
            )
        edits = self.pins.edits(base_head, self.change, lenient=self.back)
        return Scene(base_head, edits, self._inspect(base_head), request)

    def obstacle(self, scene: Scene) -> str:
        """Say why the branch must not be used; empty when it may."""
        if scene.branch.owner is Owner.FOREIGN:
            return f"somebody else has changed the branch {self.branch}: {scene.branch.reason}"
        if not self.back and self._is_outgrown(scene):
            return (
                f"the pins at {self.base} have changed, so that the edit would be another than "
                "the one that was prepared"
            )
        return ""

    def present(self, scene: Scene, *, draft: bool) -> tuple[MergeRequest, str]:
        """Have the branch and the request there; return the request and the head of the branch.

        Args:
            scene: As found, without an `obstacle`.
            draft: Open a new request as a draft.
        """
        head = scene.branch.head
        if head is None or scene.branch.owner is not Owner.OURS:
            head = self.host.write(self.branch, head, scene.base_head, self._files(scene))
        if scene.request is not None:
            return scene.request, head
        text = wording.body(self.move, self.change, scene.edits.digest, back=self.back)
        title = wording.title(self.move, self.change, back=self.back)
        request = self.host.open_request(self.branch, self.base, title, text, draft=draft)
        return request, head

    def renew(self, scene: Scene, merge_state: MergeState) -> str:
        """Make the edit again on the present base; say what is waited for."""
        fork, head = scene.branch.fork, scene.branch.head
        if head is None or fork in (None, scene.base_head):
            # It was made on this base just now: the host has not seen it yet.
            return merge_state.reason
        try:
            self.host.write(self.branch, head, scene.base_head, self._files(scene))
        except StuckError:
            return f"{self.branch} conflicts with {self.base}; merge {self.base} into it by hand"
        return f"{self.base} has moved; the same edit was made again on it, its checks start anew"

    def merge(self, scene: Scene) -> MergeState:
        """Merge what `look` found, or say what is waited for; ready means the base has it."""
        if self._is_outgrown(scene):
            # Only a revert gets here: nobody has approved its edit, so it may shrink.
            return MergeState(Readiness.WAITING, self.renew(scene, _CHANGED))
        if scene.request is None and not self.back:
            # A worker that comes late must not bring back what another one has withdrawn.
            return MergeState(Readiness.WAITING, f"{self.branch} is gone, or was never prepared")
        request, head = self.present(scene, draft=False)
        if request.draft:
            self.host.make_ready(request)
        merge_state = self.host.merge(request, self.base, head)
        if merge_state.readiness is Readiness.OUTDATED:
            reason = self.renew(scene, merge_state)
            if self.host.runs_checks:
                return MergeState(Readiness.WAITING, reason)
            merge_state = self._merge_again(reason)
        if merge_state.readiness is not Readiness.READY:
            return merge_state
        if self.look().edits.after:
            return MergeState(Readiness.WAITING, f"merged; {self.base} does not show it yet")
        return merge_state

    def _merge_again(self, reason: str) -> MergeState:
        """Merge the edit made again: nobody looks at it, so nothing is waited for."""
        scene = self.look()
        if scene.request is None or scene.branch.head is None:
            return MergeState(Readiness.WAITING, reason)
        merge_state = self.host.merge(scene.request, self.base, scene.branch.head)
        if merge_state.readiness is Readiness.OUTDATED:  # it has moved once more
            return MergeState(Readiness.WAITING, reason)
        return merge_state

    def withdraw(self) -> str:
        """Close the request and delete the branch; say what keeps us from it, if anything does."""
        base_head = self.host.head(self.base)
        if base_head is None:
            return ""
        branch = self._inspect(base_head)
        request = self.host.find_request(self.branch, self.base)
        is_open = request is not None and request.state is RequestState.OPEN
        if branch.owner is Owner.FOREIGN and not _is_merged(request, branch):
            return f"{branch.reason} on {self.branch}" if is_open else ""
        if request is not None and is_open:
            self.host.close_request(request)
        if branch.head is not None:
            self.host.delete_branch(self.branch, branch.head)
        return ""

    def _is_outgrown(self, scene: Scene) -> bool:
        """Whether the edit on our branch is another than the one that is due now."""
        return scene.branch.owner is Owner.OURS and scene.branch.plan != scene.edits.digest

    def _inspect(self, base_head: str) -> Branch:
        return inspect(
            self.host, self.branch, base_head, self.pins, self.change, self.move.rotation_id
        )

    def _files(self, scene: Scene) -> Files:
        digest = scene.edits.digest
        text = wording.message(self.move, self.change, digest, back=self.back)
        return Files(scene.edits.after, text)


def _is_merged(request: MergeRequest | None, branch: Branch) -> bool:
    """Whether everything on the branch has been merged, whoever put it there."""
    return (
        request is not None and request.state is RequestState.MERGED and request.head == branch.head
    )
