"""Campaigns: one request asked of many secrets, paced, followed, and resumable.

`command` has the options and the order of things; `rotation.machine.campaign` decides the pace.
"""
