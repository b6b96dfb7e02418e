"""A Django project whose people sign in with django-cas-ng; run by the system tests.

Environment: CAS_FRONT (the server, with /cas), CAS_CA (its authority), APP_DATA (a folder for the database).
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
sys.dont_write_bytecode = True
execute_from_command_line(sys.argv)
