"""Places that formats have for versions, one module for each family of formats.

Each offers ``uses(file)``; what it cannot know it leaves out.
"""
