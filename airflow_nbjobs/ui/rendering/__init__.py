"""
From an executed notebook's file to a page that cannot harm: runs in a process of its own, which holds no credential and no Airflow.

Started by ``ui/notebook/renderer.py``; must never import airflow, boto3, or anything of this package but ``core``, ``aws/results/archive.py`` and ``ui/times.py``.
"""

THEME_MARK = "airflow-nbjobs-theme"  # stands in the document where the page that serves it says light or dark
LINK_MARK = "airflow-nbjobs-link"  # stands before the address of a link out of the notebook, where the page that serves it names one that asks first
