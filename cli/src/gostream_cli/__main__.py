from gostream_cli.app import main

main()
