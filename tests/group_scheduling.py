"""A scheduler for pytest-xdist that keeps the tests of a group on one worker."""

from xdist.scheduler import LoadScopeScheduling

from workers import name_group


class GroupScheduling(LoadScopeScheduling):
    """Assigns all tests of a group to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return name_group(nodeid.partition("::")[0])
