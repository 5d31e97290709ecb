"""What owners want: the text of a policy and the typed policy, and the way between the two.

Nothing here acts: a policy is read, judged, described and spelled.
"""
