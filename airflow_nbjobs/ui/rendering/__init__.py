"""
From an executed notebook's file to a page that cannot harm: runs in a process of its own, which holds no credential and no Airflow.

Started by ``ui/notebook/renderer.py``; must never import airflow, boto3, or anything of this package but ``core``, ``aws/results/archive.py`` and ``ui/times.py``.
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# Of the document with its scripts, which has no use outside the frame that it is served into.
SCRIPTED_POLICY = "default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'none'"
THEME_MARK = "airflow-nbjobs-theme"  # stands in the document where the page that serves it says light or dark
LINK_MARK = "airflow-nbjobs-link"  # stands before the address of a link out of the notebook, where the page that serves it names one that asks first
SHOWN_MARK = "airflow-nbjobs-shown"  # stands in a comparison where the page that serves it says whether all of it is shown, or the differences alone
