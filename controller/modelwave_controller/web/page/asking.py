"""Asks calls for a page, as its person: a role allows on the page what it allows by the API."""

from typing import Any

from pydantic import ValidationError

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import OperatorError
from modelwave_controller.people.roles import Person
from modelwave_controller.trust.field_types import first_problem
from modelwave_controller.web.doorman import require


class Asking:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def person(self) -> Person:
        return self._desk.person

    @property
    def now(self) -> float:
        return self._desk.clock()

    def may(self, call: Call[Any, Any]) -> bool:
        return self.person.may(call.needs)

    def ask(self, call: Call[AskedT, AnswerT], **fields: Any) -> AnswerT:
        """Raises ModelwaveError."""
        require(self.person, call)
        return self._desk.ask(call, self._read(call, fields))

    def ask_read(self, call: Call[AskedT, AnswerT], asked: AskedT) -> AnswerT:
        """As `ask`, with fields that were checked before."""
        require(self.person, call)
        return self._desk.ask(call, asked)

    def ask_text(self, call: Call[AskedT, AnswerT], fields: dict[str, str]) -> AnswerT:
        """As `ask`, with texts that a person gave; an empty one is as if it were not there."""
        require(self.person, call)
        given = {name: text for name, text in fields.items() if text}
        try:
            asked = call.asks.model_validate_strings(given)
        except ValidationError as error:
            raise OperatorError(first_problem(error)) from error
        return self._desk.ask(call, asked)

    @staticmethod
    def _read(call: Call[AskedT, AnswerT], fields: dict[str, Any]) -> AskedT:
        try:
            return call.asks.model_validate(fields)
        except ValidationError as error:
            raise OperatorError(first_problem(error)) from error
