"""Settings for all tests: hypothesis draws without a deadline, since the machine may be busy."""

from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.load_profile("default")
