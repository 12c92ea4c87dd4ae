"""Packaging from settings.ini, the one description of the project that nbdev reads too."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

cfg = ConfigParser(delimiters=["="])
cfg.read("settings.ini", encoding="utf-8")
s = cfg["DEFAULT"]
extras = {k.removesuffix("_requirements"): s[k].split() for k in s if k.endswith("_requirements")}

setup(
    name=s["lib_name"], version=s["version"], description=s["description"], keywords=s["keywords"],
    author=s["author"], author_email=s["author_email"], url=s["git_url"], license="Apache-2.0",
    long_description=Path("README.md").read_text(encoding="utf-8"), long_description_content_type="text/markdown",
    packages=find_packages(include=["diffrep_nb", "diffrep_nb.*"]), include_package_data=True,
    package_data={"diffrep_nb": ["*.json", "**/*.json"]},
    python_requires=">=" + s["min_python"], install_requires=s["requirements"].split(), extras_require=extras,
    entry_points={"console_scripts": s["console_scripts"].split(), "nbdev": [f"{s['lib_name']}={s['lib_path']}._modidx:d"]},
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Science/Research", "Programming Language :: Python :: 3"],
    zip_safe=False,
)
