"""Static files under hashed names, so that a browser keeps each for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites the names that one script imports of another."""

    support_js_module_import_aggregation = True
