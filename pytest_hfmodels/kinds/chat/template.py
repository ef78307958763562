"""A conversation, and its rendering by a chat template: the same call on every release that has one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from pytest_hfmodels.engines.settings import NotPlainError, plain, qualified_name
from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.inputs import describe_media
from pytest_hfmodels.kinds.prompt import require_text

# Templates that write the date get this one, so that a snapshot still holds tomorrow; it is Llama's own default.
_DAY = date(2024, 7, 26)
_NOW = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
_OF_A_TOOL = ("DocstringParsingException", "TypeHintParsingException")
_AS_IN = 'Write them as in chat([{"role": "user", "content": "Hello"}]).'
_PARTS = {"image": "images", "audio": "audio"}  # of a message's content, and the processor's names for them


@dataclass(frozen=True)
class Conversation:
    """What a test gives to `chat`.

    Args:
        messages: dicts with a role and content.
        tools: functions or JSON schemas, as upstream takes them.
        variables: of the template, such as `enable_thinking`.
        template: the text of a template instead of the checkpoint's.
    """

    messages: Any
    tools: Sequence[Any] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no conversation."""
        messages = self.messages
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise EngineError(f"A conversation is a list of messages, not {messages!r:.60}.", hint=_AS_IN)
        if not isinstance(self.tools, list | tuple):
            raise EngineError(
                f"tools= is a list of functions or JSON schemas, not {self.tools!r:.60}.",
                hint="Write it as in tools=[f].",
            )
        if not isinstance(self.variables, Mapping):
            raise EngineError(
                f"template_variables= is a dict, not {self.variables!r:.60}.",
                hint='Write it as in template_variables={"enable_thinking": False}.',
            )
        for message in messages:
            if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
                raise EngineError(f"A message is a dict with a role and content, not {message!r:.60}.", hint=_AS_IN)

    def media(self) -> dict[str, list[Any]]:
        """Return the images and sounds of the messages in order, by the processor's names for them.

        Raises:
            EngineError: a message names one and does not hold it, or holds a video.
        """
        found: dict[str, list[Any]] = {}
        for part in self._parts():
            kind = part.get("type")
            if kind == "video":
                raise EngineError(
                    "A message holds a video, which chat does not record.", hint="Give some of its images."
                )
            if kind in _PARTS and kind not in part:
                raise EngineError(
                    f"A message announces an {kind} but has none: {', '.join(map(str, part))}.",
                    hint=f'Nothing is fetched; open it and write {{"type": "{kind}", "{kind}": …}}.',
                )
            if kind in _PARTS:
                found.setdefault(_PARTS[kind], []).append(part[kind])
        return found

    def _parts(self) -> Iterator[Mapping[str, Any]]:
        for message in self.messages:
            content = message.get("content")
            yield from (part for part in content if isinstance(part, Mapping)) if isinstance(content, list) else ()

    def source(self, renderer: Any) -> str:
        """Return the text of a tokenizer's or a processor's template; empty without a template."""
        own = self.template or getattr(renderer, "chat_template", None)
        if isinstance(own, Mapping):  # several by name; upstream takes these two
            own = own.get("tool_use" if self.tools and "tool_use" in own else "default")
        return own if isinstance(own, str) else ""

    def render(self, renderer: Any, name: str = "the checkpoint") -> str:
        """Return the conversation as the text that the model is given.

        Args:
            renderer: upstream's tokenizer or processor.
            name: of the checkpoint, for a message.

        Raises:
            EngineError: there is no template, this release does not take the tools or variables, or rendering fails.
        """
        source = self.source(renderer)
        if not source:
            raise EngineError(
                f"{name} has no chat template.",
                hint="Give one: chat(messages, chat_template=…); or render the conversation yourself: "
                "generate(text, add_special_tokens=False).",
            )
        apply = getattr(renderer, "apply_chat_template", None)
        if apply is None:
            raise EngineError("The installed transformers has no chat templates.", hint="Install transformers>=4.34.")
        variables = {"add_generation_prompt": True, **self.variables}
        given: dict[str, Any] = {"tools": list(self.tools)} if self.tools else {}
        dated = _NOW.sub(lambda call: repr(_DAY.strftime(call[2])), source)
        given |= {"chat_template": dated} if self.template or dated != source else {}
        _require_known(apply, {*given, *self.variables} - {"chat_template", "add_generation_prompt"})
        try:
            text = apply([dict(one) for one in self.messages], tokenize=False, **given, **variables)
        except Exception as error:  # a template raises any kind of exception
            if type(error).__name__ in _OF_A_TOOL:
                raise EngineError(
                    f"A tool cannot be described to {name}: {error!s:.200}",
                    hint="Give it types and a docstring with a line for each argument; or give a JSON schema.",
                ) from error
            raise EngineError(
                f"The chat template of {name} cannot render these messages: {type(error).__name__}: {error!s:.200}",
                hint="Correct the messages, or give another template: chat(messages, chat_template=…).",
            ) from error
        return require_text(text, "The rendered conversation")

    def recorded(self) -> dict[str, Any]:
        """Return the messages, tools and variables as a snapshot holds them: a digest in place of what is no text."""
        own = {} if self.template is None else {"chat_template": _digest(self.template.encode())}
        return {
            "messages": tuple(_plain(dict(message)) for message in self.messages),
            "tools": tuple(_plain(tool) for tool in self.tools),
            "variables": {**_plain(dict(self.variables)), **own},
        }

    def digest(self, renderer: Any) -> str:
        """Return the digest of the template's own text."""
        return _digest(self.source(renderer).encode())


def _require_known(apply: Callable[..., str], names: set[str]) -> None:
    """Refuse what an old release would leave out without a word; a processor hands on all that it is given."""
    parameters = inspect.signature(apply).parameters
    if not {"tools", "tokenizer_kwargs"} & {*parameters}:
        return
    takes_any = parameters.get("tokenizer_kwargs") is None or (
        parameters["tokenizer_kwargs"].kind is not inspect.Parameter.VAR_KEYWORD
    )
    unknown = sorted(name for name in names if name not in parameters and not (takes_any and name != "tools"))
    if unknown:
        raise EngineError(
            f"The installed transformers does not hand {', '.join(unknown)} to a chat template.",
            hint="Install transformers>=4.44.",
        )


def renderer_of(processor: Any, tokenizer: Any) -> Any:
    """Return the joint processor if it has a chat template of its own, or else the tokenizer."""
    return processor if processor is not tokenizer and getattr(processor, "chat_template", None) else tokenizer


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("type") in _PARTS and value["type"] in value:
        kind = value["type"]
        return {**_plain({name: one for name, one in value.items() if name != kind}), kind: _media(value[kind], kind)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return _digest(value)
    if hasattr(value, "tobytes"):  # an array, a tensor's array, or an image
        return describe_media(value, "array")
    if callable(value):
        return qualified_name(value)
    try:
        return plain(value)
    except NotPlainError as error:
        raise EngineError(
            f"A message holds a {type(value).__name__}, which no snapshot can.", hint="Give text, bytes or an image."
        ) from error


def _media(value: Any, kind: str) -> str:
    return _digest(value) if isinstance(value, bytes) else describe_media(value, kind)


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"
