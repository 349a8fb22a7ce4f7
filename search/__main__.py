"""`python -m search` is `winnow`."""

from search.cli import main

if __name__ == "__main__":
    main()
