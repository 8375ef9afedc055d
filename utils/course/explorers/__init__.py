"""Explorers: interactive pictures for JupyterLab, Colab and the built book, with no kernel and no network.

A new explorer is two files here: a script ``<name>.js``, which defines ``build(ui, data)`` on top of
``base.js``, and a module whose one public function computes its data and returns ``Explorer(name, title,
data, summary)``.
"""
