"""Replicas of the API for the audit, from the tests of the API."""

from services.api.tests.conftest import database as database
from services.api.tests.conftest import environment as environment
from services.api.tests.conftest import start_api as start_api
