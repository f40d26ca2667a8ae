"""The settings of the service under fire: leases are short, and a control takes one guarantee away."""

from config.settings import *  # noqa: F403  # the real ones, whatever they are
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.chaos.controls.Controls"]
