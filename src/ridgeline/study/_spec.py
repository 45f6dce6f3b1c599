"""The specification of a study: read from YAML, checked, written back."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from ridgeline.errors import RidgelineError
from ridgeline.study._config import Count, Strict
from ridgeline.study._sentence import as_sentence


class StudySpec(Strict):
    """A study as a person writes it. Sections of a trial are checked once the overrides of its arm stand."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: dict[str, Any]
    model: dict[str, Any]
    train: dict[str, Any]
    regularization: dict[str, Any] | list[dict[str, Any]] | None = None
    evaluate: Annotated[dict[str, Any], Field(default_factory=dict)]
    vary: dict[str, Any] | None = None
    arms: dict[str, dict[str, Any] | None] | None = None
    seeds: Count = 1

    @field_validator("vary", "arms")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("it is empty; name something to vary, or leave the key out")
        return value

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without what was left at its default."""
        return self.model_dump(exclude_defaults=True)


def check_spec(raw: object) -> StudySpec:
    """The specification in plain data.

    Raises:
        RidgelineError: naming the first key that is wrong.
    """
    if not isinstance(raw, Mapping):
        raise RidgelineError(
            f"a study is a mapping with name, data, model, train; this is a {type(raw).__name__}."
        )
    try:
        return StudySpec.model_validate(dict(raw))
    except ValidationError as error:
        raise as_sentence(error) from None


def parse_yaml(text: str, origin: str) -> Any:
    """YAML 1.2 as plain data: 1e-3 is a number, `no` is text, a key given twice is an error."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RidgelineError(f"{origin} is no valid YAML: {reason[:300]}") from None


class _Exact(SafeRepresenter):
    """Quotes text with characters that a plain scalar would fold, such as Unicode's line breaks."""

    def represent_str(self, data: str) -> ScalarNode:
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Exact.add_representer(str, _Exact.represent_str)


def dump_yaml(value: Mapping[str, Any]) -> str:
    """Plain data as YAML 1.2; reading it back gives an equal value."""
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Exact
    writer.default_flow_style = None
    writer.width = 2**20  # a long label folded over two lines cannot be read back as a key
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared None, is a flag
    buffer = io.StringIO()
    writer.dump(dict(value), buffer)
    return buffer.getvalue()


def read_spec(path: Path) -> dict[str, Any]:
    """The raw specification of a YAML file; `data.file` is made absolute, relative to that file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RidgelineError(f"{path} cannot be read ({error}); check the path.") from None
    raw = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise RidgelineError(f"{path} holds no study: name, data, model, train are needed.")
    data = raw.get("data")
    if isinstance(data, dict) and isinstance(data.get("file"), str):
        file = Path(data["file"]).expanduser()
        data["file"] = str((file if file.is_absolute() else path.parent / file).resolve())
    return raw
