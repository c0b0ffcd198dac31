"""The errors of the cluster tools: each message says what to do next."""


class ClusterError(Exception):
    """Something a person must change; the message says what."""


class CommandError(ClusterError):
    """A command that this tool ran has failed; carries the end of what it printed."""

    def __init__(self, command: str, code: int, output: str) -> None:
        self.command, self.code, self.output = command, code, output
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"`{command}` exited with {code}:\n{tail}")
