"""`python -m gostream_devstack`."""

from gostream_devstack.app import main

main()
