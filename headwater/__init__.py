"""What a wheel installs: the command `headwater`, and the project's tree beside it, in tree/.

The tree's rooms have names such as `auth` and `server`, which must not land in the site-packages of
others. So they lie below this package, and only processes of Headwater import from there:
docs/decisions/0026-one-name-in-site-packages.md. Way in: __main__.main.
"""
