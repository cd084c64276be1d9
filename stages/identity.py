"""DVC stage `identity`: the packages, params.yaml and presets/ -> data/identity/ (the code of each stage and role)."""

from pipeline import paths
from pipeline.entry import run_stage
from pipeline.identity import write_identities
from pipeline.params import load_params


def main() -> None:
    """Write the record of the code of every stage and role."""
    number = write_identities(paths.IDENTITY, load_params().model_dump(by_alias=True))
    print(f"identity: recorded the code of {number} stages and roles in {paths.IDENTITY}")


if __name__ == "__main__":
    run_stage(main, name="identity")
