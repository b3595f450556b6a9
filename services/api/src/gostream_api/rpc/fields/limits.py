"""The limits of the fields of requests."""

from datetime import timedelta

# Lengths of text in characters.
MAX_TITLE = 200
MAX_USER_ID = 128
MAX_REQUEST_ID = 128
MAX_EXTERNAL_ID = 128
MAX_TRACK_NAME = 100
#: The longest key of an object in bytes (S3).
MAX_KEY = 1024

MAX_LABELS = 64
#: The form of a label's key.
LABEL_KEY = r"[a-z0-9_.-]{1,63}"
#: Length of a label's value in bytes of UTF-8.
MAX_LABEL_VALUE = 256

MAX_BATCH = 100
#: Largest number of wrong ids in the error of one batch; more would exceed a client's metadata limit.
MAX_WRONG_IDS = 10

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
#: Labels that one listing may ask for.
MAX_LISTED_LABELS = 16
#: Words of a title that one listing may ask for.
MAX_WORDS = 8
#: Letters and digits in a row that one of the words needs: the index of titles consists of such parts. A
#: letter beyond ASCII has a code that is long enough.
MIN_WORD = 3

#: Largest time within a film that an option may name.
MAX_FILM_TIME = timedelta(days=7)

MIN_TOKEN_TTL, MAX_TOKEN_TTL = timedelta(minutes=1), timedelta(days=7)
#: Longest time from now to an expire_time.
MAX_LIFETIME = timedelta(days=36_500)
