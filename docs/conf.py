"""Settings of Sphinx: `make docs` builds the pages into site/. They load nothing from the network."""

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # the reference is of this checkout, whatever is installed

project = "winnow"
author = "the authors of winnow"
release = version = importlib.metadata.version("winnow-inr")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "from_code",
]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = "$ "
copybutton_copy_empty_lines = False

highlight_language = "none"
default_role = "code"
smartquotes_action = "D"  # dashes alone
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = "winnow"
html_static_path = ["static"]
html_css_files = ["extra.css"]
html_favicon = "static/logo.svg"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"light_logo": "logo.svg", "dark_logo": "logo.svg"}
