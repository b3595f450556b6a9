"""What a descriptor image says: messages, enums, services and the comment of each, by their full names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

#: Names of this package are used without it.
PACKAGE = ".gostream.v1."

_Path = tuple[int, ...]
_Named = tuple[str, _Path]


@dataclass(frozen=True, slots=True)
class Contract:
    """Full names begin with a dot, as in `FieldDescriptorProto.type_name`."""

    messages: dict[str, DescriptorProto] = field(default_factory=dict)
    enums: dict[str, EnumDescriptorProto] = field(default_factory=dict)
    services: dict[str, ServiceDescriptorProto] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, image: bytes) -> "Contract":
        """Returns the contract of an image with source information.

        Services of other packages, such as google.longrunning, are left out.
        """
        contract = cls()
        for file in FileDescriptorSet.FromString(image).file:
            contract._add(file)
        return contract

    def comment(self, name: str) -> str:
        return self.comments.get(name, "")

    def _add(self, file: FileDescriptorProto) -> None:
        found = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        for name, path in self._names(file):
            if text := found.get(path):
                self.comments[name] = prose(text)

    def _names(self, file: FileDescriptorProto) -> Iterator[_Named]:
        package = f".{file.package}."
        for number, message in enumerate(file.message_type):
            yield from self._message(f"{package}{message.name}", message, (4, number))
        for number, enum in enumerate(file.enum_type):
            yield from self._enum(f"{package}{enum.name}", enum, (5, number))
        if package == PACKAGE:
            for number, service in enumerate(file.service):
                name = f"{package}{service.name}"
                self.services[name] = service
                yield name, (6, number)
                for index, method in enumerate(service.method):
                    yield f"{name}.{method.name}", (6, number, 2, index)

    def _message(self, name: str, message: DescriptorProto, path: _Path) -> Iterator[_Named]:
        self.messages[name] = message
        yield name, path
        for number, each in enumerate(message.field):
            yield f"{name}.{each.name}", (*path, 2, number)
        for number, nested in enumerate(message.nested_type):
            yield from self._message(f"{name}.{nested.name}", nested, (*path, 3, number))
        for number, enum in enumerate(message.enum_type):
            yield from self._enum(f"{name}.{enum.name}", enum, (*path, 4, number))

    def _enum(self, name: str, enum: EnumDescriptorProto, path: _Path) -> Iterator[_Named]:
        self.enums[name] = enum
        yield name, path
        for number, value in enumerate(enum.value):
            yield f"{name}.{value.name}", (*path, 2, number)


def prose(comment: str) -> str:
    """Returns the paragraphs of a comment, each in one line, without the ones that show a command."""
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", comment)]
    return "\n\n".join(each for each in paragraphs if each and not each.startswith("grpcurl "))
