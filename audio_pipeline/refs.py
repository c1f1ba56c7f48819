"""Names of ports and links as values: parsed once at the boundary, compared and hashed everywhere else."""

from __future__ import annotations

from dataclasses import dataclass, replace

DEFAULT_OUTPUT, DEFAULT_INPUT = "out", "in"
STANDBY = "~bypass"


@dataclass(frozen=True, order=True)
class PortRef:
    """An output of a node.

    >>> PortRef.parse("song"), str(PortRef.parse("split.vocals"))
    (PortRef(node='song', port='out'), 'split.vocals')
    """

    node: str
    port: str

    @classmethod
    def parse(cls, text: str) -> PortRef:
        """From `node.port`; a node alone means its output `out`."""
        node, dot, port = text.partition(".")
        return cls(node, port if dot else DEFAULT_OUTPUT)

    @property
    def short(self) -> str:
        """As a file may say it: `song` for `song.out`."""
        return self.node if self.port == DEFAULT_OUTPUT else str(self)

    def __str__(self) -> str:
        return f"{self.node}.{self.port}"


@dataclass(frozen=True, order=True)
class InputKey:
    """An input of a node, or the link that stands by for it (`on_loss: bypass`). Its text is the link's identity.

    >>> str(InputKey("mix", "vocals")), str(InputKey("mix", "vocals", standby=True)), str(InputKey.parse("out"))
    ('mix.vocals', 'mix.vocals~bypass', 'out.in')
    """

    node: str
    input: str
    standby: bool = False

    @classmethod
    def parse(cls, text: str) -> InputKey:
        """From `node.input` or `node.input~bypass`; a node alone means its input `in`."""
        node, dot, name = text.partition(".")
        return cls(node, name.removesuffix(STANDBY) if dot else DEFAULT_INPUT, name.endswith(STANDBY))

    @property
    def name(self) -> str:
        """Within its node."""
        return self.input + STANDBY if self.standby else self.input

    def __str__(self) -> str:
        return f"{self.node}.{self.name}"


@dataclass(frozen=True, order=True)
class LinkKey:
    """One of the links at an input of a running node; `serial` counts links that followed another at this input.

    >>> str(LinkKey("vocals", 2).bypass)
    'vocals#2~bypass'
    """

    input: str
    serial: int = 0
    standby: bool = False

    @property
    def main(self) -> LinkKey:
        """The link that it stands by for, or itself."""
        return replace(self, standby=False) if self.standby else self

    @property
    def bypass(self) -> LinkKey:
        """The link that stands by for it, or itself."""
        return self if self.standby else replace(self, standby=True)

    def __str__(self) -> str:
        return f"{self.input}{f'#{self.serial}' if self.serial else ''}{STANDBY if self.standby else ''}"
