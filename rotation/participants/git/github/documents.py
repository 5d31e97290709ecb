"""The GraphQL documents we send, each checked against GitHub's schema by a test."""

from typing import Final

ENTRIES: Final = """\
query Entries($owner: String!, $name: String!, $expression: String!) {
  repository(owner: $owner, name: $name) {
    object(expression: $expression) {
      ... on Tree { entries { name mode oid } }
    }
  }
}"""

MERGE_STATE: Final = """\
query MergeState($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      id
      state
      isDraft
      mergeable
      mergeStateStatus
      reviewDecision
      isInMergeQueue
      autoMergeRequest { enabledAt }
      statusCheckRollup {
        contexts(first: 100, after: $after) {
          pageInfo { hasNextPage endCursor }
          nodes {
            ... on CheckRun {
              name
              status
              conclusion
              startedAt
              isRequired(pullRequestNumber: $number)
            }
            ... on StatusContext {
              context
              state
              createdAt
              isRequired(pullRequestNumber: $number)
            }
          }
        }
      }
    }
  }
}"""

COMMIT: Final = """\
mutation Commit($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}"""

READY: Final = """\
mutation Ready($input: MarkPullRequestReadyForReviewInput!) {
  markPullRequestReadyForReview(input: $input) { pullRequest { isDraft } }
}"""

AUTO_MERGE: Final = """\
mutation AutoMerge($input: EnablePullRequestAutoMergeInput!) {
  enablePullRequestAutoMerge(input: $input) { pullRequest { state } }
}"""

ENQUEUE: Final = """\
mutation Enqueue($input: EnqueuePullRequestInput!) {
  enqueuePullRequest(input: $input) { mergeQueueEntry { position } }
}"""

UPDATE_REFS: Final = """\
mutation UpdateRefs($input: UpdateRefsInput!) {
  updateRefs(input: $input) { clientMutationId }
}"""
