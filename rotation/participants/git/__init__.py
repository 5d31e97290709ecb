"""The pin in Git: a version number in a file of a repository, changed by a pull request."""

from rotation.participants.git.participant import GitParticipant

PARTICIPANT = GitParticipant
