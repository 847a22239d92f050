"""python -m nasplug +space=NAME +strategy=NAME [key=value ...]"""

from nasplug.app.command_line import main

if __name__ == "__main__":
    main()
